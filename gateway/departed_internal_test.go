package gateway

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// arrive adds a text client while the worker handles nothing.
func (r *rush) arrive() *rushClient {
	lis := *r.g.lis
	lis.codec = codec.Text{MaxMessage: 4 << 20}
	c := &rushClient{s: &session{lis: &lis}}
	c.Peer = r.g.sim.Open(0, netip.AddrPort{}, c.s, engine.ConnOptions{MaxOutput: 16 << 20})
	r.turn(0)
	return c
}

// A worker that acknowledges nothing gets no more clients when many of its clients have gone, and
// the memory for clients that come and go is bounded. When it has acknowledged them it gets clients
// again.
func TestDepartedClientsAreBounded(t *testing.T) {
	t.Parallel()
	for name, window := range map[string]uint32{"with credit": 64 << 20, "without credit": 4 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRush(t, Config{QueueTimeout: time.Minute}, window)
				const maxGone, maxDeparted = 50, 200
				r.l.book.MaxLeaving, r.l.book.MaxDeparted = maxGone, maxDeparted
				for i := range 2000 {
					c := r.arrive()
					c.say("hello")
					r.turn(0, c)
					c.Reset()
					r.turn(0, c)
					if i == maxGone && r.l.stats.Workers+len(r.l.pool.links) != 0 {
						t.Fatal("it is given more clients")
					}
				}
				if n := r.l.book.Departed(); n > maxDeparted {
					t.Errorf("%d clients that are gone are kept", n)
				}
				if n := len(r.l.sessions); n > maxDeparted+1 {
					t.Errorf("%d slots", n)
				}
				if frames, _ := r.k.delivery.InFlight(); frames > 3*(maxGone+1) {
					t.Errorf("%d frames are out", frames)
				}
				if n := waitsFor(r.k); n > maxGone {
					t.Errorf("%d wait for credit", n)
				}
				if s := r.l.snapshot(); s.WorkersBehind != 1 || s.DetachesUndelivered < 2000-maxDeparted-maxGone-1 {
					t.Errorf("behind %d times, %d detaches undelivered", s.WorkersBehind, s.DetachesUndelivered)
				}
				for range 100 {
					r.turn(1000)
				}
				c := r.client("text")
				c.say("and now?")
				for range 100 {
					r.turn(1000, c)
				}
				got := r.received[c.s.delivery.Slot]
				if len(got) == 0 || got[len(got)-1] != "and now?" || r.l.book.Departed() != 0 ||
					leaving(r.k) != 0 || r.k.delivery.Behind() {
					t.Errorf("the worker has received %q; %d are gone, of its %d", got, r.l.book.Departed(), leaving(r.k))
				}
			})
		})
	}
}

// A departed client that waits for credit leaves the queue when it is given up.
func TestForgottenClientsWaitForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRush(t, Config{}, 4<<10)
		r.l.book.MaxDeparted = 10
		var all []*rushClient
		for range 100 {
			c := r.arrive()
			c.say("hello")
			all = append(all, c)
		}
		r.turn(0, all...)
		if n := waitsFor(r.k); n < 50 {
			t.Fatalf("%d wait", n)
		}
		for _, c := range all {
			c.Reset()
		}
		r.turn(0, all...)
		if n := waitsFor(r.k); n > 10 || r.l.book.Departed() > 10 {
			t.Errorf("%d wait, of %d that are gone", n, r.l.book.Departed())
		}
		for range 300 {
			r.turn(1000)
		}
		if frames, _ := r.k.delivery.InFlight(); frames > 0 || leaving(r.k) != 0 || r.k.delivery.Clients() != 0 {
			t.Errorf("%d frames, %d gone, %d clients", frames, leaving(r.k), r.k.delivery.Clients())
		}
	})
}

// waitsFor is how many clients wait for a link's credit.
func waitsFor(k *workerLink) int {
	_, waiting, _ := k.delivery.Figures()
	return waiting
}

// leaving is how many clients of a link are gone and not acknowledged.
func leaving(k *workerLink) int {
	leaving, _, _ := k.delivery.Figures()
	return leaving
}
