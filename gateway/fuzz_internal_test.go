package gateway

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/valyala/bytebufferpool"
	xrate "golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// small is a gateway with two loops on a simulated engine, with known tokens.
func small(t testing.TB, url string) (*world, *listener) {
	w := &world{t: t, loops: 2, deadLetters: map[string]int{}}
	sim, err := enginetest.New(engine.Config{Loops: w.loops, Logger: slog.New(asideLog{w})})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{ID: 1, Loops: w.loops, Logger: slog.New(asideLog{w}),
		Listeners: []ListenerConfig{{URL: url, MaxMessage: 4000, Heartbeat: -1, Compress: true}}}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{cfg: cfg, log: cfg.Logger, engine: sim.Engine(), keys: maphash.MakeSeed(),
		strangerLogs: xrate.NewLimiter(1, 5), clientLogs: xrate.NewLimiter(1, 5), pages: make(chan struct{}, 1),
		buffers: new(bytebufferpool.Pool)}
	g.SetAccessLog(nil, 0)
	g.peerCtx, g.stopPeers = context.WithCancel(context.Background())
	g.stopPeers() // no peer is dialled
	for i, el := range sim.Engine().Loops() {
		l := newLoop(g, el, uint8(i))
		l.tokens = rand.NewChaCha8([32]byte{byte(i)})
		g.loops = append(g.loops, l)
	}
	lis := &listener{ListenerConfig: g.cfg.Listeners[0], g: g,
		upgrade: codec.UpgradeOptions{MaxMessage: 4000, Deflate: codec.NewDeflate()}}
	for scheme, of := range protocols {
		if len(url) > len(scheme) && url[:len(scheme)+1] == scheme+":" {
			lis.codec = of(4000)
		}
	}
	w.gates = []gate{{g: g, sim: sim, lis: lis}}
	return w, lis
}

// party opens two clients on each loop and a worker's link to the first, and exchanges a message
// for each.
func party(w *world, lis *listener) (worker *enginetest.Peer, clients []*enginetest.Peer, sessions []*session) {
	k := newWorkerLink(lis.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 16,
		ID: [16]byte{1}})
	worker = w.gates[0].sim.Open(0, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true})
	for i := range 4 {
		sessions = append(sessions, &session{lis: lis})
		c := w.gates[0].sim.Open(i%2, netip.AddrPort{}, sessions[i],
			engine.ConnOptions{MaxInput: lis.MaxMessage + handshakeRoom, MaxOutput: 1 << 20})
		c.Send(codec.Frame{}.Append(nil, []byte("hello"), false))
		clients = append(clients, c)
	}
	w.gates[0].sim.Settle()
	return worker, clients, sessions
}

// Whatever bytes come on a worker's link, however split: the gateway does not panic, its accounts
// are consistent, and its clients stay unless they were kicked.
func FuzzLink(f *testing.F) {
	w, lis := small(f, "frame://127.0.0.1:0")
	party(w, lis)
	ann, bob := lis.g.loops[0].sessions[0].member.ID, lis.g.loops[1].sessions[0].member.ID
	about := func(t link.Type, id link.ClientID, flags uint8, payload []byte) []byte {
		return link.Append(nil, &link.Frame{Type: t, Flags: flags, Code: uint16(id.Loop()), Slot: id.Slot(),
			Token: id.Token(), Payload: payload})
	}
	attrs := append([]byte{0, 0, 0, 0}, link.AppendAttributes(nil, []link.Attribute{{Key: "a", Value: "b"}})...)
	commands := [][]byte{
		about(link.Send, ann, 0, []byte("x")), about(link.Send, bob, link.FlagResult, []byte("x")),
		about(link.Kick, ann, link.FlagLast, []byte("x")),
		about(link.Bind, bob, link.FlagExclusive, []byte("\x00\x00\x00\x00u")), about(link.Join, ann, 0, []byte("g")),
		about(link.Set, ann, link.FlagMerge, attrs),
		link.Append(nil, &link.Frame{Type: link.Publish, Flags: link.FlagResult, Code: link.TargetGroups,
			Payload: append(link.AppendIDs(link.AppendList(nil, []string{"g"}), []link.ClientID{bob}), 'x')}),
		link.Append(nil, &link.Frame{Type: link.Publish, Slot: 2,
			Payload: append(link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil), nil), 'x')}),
		// the slot has no meaning
		link.Append(nil, &link.Frame{Type: link.Count, Slot: 48, Payload: link.AppendList[string](nil, nil)}),
		link.Append(nil, &link.Frame{Type: link.Count, Code: link.TargetUIDs, Payload: link.AppendList(nil, []string{"u"})}),
		link.Append(nil, &link.Frame{Type: link.Select,
			Payload: append([]byte{7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0}, link.AppendList[string](nil, nil)...)}),
		link.Append(nil, &link.Frame{Type: link.Relay, Slot: 9, Payload: about(link.Send, ann, 0, []byte("x"))}),
		link.Append(nil, &link.Frame{Type: link.Peers,
			Payload: link.AppendPeers(nil, []link.Peer{{ID: 9, Addr: "nowhere:1"}})}),
		link.Append(nil, &link.Frame{Type: link.Drain}), link.Append(nil, &link.Frame{Type: link.GoAway}),
	}
	for i, c := range commands {
		f.Add(c, uint16(i))
		f.Add(link.Append(nil, &link.Frame{Type: link.Unit, ID: 1, Slot: 2, Payload: c}), uint16(30))
	}
	// a message before its client's ATTACH
	f.Add(link.Append(nil, &link.Frame{Type: link.Unit, ID: 4, Slot: 4}), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		w, lis := small(t, "frame://127.0.0.1:0")
		worker, clients, sessions := party(w, lis)
		worker.Send(in)
		worker.Read(1 + int(cut))
		w.gates[0].sim.Settle()
		w.check()
		worker.HangUp()
		w.gates[0].sim.Settle()
		w.check()
		stay(t, clients, sessions)
	})
}

