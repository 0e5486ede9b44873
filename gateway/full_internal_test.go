package gateway

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// lines are n lines of a text client, of size bytes each.
func lines(n, size int) []byte {
	return bytes.Repeat(append(bytes.Repeat([]byte("f"), size-1), '\n'), n)
}

// Clients that are resumed in each turn with much unread input do not keep the others waiting for
// ever.
func TestResumedClientsDoNotStarveYieldedOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{MaxUnacked: 64 << 10}, 64<<20)
		var all []*rushClient
		for range 30 {
			all = append(all, r.client("text"))
		}
		quiet := r.client("ws") // it yields because the turn has no time for a compressed message
		all = append(all, quiet)
		more := lines(200, 1000)
		for turn, said := 0, 0; turn < 300; turn++ {
			for i, c := range all[:30] {
				if i%3 <= turn && c.Unread() < 1<<20 { // a third of them is resumed in each turn
					c.Send(more)
				}
			}
			if turn >= 100 && turn%10 == 0 {
				if n := len(r.received[quiet.s.delivery.Slot]); n < said {
					t.Fatalf("after %d turns only %d of %d messages of the other client have come", turn, n, said)
				}
				said++
				quiet.say(string(bytes.Repeat([]byte("c"), 1000)))
			}
			r.turn(1<<30, all...)
		}
	})
}

// When the queues are full repeatedly, each client has its turn, whatever its slot.
func TestFullQueuesDelayNoOtherClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{MaxQueueBytes: 4 << 20}, 1<<20)
		var all []*rushClient
		for range 64 {
			all = append(all, r.client("text"))
		}
		late := r.client("text")
		all = append(all, late)
		more, one := lines(20, 16_000), lines(1, 8000)
		for turn, said := 0, 0; turn < 2000; turn++ {
			for _, c := range all[:64] {
				if c.Unread() < 1<<20 {
					c.Send(more)
				}
			}
			if turn >= 500 && turn%100 == 0 {
				if n := len(r.received[late.s.delivery.Slot]); n < said {
					t.Fatalf("after %d turns only %d of %d messages of the client that came last have come", turn, n, said)
				}
				said++
				late.Send(one)
			}
			r.turn(8, all...)
		}
		for _, c := range all[:64] {
			if n := len(r.received[c.s.delivery.Slot]); n < 2000*8/64/4 {
				t.Errorf("of client %d only %d messages have come", c.s.delivery.Slot, n)
			}
		}
		if r.l.book.QueueFull < 10 {
			t.Errorf("the queues were full only %d times", r.l.book.QueueFull)
		}
	})
}

// A client without a worker continues as soon as a worker takes it, although the queues are full.
func TestFullQueuesDoNotKeepAClientWithoutAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, 1<<20)
		first := r.client("text")
		r.l.book.MaxQueue = -10 // the queues are full, and stay so
		r.k.backlogged = true
		c := r.client("text")
		c.Send(lines(1, 8000))
		r.turn(10, c)
		if c.s.link() != nil || c.s.pauses != pausedByQueues {
			t.Fatalf("the client has a worker, or is not held up: %b", c.s.pauses)
		}
		first.say("of which the worker gives an answer")
		for range 5 {
			r.turn(10, first, c)
		}
		if n := len(r.received[c.s.delivery.Slot]); n != 1 {
			t.Errorf("%d messages have come; the client is paused for %b", n, c.s.pauses)
		}
	})
}

// A stalled client does not wait until half of its link's window is free if its message fits
// earlier. Others might use the rest for ever.
func TestAStalledClientTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, 1<<20)
		var busy []*rushClient
		for range 3 {
			busy = append(busy, r.client("text"))
		}
		c := r.client("text")
		for _, b := range busy {
			b.Send(lines(1, 300<<10))
		}
		for range 5 {
			r.turn(0, busy...)
		}
		r.l.book.MaxQueue = -10 // the queues are full, and stay so
		c.Send(lines(1, 200<<10))
		for range 3 {
			r.turn(0, c)
		}
		if c.s.pauses != pausedByQueues {
			t.Fatalf("the client is not held up: %b", c.s.pauses)
		}
		r.turn(1, c) // by the worker, so that the window has space for it, but less than half
		for range 15 {
			time.Sleep(100 * time.Millisecond)
			r.turn(0, c)
		}
		if c.s.delivery.InFlight() != 1 {
			t.Errorf("the message is not with the worker; the client is paused for %b", c.s.pauses)
		}
	})
}

// The clients of a worker that hangs fill the queues. Clients of another worker that has credit do
// not wait for that.
func TestAWorkerThatHangsDelaysNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{MaxQueueBytes: 4 << 20}, 1<<20)
		hung := newWorkerLink(r.l, link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20, ID: [16]byte{2}})
		r.g.sim.Open(0, netip.AddrPort{}, hung, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 20,
			Retain: true}).Limit(64 << 20)
		var all, well []*rushClient
		for range 80 {
			c := r.client("text")
			if all = append(all, c); c.s.link() == r.k {
				well = append(well, c)
			}
		}
		well = append(well, r.client("ws"))
		for s := well[len(well)-1].s; s.link() != r.k; s = well[len(well)-1].s {
			well[len(well)-1] = r.client("ws")
		}
		all = append(all, well[len(well)-1])
		if len(well) < 30 {
			t.Fatalf("%d of %d clients are the well worker's", len(well), len(all))
		}
		more := lines(20, 16_000)
		for _, c := range all {
			if c.s.link() == hung {
				c.Send(more)
			}
		}
		for range 20 {
			r.turn(1000, all...)
		}
		if !r.l.book.IsFull() {
			t.Fatalf("the queues are not full: %d bytes wait", r.l.book.QueuedBytes())
		}
		for said := range 50 {
			for _, c := range well {
				c.say(string(bytes.Repeat([]byte("w"), 20_000)))
			}
			for range 30 {
				r.turn(10, all...)
			}
			for _, c := range well {
				if n := len(r.received[c.s.delivery.Slot]); n < said+1 {
					t.Fatalf("%d of %d messages of a client of the well worker have come; it is paused for %b", n, said+1, c.s.pauses)
				}
			}
		}
	})
}
