package delivery

import "testing"

// The handlers of 1,000 clients hang, and each client has used all of its share of the window. The
// other clients of the link go on. Their messages do not wait if the worker says which handlers
// block. If it does not, they never wait for longer than until the next heartbeats, and not at all
// when the handlers that hang are known.
func TestHandlersThatHangUseNoCredit(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]bool{"the worker says so": true, "heartbeats": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testHang(t, says)
		})
	}
}

func testHang(t *testing.T, says bool) {
	w := newWorld(t, 1, table{})
	h := &quietHost{world: w}
	w.book.Init(h, Limits{MaxQueue: 1 << 30, MaxUnrouted: 1 << 30, MaxDeliveries: 5, MaxDeparted: 10, MaxLeaving: 10})
	k := &worker{open: true}
	k.Init(k, [16]byte{1}, 1<<20)
	h.k = &k.Link
	open := func() *Client {
		c := &Client{}
		w.book.Open(c)
		w.book.Acknowledge(h.k, c, 0, false)
		return c
	}
	say := func(c *Client, size int) {
		if w.book.Accept(c, size) {
			w.book.Sent(c, h.serial, size)
		} else {
			w.book.Enqueue(c, make([]byte, size), 0)
		}
	}
	// turn writes what the link has, and acknowledges what a client has at the worker.
	turn := func(c *Client) {
		w.book.Flushed(h.k, make([]byte, 1<<10), h.serial)
		h.serial++
		if c.out > 0 {
			w.book.Acknowledge(h.k, c, c.Last(), false)
		}
		w.book.Credit(h.k)
	}
	well := open()
	for range 1000 {
		hangs := open()
		for range 4 {
			say(hangs, minShare/4-24)
		}
		say(well, 100)
		if says {
			h.k.Block(hangs)
		}
		for beats := 0; well.out == 0; beats++ {
			if says || beats > 2*lateAge {
				events, bytes := h.k.InFlight()
				t.Fatalf("a message waits although only handlers that hang have %d events and %d bytes", events, bytes)
			}
			h.k.Age()
			turn(well)
		}
		turn(well)
	}
	for range 200 { // heartbeats: all messages of clients whose handlers hang are sent
		if !says {
			h.k.Age()
		}
		say(well, 100)
		turn(well)
	}
	_, bytes := h.k.InFlight()
	if _, waiting, _ := h.k.Figures(); bytes < 1000*minShare*9/10 || waiting > 0 {
		t.Errorf("%d bytes are in flight, and %d clients wait", bytes, waiting)
	}
	queued := w.book.Queued
	for range 1000 {
		say(well, 1000)
		turn(well)
	}
	if w.book.Queued != queued {
		t.Errorf("%d messages of other clients waited", w.book.Queued-queued)
	}
}