// stay checks that all clients are open except those that were kicked, replaced or refused.
func stay(t *testing.T, clients []*enginetest.Peer, sessions []*session) {
	t.Helper()
	for i, c := range clients {
		s := sessions[i]
		if c.Take(); c.Closed() && s.reason != link.ReasonKicked && s.reason != link.ReasonReplaced &&
			s.delivery.Entry() != delivery.Rejected {
			t.Fatalf("client %d is gone: %v", i, s.reason)
		}
	}
}

// The same for the link of another gateway.
func FuzzPeer(f *testing.F) {
	publish := link.Append(nil, &link.Frame{Type: link.Publish,
		Payload: append(link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil), nil), 'x')})
	evict := link.Append(nil, &link.Frame{Type: link.Evict, Slot: 48,
		Payload: link.AppendEvict(nil, "u", link.Claim{Time: 1 << 63})})
	for i, inner := range [][]byte{publish, evict,
		link.Append(nil, &link.Frame{Type: link.Count, Payload: []byte{0, 0}})} {
		f.Add(link.Append(nil, &link.Frame{Type: link.Relay, Token: uint64(i + 1), Payload: inner}), uint16(20*i))
	}
	f.Add(link.Append(nil, &link.Frame{Type: link.Ping, ID: 3, Token: 1 << 63}), uint16(9))
	f.Add(link.Append(nil, &link.Frame{Type: link.Confirm, Token: 1}), uint16(9))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		w, lis := small(t, "frame://127.0.0.1:0")
		_, clients, sessions := party(w, lis)
		sim := w.gates[0].sim
		other := sim.Open(0, netip.AddrPort{}, newInLink(lis.g.loops[0],
			link.WorkerHello{Role: link.RolePeer, ID: [16]byte{3: 9}}),
			engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})
		other.Send(in)
		other.Read(1 + int(cut))
		sim.Settle()
		w.check()
		other.HangUp()
		sim.Settle()
		w.check()
		stay(t, clients, sessions)
	})
}

// Whatever a client sends, in whichever format and pieces: the gateway does not panic, its accounts
// are consistent, and no other client is affected.
func FuzzClient(f *testing.F) {
	schemes := []string{"ws", "text", "json", "jsonl", "frame"}
	upgrade := codec.AppendUpgrade(nil, "127.0.0.1", "/a?b=c", codec.NewKey(),
		&codec.DialOptions{Deflate: codec.NewDeflate()})
	f.Add(append(upgrade, 0x81, 0x82, 1, 2, 3, 4, 'h'^1, 'i'^2), uint16(9), byte(0))
	f.Add([]byte("hello\nyou\n"), uint16(7), byte(1))
	f.Add([]byte("\x00\x00\x00\x06{}"), uint16(3), byte(2))
	f.Add([]byte("{\"a\":[1]}\n"), uint16(3), byte(3))
	f.Add([]byte("\x00\x00\x00\x02hi"), uint16(3), byte(4))
	f.Fuzz(func(t *testing.T, in []byte, cut uint16, which byte) {
		w, lis := small(t, fmt.Sprintf("%s://127.0.0.1:0", schemes[int(which)%len(schemes)]))
		_, clients, _ := party(w, lis)
		c := w.gates[0].sim.Open(0, netip.AddrPort{}, &session{lis: lis},
			engine.ConnOptions{MaxInput: lis.MaxMessage + handshakeRoom, MaxOutput: 1 << 20})
		was := make([]bool, len(clients))
		for i, other := range clients {
			other.Take()
			was[i] = other.Closed()
		}
		c.Send(in)
		c.Read(1 + int(cut))
		w.gates[0].sim.Settle()
		w.check()
		c.HangUp()
		w.gates[0].sim.Settle()
		w.check()
		for i, other := range clients {
			if other.Take(); other.Closed() != was[i] {
				t.Fatalf("client %d is gone", i)
			}
		}
	})
}

// Parsing a listener's URL never panics. An accepted URL has a protocol, a host and a port.
func FuzzListenerURL(f *testing.F) {
	for _, url := range []string{"ws://127.0.0.1:0/a", "text://[::1]:7273", "frame://:1", "json://x", "ws://a:b@c:1?d#e",
		"://", "ws://[::1%25eth0]:1"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		l := ListenerConfig{URL: url}
		if l.setDefaults() == nil && (l.MaxMessage <= 0 || len(url) < len("ws://:")) {
			t.Fatalf("%q is taken: %+v", url, l)
		}
	})
}
