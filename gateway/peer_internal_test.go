package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// passing is a loop with an outbox for another gateway, which the test plays.
type passing struct {
	t    *testing.T
	g    gate
	l    *loop
	p    *peer
	k    *outLink
	far  *enginetest.Peer
	in   []byte // arrived there, not read
	last uint64 // sequence of the last command received
}

func newPassing(t *testing.T, loops int) *passing {
	g := newGate(t, Config{ID: 1, Loops: loops, Logger: slog.New(slog.DiscardHandler)})
	x := &passing{t: t, g: g, l: g.g.loops[0]}
	x.p = newPeer(x.l, link.Peer{ID: 2, Addr: "simulated"}, func() {})
	x.l.peers[2] = x.p
	return x
}

// dial opens the link. The kernel accepts that many bytes at a time.
func (x *passing) dial(kernel int) {
	x.k = &outLink{peer: x.p, epoch: 1, done: make(chan struct{})}
	x.far = x.g.sim.Open(0, netip.AddrPort{}, x.k, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead})
	x.far.Limit(kernel)
	x.confirm()
}

func (x *passing) confirm() {
	x.far.Send(link.Append(nil, &link.Frame{Type: link.Confirm, Token: x.last}))
	x.far.Read(64 << 10)
}

// receive reads what has come and confirms the complete commands. It returns them, and the number
// of heartbeats.
func (x *passing) receive() (commands [][]byte, beats int) {
	x.t.Helper()
	x.g.sim.Turn(0)
	x.in = append(x.in, x.far.Take()...)
	for before := x.last; ; {
		var f link.Frame
		n, err := link.Next(x.in, link.MaxFrame, &f)
		if err != nil {
			x.t.Fatal(err)
		}
		if n == 0 {
			if x.last > before {
				x.confirm()
			}
			return commands, beats
		}
		x.in = x.in[n:]
		if f.Type != link.Relay {
			beats++
			continue
		}
		if x.last++; f.Token != x.last {
			x.t.Fatalf("sequence %d where %d is due", f.Token, x.last)
		}
		inner, err := within(&f)
		if err != nil {
			x.t.Fatal(err)
		}
		commands = append(commands, bytes.Clone(inner.Payload))
	}
}

// Commands for another gateway arrive unchanged, however large they are and however slowly they are
// read. Heartbeats come between two commands, never within one. A command larger than what is
// written at a time does not wait for a confirmation.
func TestCommandsGoOnWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 1)
		x.dial(32 << 10)
		var sizes []int
		for _, n := range []int{0, 1, 1000, 100_003, aheadOfAck - 1, aheadOfAck, 3*aheadOfAck + 1, link.MaxMessage} {
			sizes = append(sizes, n, 10, n)
		}
		for i, n := range sizes {
			x.p.push(origin{}, &link.Frame{Type: link.Send, Payload: bytes.Repeat([]byte{byte(i)}, n)})
		}
		came, beats := 0, 0
		for idle := 0; came < len(sizes); {
			before := len(x.in)
			commands, n := x.receive()
			if beats += n; len(commands) == 0 && len(x.in) == before {
				if idle++; idle > 3 {
					t.Fatalf("%d of %d have come, and nothing goes on", came, len(sizes))
				}
			} else {
				idle = 0
			}
			for _, b := range commands {
				if len(b) != sizes[came] || bytes.Count(b, []byte{byte(came)}) != len(b) {
					t.Fatalf("number %d has %d bytes, of %d, or not those that were sent", came, len(b), sizes[came])
				}
				came++
			}
			x.far.Send(link.Append(nil, &link.Frame{Type: link.Ping})) // which is answered
			x.far.Read(64 << 10)
			if x.k.ended {
				t.Fatal("the link has ended")
			}
		}
		if beats == 0 {
			t.Error("no PING was answered")
		}
		if n := x.p.out.size(); n > 0 {
			t.Errorf("%d bytes are kept", n)
		}
	})
}

// A gateway that reads a large command slowly receives and sends something in each heartbeat, so
// neither end takes the other for dead.
func TestALargeCommandKeepsItsLinkAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 1)
		there := newGate(t, Config{ID: 2, Loops: 1, Logger: slog.New(slog.DiscardHandler)})
		in := newInLink(there.g.loops[0], link.WorkerHello{Role: link.RolePeer, ID: x.p.helloID()})
		far := there.sim.Open(0, netip.AddrPort{}, in, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})
		x.k = &outLink{peer: x.p, epoch: 1, done: make(chan struct{})}
		near := x.g.sim.Open(0, netip.AddrPort{}, x.k, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead})
		near.Limit(64 << 10)
		carry := func() {
			far.Send(near.Take())
			far.Read(1 << 20)
			there.sim.Turn(0)
			near.Send(far.Take())
			near.Read(64 << 10)
			x.g.sim.Turn(0)
		}
		carry()
		x.p.push(origin{}, &link.Frame{Type: link.Publish, Payload: make([]byte, 1<<20)})
		for i := 0; x.p.out.size() > 0; i++ {
			if carry(); x.k.ended || in.ended || i > 100 {
				t.Fatalf("after %d heartbeats of half a second, and %d bytes there: over here %v, there %v", i, in.partial,
					x.k.ended, in.ended)
			}
			time.Sleep(500 * time.Millisecond)
		}
	})
}

