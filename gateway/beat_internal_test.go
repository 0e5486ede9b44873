package gateway

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A link whose worker sends faster than another loop reads stays open, however long that loop is
// behind. While the gateway does not read the link, a missing PONG does not count. The worker's own
// PING is behind all that data, so the gateway sends a PONG at each heartbeat. When the link is
// read again and nothing comes, it is closed.
func TestAnUnreadLinkIsNotCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
		k := newWorkerLink(g.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window,
			ID: [16]byte{1}})
		peer := g.sim.Open(0, netip.AddrPort{}, k, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20,
			Retain: true})
		publish := link.Frame{Type: link.Publish, Payload: make([]byte, 64<<10)} // to all clients, of which there are none
		for sent := 0; !k.inboxPaused; sent++ {
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
			t.Errorf("in 10 heartbeats in which its link is not read a worker receives %v", n)
		}
		g.sim.Settle() // the other loop drains its inbox
		if k.inboxPaused || k.ended {
			t.Fatalf("not read %v, at its end %v", k.inboxPaused, k.ended)
		}
		if n := types(5 * time.Second); n[link.Ping] != 1 || n[link.GoAway] != 1 {
			t.Errorf("a worker that says nothing receives %v", n)
		}
	})
}

// Silent clients that connected together are not pinged together: some are pinged in each second. A
// client that answers with a pong is pinged at each heartbeat. A client that answers with a
// message, because its protocol has no pong, is pinged at every other one.
func TestClientsThatCameTogetherArePingedApart(t *testing.T) {
	t.Parallel()
	const (
		clients   = 1000
		heartbeat = 25
		beats     = 6
		request   = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	)
	for name, c := range map[string]struct {
		upgrades     bool
		ping, answer []byte
		every        int // heartbeats
	}{
		"websocket": {true, []byte{0x89, 0}, []byte{0x8a, 0x80, 0, 0, 0, 0}, 1},
		"frame": {false, codec.Frame{}.Append(nil, []byte("ping"), true),
			codec.Frame{}.Append(nil, []byte("here"), true), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
				g.lis.Heartbeat, g.lis.MaxMissedPings, g.lis.Ping = heartbeat*time.Second, 1, "ping"
				if c.upgrades {
					g.lis.codec = nil
				}
				var peers [clients]*enginetest.Peer
				for i := range peers {
					peers[i] = g.sim.Open(0, netip.AddrPort{}, &session{lis: g.lis}, engine.ConnOptions{MaxOutput: 1 << 20})
					if c.upgrades {
						peers[i].Send([]byte(request))
						peers[i].Read(1 << 10)
					}
				}
				for second := range beats * heartbeat {
					pings := 0
					for range 10 {
						time.Sleep(100 * time.Millisecond)
						g.sim.Turn(0)
					}
					for _, p := range peers {
						if bytes.HasSuffix(p.Take(), c.ping) {
							pings++
							p.Send(c.answer)
							p.Read(1 << 10)
						}
					}
					least, most := 0, 0
					if beat := second / heartbeat; beat > 0 && (beat-1)%c.every == 0 {
						least, most = 1, 3*clients/heartbeat
					}
					if pings < least || pings > most {
						t.Errorf("in second %d %d are pinged", second, pings)
					}
				}
			})
		})
	}
}

// A client that sends messages and receives none is pinged, so that no proxy takes the connection
// for idle: it receives something at least every two heartbeats. It need not answer. A client that
// receives messages is not pinged.
func TestAClientThatOnlySendsIsPinged(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRush(t, Config{}, window)
			r.g.lis.Heartbeat, r.g.lis.MaxMissedPings, r.g.lis.Ping = 25*time.Second, 1, "ping"
			c := r.client("text")
			last, longest, pings := time.Now(), time.Duration(0), 0
			for range 600 {
				time.Sleep(time.Second)
				c.say("here")
				if told {
					c.s.deliver([]byte("news"), link.FlagText, engine.SendOptions{})
				}
				r.turn(10, c)
				if received := c.Take(); len(received) > 0 {
					longest, last = max(longest, time.Since(last)), time.Now()
					pings += bytes.Count(received, []byte("ping"))
				}
			}
			if c.Closed() {
				t.Fatal("a client that talks is closed")
			}
			if told && pings > 0 {
				t.Errorf("one that receives something is pinged, %d times", pings)
			}
			if !told && (pings < 600/50-1 || longest > 51*time.Second) {
				t.Errorf("pinged %d times; it received nothing for %v", pings, longest)
			}
		})
	}
}

// A client that reads a large message slowly is not closed, although it cannot answer the pings
// behind it: the bytes that it acknowledges count as an answer. When it acknowledges no more it is
// closed.
func TestASlowReaderIsNotIdle(t *testing.T) {
	t.Parallel()
	for _, misses := range []int{1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			r := newRush(t, Config{}, window)
			r.g.lis.Heartbeat, r.g.lis.MaxMissedPings = time.Second, misses
			c := r.client("ws")
			c.Limit(32 << 10)
			large := make([]byte, 1<<20) // incompressible
			_, _ = rand.NewChaCha8([32]byte{}).Read(large)
			c.s.deliver(large, 0, engine.SendOptions{})
			taken := 0
			for taken < 1<<20 && !c.Closed() {
				time.Sleep(500 * time.Millisecond)
				r.turn(0, c)
				taken += len(c.Take())
			}
			if taken < 1<<20 {
				t.Fatalf("misses %d: closed when it had taken %d bytes", misses, taken)
			}
			c.s.deliver(large, 0, engine.SendOptions{})
			began := time.Now()
			for c.s.phase == phaseOpen && time.Since(began) < time.Minute {
				time.Sleep(100 * time.Millisecond)
				r.turn(0, c)
			}
			if c.s.reason != link.ReasonIdle || time.Since(began) > time.Duration(misses+2)*time.Second {
				t.Errorf("misses %d: one that takes nothing is closed after %v for %v", misses, time.Since(began), c.s.reason)
			}
			if len(r.l.ackedBytes) > 0 {
				t.Error("it is remembered")
			}
		})
	}
}
