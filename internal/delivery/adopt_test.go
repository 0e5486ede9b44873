package delivery

import "testing"

// A worker that ends leaves many silent clients. Another worker gets them at the pace of the Host,
// and no more than maxAttaching before it has acknowledged some. A client that says something does
// not wait. The list does not keep those that have gone.
func TestAdoptionIsPaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, table{})
	h := &quietHost{world: w}
	w.book.Init(h, Limits{MaxQueue: 1 << 20, MaxUnrouted: 1 << 20, MaxDeliveries: 5, MaxDeparted: 10, MaxLeaving: 10})
	join := func(id byte) {
		k := &worker{open: true, id: id}
		k.Init(k, [16]byte{id}, 1<<20)
		h.k = &k.Link
		w.links = []*worker{k}
	}
	const clients = 3 * maxAttaching
	join(1)
	all := make([]*Client, clients)
	for i := range all {
		all[i] = &Client{}
		w.book.Open(all[i])
		w.book.Acknowledge(h.k, all[i], 0, false)
	}
	lost := h.k
	w.links = nil
	w.book.Lost(lost, nil)
	for _, c := range all {
		w.book.Orphan(c, Closed)
	}
	w.book.WorkerReady(nil)
	if n := w.book.adoptions.due; n != clients || h.paces != 0 {
		t.Fatalf("%d of %d wait, paced %d times without a worker", n, clients, h.paces)
	}

	join(2)
	w.book.WorkerReady(h.k)
	if w.book.Adopt(10); h.k.Clients() != 10 || w.book.adoptions.due != clients-10 || h.paces != 2 {
		t.Fatalf("%d are adopted, %d wait, paced %d times", h.k.Clients(), w.book.adoptions.due, h.paces)
	}
	last := all[clients-1]
	if !w.book.Accept(last, 100) || last.cause() != Died {
		t.Fatal("a client that says something waits")
	}
	for range 10 {
		w.book.Adopt(clients)
	}
	if n := h.k.Clients(); n != maxAttaching {
		t.Fatalf("%d are adopted, and none is acknowledged", n)
	}
	for range 3 {
		for _, c := range all {
			if c.flags&attachOut != 0 {
				w.book.Acknowledge(h.k, c, 0, false)
			}
		}
		w.book.Adopt(clients)
	}
	if n := w.book.adoptions.due; n != 0 || h.k.Clients() != clients {
		t.Fatalf("%d wait, %d are adopted", n, h.k.Clients())
	}
	w.book.Tick()
	if n := len(w.book.adoptions.next); n > keptAdoptions {
		t.Errorf("%d clients are in the list that have a worker", n)
	}
}