// A worker's link that has filled an outbox and an inbox is read again when both have space, in
// either order. A link of another gateway is read although an outbox is full; otherwise two
// gateways with much for each other would wait for each other.
func TestWhatFillsAnOutboxWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 2)
		x.dial(1 << 10)
		k := newWorkerLink(x.l, link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}})
		worker := x.g.sim.Open(0, netip.AddrPort{}, k,
			engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true})
		// to all clients, of which there are none
		publish := link.Append(nil, &link.Frame{Type: link.Publish, Flags: link.FlagFar, Payload: make([]byte, 64<<10)})
		for range 2 * maxOutbox / len(publish) {
			worker.Send(publish)
		}
		for range 100 {
			for worker.Read(64 << 10) {
			}
			x.g.sim.Turn(1) // the other loop's inbox is drained
			x.g.sim.Turn(0)
		}
		if n := x.p.out.size(); n <= maxOutbox || n > maxOutbox+1<<20 || worker.Unread() == 0 {
			t.Fatalf("%d bytes are kept, %d not read", n, worker.Unread())
		}
		x.l.pauseLink(k.serial)
		x.l.resumeLink(k.serial)
		if left := worker.Unread(); worker.Read(1<<20) && worker.Unread() != left || len(x.p.paused) != 1 {
			t.Errorf("the link is read though the outbox is full, which holds up %d links", len(x.p.paused))
		}

		in := newInLink(x.l, link.WorkerHello{Role: link.RolePeer, ID: [16]byte{3: 3}})
		comer := x.g.sim.Open(0, netip.AddrPort{}, in, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})
		evict := link.Frame{Type: link.Evict}
		x.p.push(origin{loop: 0, serial: in.serial}, &evict)
		comer.Send(link.Append(nil, &link.Frame{Type: link.Ping}))
		if !comer.Read(64) {
			t.Error("a link of another gateway is not read")
		}
		x.far.Limit(64 << 20)
		for range 100 {
			x.receive()
			for worker.Read(1 << 20) {
			}
			x.g.sim.Turn(1)
		}
		if x.p.out.size() > 0 || worker.Unread() > 0 || k.fullOutboxes != 0 {
			t.Errorf("%d bytes are kept, %d not read", x.p.out.size(), worker.Unread())
		}
	})
}

// After the restart of another gateway, evictions in its outbox are still sent, because a client
// may have connected there with the uid. All other commands were for its former clients.
func TestAnEvictionOutlivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 1)
		x.dial(64 << 10)
		x.p.push(origin{}, &link.Frame{Type: link.Send, Payload: []byte("before")})
		if commands, _ := x.receive(); len(commands) != 1 {
			t.Fatalf("%q", commands)
		}
		x.receive()
		x.far.Reset()
		x.g.sim.Turn(0)
		x.p.push(origin{}, &link.Frame{Type: link.Send, Payload: []byte("for nobody")})
		for _, uid := range []string{"ann", "bob"} {
			x.p.push(origin{}, &link.Frame{Type: link.Evict, Payload: []byte(uid)})
			x.p.push(origin{}, &link.Frame{Type: link.Publish, Payload: []byte("for nobody")})
		}
		x.k = &outLink{peer: x.p, epoch: 2, done: make(chan struct{})}
		x.far = x.g.sim.Open(0, netip.AddrPort{}, x.k, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead})
		x.far.Limit(64 << 10)
		x.last = 0
		x.confirm()
		x.last = x.p.out.first - 1
		commands, _ := x.receive()
		if len(commands) != 2 || string(commands[0]) != "ann" || string(commands[1]) != "bob" ||
			x.l.stats.CommandsDropped != 3 {
			t.Errorf("it is told %q, and %d are counted as lost", commands, x.l.stats.CommandsDropped)
		}
		if x.receive(); x.p.out.size() > 0 || x.k.ended {
			t.Errorf("%d bytes are kept; the link has ended: %v", x.p.out.size(), x.k.ended)
		}
	})
}

// Gateways follow the clock that is furthest ahead, from the beginning of their link. Otherwise a
// client bound by that clock without eviction would be later than a client that claims the uid at
// another gateway afterwards, and would keep it.
func TestTheClockThatIsAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 1)
		x.dial(64 << 10)
		time.Sleep(time.Second)
		before := x.l.bindTime()
		in := newInLink(x.l, link.WorkerHello{Role: link.RolePeer, ID: [16]byte{3: 3}})
		comer := x.g.sim.Open(0, netip.AddrPort{}, in, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})
		x.g.sim.Turn(0)
		var f link.Frame
		if _, err := link.Next(comer.Take(), link.MaxFrame, &f); err != nil || f.Type != link.Pong || f.Token < before-1 {
			t.Errorf("who dials is told %v %d first, %v; the time is %d", f.Type, f.Token, err, before)
		}
		ahead := before + uint64(time.Hour)
		x.far.Send(link.Append(nil, &link.Frame{Type: link.Pong, Token: ahead}))
		// the clock of another gateway, which is behind
		x.far.Send(link.Append(nil, &link.Frame{Type: link.Pong, Token: before}))
		x.far.Read(64 << 10)
		time.Sleep(10 * time.Second)
		if at := x.l.bindTime(); at < ahead+uint64(10*time.Second) || at > ahead+uint64(11*time.Second) {
			t.Errorf("%v after it has received of the time that is an hour ahead", time.Duration(at-ahead))
		}
	})
}
