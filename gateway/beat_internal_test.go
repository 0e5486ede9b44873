package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sluice/codec"
	"sluice/engine"
	"sluice/internal/link"
)

// A link whose worker sends faster than another loop takes it lives on, however long that loop takes: while the gateway does not read it, it does not miss what it cannot
// hear, and the worker, whose own PING would come behind all that, hears in each heartbeat that the gateway lives. When it is read again and nothing comes, it is cut.
func TestALinkThatIsNotReadIsNotMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
		k := newWorkerLink(g.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}})
		peer := g.sim.Open(0, netip.AddrPort{}, k, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true})
		publish := link.Frame{Type: link.Publish, Payload: make([]byte, 64<<10)} // to all, which are nobody
		for sent := 0; !k.pressing; sent++ {
			if sent > 2*inboxLimit/len(publish.Payload) {
				t.Fatal("the other loop's inbox has no bound")
			}
			peer.Send(link.Append(nil, &publish))
			for peer.Read(64 << 10) {
			}
		}
		types := func(d time.Duration) (n map[link.Type]int) {
			n = make(map[link.Type]int)
			var in []byte
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				g.sim.Turn(0)
				in = append(in, peer.Take()...)
			}
			for len(in) > 0 {
				var f link.Frame
				size, err := link.Next(in, link.MaxFrame, &f)
				if size == 0 || err != nil {
					t.Fatalf("a worker gets %q", in)
				}
				in = in[size:]
				n[f.Type]++
			}
			return n
		}
		if n := types(10 * time.Second); n[link.Pong] < 9 || len(n) > 1 {
			t.Errorf("in 10 heartbeats in which its link is not read a worker hears %v", n)
		}
		g.sim.Settle() // the other loop empties its inbox
		if k.pressing || k.over {
			t.Fatalf("not read %v, at its end %v", k.pressing, k.over)
		}
		if n := types(5 * time.Second); n[link.Ping] != 1 || n[link.GoAway] != 1 {
			t.Errorf("a worker that says nothing hears %v", n)
		}
	})
}

// Clients that came at once and say nothing are not pinged at once: each when it has been silent for one to two heartbeats, some in every second, and one that only answers
// once in two heartbeats from then on.
func TestClientsThatCameTogetherArePingedApart(t *testing.T) {
	t.Parallel()
	const clients, heartbeat, rounds = 1000, 25, 3
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
		g.lis.Heartbeat, g.lis.Misses, g.lis.Ping = heartbeat*time.Second, 1, "ping"
		var peers [clients]*engine.SimPeer
		for i := range peers {
			peers[i] = g.sim.Open(0, netip.AddrPort{}, &session{lis: g.lis}, engine.ConnOptions{MaxOutput: 1 << 20})
		}
		for round := range rounds {
			for second := range 2 * heartbeat {
				pings := 0
				for range 10 {
					time.Sleep(100 * time.Millisecond)
					g.sim.Turn(0)
				}
				for _, p := range peers {
					if bytes.Contains(p.Take(), []byte("ping")) {
						pings++
						p.Send(codec.Frame{}.Append(nil, []byte("here"), true))
						p.Read(1 << 10)
					}
				}
				least, most := 0, 0
				if second >= heartbeat {
					least, most = 1, 3*clients/heartbeat
				}
				if pings < least || pings > most {
					t.Errorf("in second %d of round %d %d are pinged", second, round, pings)
				}
			}
		}
		if l := g.g.loops[0]; l.stats.MessagesIn != rounds*clients || l.ends[link.ReasonIdle] > 0 {
			t.Errorf("%d answers of %d clients, and %d were closed", l.stats.MessagesIn, clients, l.ends[link.ReasonIdle])
		}
	})
}
