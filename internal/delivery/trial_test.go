package delivery

import "testing"

// suspicious returns a world with one client, in which nothing happens by itself.
func suspicious(t *testing.T) (*world, *client) {
	w := newWorld(t, 1, table{})
	w.calm = true
	w.book.MaxDeliveries = 5
	w.connect()
	return w, w.slots[0]
}

// opens opens a link of a worker process, for a client whose next trial is due.
func (w *world) opens(id byte) *worker {
	k := &worker{id: id, open: true, has: make(map[uint64]*holding)}
	k.Init(k, [16]byte{id}, 1<<20)
	w.links = append(w.links, k)
	w.resumesTrials()
	w.ready(&k.Link)
	return k
}

// Each link that carries a message breaks, and the worker comes back each time. The message is
// tried on many links, but not for ever.
func TestMessageThatBreaksLinksIsGivenUp(t *testing.T) {
	t.Parallel()
	w, c := suspicious(t)
	links := 0
	for ; w.counted.dead == 0; links++ {
		if links > 1000 {
			t.Fatalf("after %d links it is still tried", links)
		}
		k := w.opens(7)
		if links == 0 || links >= SuspectAfter { // then the ATTACH is tried alone
			w.acknowledge(k, k.has[c.token], 0, false)
		}
		if links == 0 {
			w.says(c)
		}
		if c.out != 1 {
			t.Fatalf("link %d carries %d messages", links, c.out)
		}
		w.lose(k, Broken)
	}
	if want := SuspectAfter + 5*maxBroken; links != want {
		t.Errorf("it was tried on %d links, not %d", links, want)
	}
	if len(w.book.trials.broken) != 0 || c.tries != 0 {
		t.Errorf("of what has ended there remain %d trials, %d tries", len(w.book.trials.broken), c.tries)
	}
}

// The adoption of a silent client ends one link after the other. A message that the client sends
// then does not inherit that: it is delivered again when its first link ends.
func TestMessageDoesNotInheritAnAdoption(t *testing.T) {
	t.Parallel()
	w, c := suspicious(t)
	join := func() *worker {
		k := w.opens(byte(len(w.links) + 1))
		w.adopts(1)
		return k
	}
	k := join()
	w.acknowledge(k, k.has[c.token], 0, false)
	w.lose(k, Closed)
	for range 4 {
		w.lose(join(), Closed)
	}
	if c.tries != 4 || !c.IsSuspect() {
		t.Fatalf("%d tries", c.tries)
	}
	w.says(c)
	k = join()
	w.acknowledge(k, k.has[c.token], 0, false)
	if c.out != 1 {
		t.Fatal("the message was not sent")
	}
	w.lose(k, Closed)
	if w.counted.dead != 0 || c.tries != 1 {
		t.Errorf("%d dead letters, %d tries of a message that was delivered once", w.counted.dead, c.tries)
	}
}
