package gateway

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Whatever is confirmed, in whichever steps, and however often the link is replaced: commands that
// are not confirmed are kept in order, and each link gets them once.
func TestOutbox(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		b := newOutbox()
		var kept [][]byte // as they must be sent
		first, given := uint64(1), 0
		for range 400 {
			switch rng.IntN(5) {
			case 0, 1:
				f := link.Frame{Type: link.Send, Payload: bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(300))}
				b.push(&f)
				kept = append(kept, link.Append(nil, &link.Frame{Type: link.Relay, Token: first + uint64(len(kept)),
					Payload: link.Append(nil, &f)}))
			case 2: // a link takes some whole frames
				room := rng.IntN(600)
				var want []byte
				for ; given < len(kept) && len(want) < room; given++ {
					want = append(want, kept[given]...)
				}
				if got := b.nextFrames(room); !bytes.Equal(got, want) {
					t.Fatalf("seed %d: a link is given %d bytes where it has room for %d; want %d", seed, len(got), room, len(want))
				}
			case 3:
				if n := rng.IntN(given + 1); b.confirm(first+uint64(n)-1) != nil {
					t.Fatalf("seed %d: %d of %d is refused", seed, n, given)
				} else {
					kept, given, first = kept[n:], given-n, first+uint64(n)
				}
			default:
				n := rng.IntN(given + 1) // it has applied more than it could confirm
				if err := b.resume(first + uint64(n) - 1); err != nil {
					t.Fatal(seed, err)
				}
				kept, given, first = kept[n:], 0, first+uint64(n)
			}
			if want := len(bytes.Join(kept, nil)); b.size() != want {
				t.Fatalf("seed %d: %d bytes are kept, want %d", seed, b.size(), want)
			}
			if b.confirm(first+uint64(given)) == nil {
				t.Fatalf("seed %d: %d is confirmed, which was not given to the link", seed, first+uint64(given))
			}
		}
		if n := b.drop(); n != uint64(len(kept)) || b.size() != 0 {
			t.Errorf("seed %d: %d dropped, %d kept; want %d", seed, n, b.size(), len(kept))
		}
	}
}

// farRush is a loop with a worker and a link to another gateway, which the test plays.
type farRush struct {
	*rush
	p   *peer
	far *enginetest.Peer
}

func newFarRush(t *testing.T) *farRush {
	t.Helper()
	r := &farRush{rush: newRush(t, Config{ID: 1}, 1<<20)}
	r.p = newPeer(r.l, link.Peer{ID: 2, Addr: "far"}, func() {})
	r.l.peers[2] = r.p
	return r
}

// dial opens the link. The other gateway has applied the commands up to a sequence.
func (r *farRush) dial(epoch, last uint64) {
	r.far = r.g.sim.Open(0, netip.AddrPort{}, &outLink{peer: r.p, epoch: epoch, done: make(chan struct{})},
		engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: 4 * aheadOfAck})
	r.far.Limit(64 << 20)
	r.confirm(last)
}

func (r *farRush) confirm(last uint64) {
	r.far.Send(link.Append(nil, &link.Frame{Type: link.Confirm, Token: last}))
	r.far.Read(1 << 10)
	r.g.sim.Turn(0)
}

// relays makes the worker send n bytes to a client of the other gateway.
func (r *farRush) relays(n int) {
	f := link.Frame{Type: link.Relay, Slot: 2, Payload: link.Append(nil,
		&link.Frame{Type: link.Send, Payload: make([]byte, n)})}
	r.worker.Send(link.Append(nil, &f))
	for r.worker.Read(1 << 20) {
	}
	r.g.sim.Turn(0)
}

// The outbox for another gateway is bounded. While the gateway is connected, links that fill the
// outbox pause, and resume when half of it is confirmed. While it is not, no link pauses, and
// commands that do not fit are lost and counted.
func TestAnOutboxIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newFarRush(t)
		r.dial(7, 0)
		for range 5 {
			r.relays(1 << 20)
		}
		if r.l.stats.InboxBackpressure != 1 || r.l.stats.CommandsDropped != 0 || r.k.fullOutboxes != 1 {
			t.Fatalf("pressed %d times, %d lost, by %d", r.l.stats.InboxBackpressure, r.l.stats.CommandsDropped,
				r.k.fullOutboxes)
		}
		r.worker.Send(link.Append(nil, &link.Frame{Type: link.Ping}))
		if r.worker.Read(1 << 20) {
			t.Error("the link is read")
		}
		r.far.Take()
		r.confirm(1)
		if r.k.fullOutboxes != 1 {
			t.Error("it goes on while more than half is kept")
		}
		for last := uint64(2); last <= 4; last++ {
			r.far.Take()
			r.confirm(last)
		}
		if r.k.fullOutboxes != 0 || r.p.out.size() > maxOutbox/2 {
			t.Errorf("%d bytes are kept, the link is held up by %d", r.p.out.size(), r.k.fullOutboxes)
		}
		r.far.Reset()
		for range 6 {
			r.relays(1 << 20)
		}
		if s := r.l.stats; s.CommandsDropped == 0 || s.InboxBackpressure != 1 || r.p.out.size() > maxOutbox+2<<20 {
			t.Errorf("%d lost, pressed %d times, %d bytes kept", s.CommandsDropped, s.InboxBackpressure, r.p.out.size())
		}
		lost := r.l.stats.CommandsDropped
		time.Sleep(peerGrace + 2*time.Second)
		r.p.lastListed = r.l.seconds
		r.g.sim.Settle()
		if r.p.out.size() != 0 || r.l.stats.CommandsDropped <= lost {
			t.Errorf("%d bytes are kept for a gateway that is away, %d lost", r.p.out.size(), r.l.stats.CommandsDropped)
		}
	})
}

// The outbox is for one epoch of the other gateway. After a restart that gateway has none of the
// clients.
func TestAnOutboxIsForOneStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		epoch uint64
		bytes int
	}{"the same": {7, 2}, "another": {8, 0}} {
		synctest.Test(t, func(t *testing.T) {
			r := newFarRush(t)
			r.relays(100) // before the first connection
			r.dial(7, 0)
			r.relays(100)
			if got := len(r.far.Take()); got < 200 {
				t.Errorf("%s: the link is given %d bytes", name, got)
			}
			r.far.Reset()
			r.dial(c.epoch, 0)
			if got := len(r.far.Take()); got/148 != c.bytes || r.l.stats.CommandsDropped != uint64(2-c.bytes) {
				t.Errorf("%s: the next link is given %d bytes, %d lost", name, got, r.l.stats.CommandsDropped)
			}
		})
	}
}
