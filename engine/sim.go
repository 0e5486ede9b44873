package engine

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Sim is an engine without a kernel, for deterministic tests of what stands on one: its connections are in memory, nothing happens but when the test says so,
// and all of it on the test's goroutine. Its clock is time.Now, which in a bubble of testing/synctest is a fake one. Everything above the reactor is the real
// thing. There are no listeners, and Stop must not be called.
type Sim struct {
	e     *Engine
	loops []*simLoop // bound: none, fixed by NewSim
}

// simLoop is the reactor of one loop.
type simLoop struct {
	gnet.EventLoop                 // nil: what a Loop does not use
	tasks          []gnet.Runnable // bound: none, a test's
	peers          []*SimPeer      // in the order in which they came; bound: none, a test's
}

// NewSim makes the loops.
func NewSim(cfg Config) (*Sim, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := &Sim{e: &Engine{cfg: cfg, start: time.Now(), nudge: make(chan struct{}, 1)}}
	for i := range cfg.Loops {
		reactor := &simLoop{}
		l := &Loop{engine: s.e, index: i, reactor: reactor, poll: pollerOf(nil), kernel: simKernel{}, wakeup: -1, kicked: true} // it need not wake itself: Turn comes
		l.timers.init(l)
		s.e.loops = append(s.e.loops, l)
		s.loops = append(s.loops, reactor)
	}
	return s, nil
}

// Engine is the engine whose loops these are.
func (s *Sim) Engine() *Engine { return s.e }

// Open makes a connection of the loop with the index given, and returns its other end. OnOpen has run.
func (s *Sim) Open(loop int, remote netip.AddrPort, h Handler, o ConnOptions) *SimPeer {
	l := s.e.loops[loop]
	o, err := o.check("ConnOptions")
	if err != nil {
		panic(err)
	}
	c := newConn(l, h, &o, nil, remote)
	l.load.Add(1)
	p := &SimPeer{room: 1 << 20}
	p.socket = &simSocket{peer: p, conn: c}
	s.loops[loop].peers = append(s.loops[loop].peers, p)
	events{}.OnOpen(p.socket)
	return p
}

// Turn lets one loop do what is due, as at the end of a turn: posted functions, timers, and all that was written leaves.
func (s *Sim) Turn(loop int) {
	s.e.clock.Store(int64(time.Since(s.e.start)))
	s.loops[loop].tasks = nil // each of them is a turn
	s.e.loops[loop].run()
}

// Settle lets all loops do what is due and read what was sent, until nothing is left.
func (s *Sim) Settle() {
	for idle := 0; idle < 2; idle++ { // timers need a turn although nothing else asks for one
		for i, l := range s.loops {
			for _, p := range l.peers {
				if p.Read(readBuffer) {
					idle = 0
				}
			}
			l.peers = living(l.peers)
			if loop := s.e.loops[i]; len(l.tasks)+len(loop.resumed)+len(loop.yielded) > 0 {
				idle = 0
			}
			s.Turn(i)
		}
	}
}

func living(peers []*SimPeer) []*SimPeer {
	kept := peers[:0]
	for _, p := range peers {
		if !p.socket.closed {
			kept = append(kept, p)
		}
	}
	clear(peers[len(kept):])
	return kept
}

func (l *simLoop) Execute(_ context.Context, r gnet.Runnable) error {
	l.tasks = append(l.tasks, r)
	return nil
}

// Close is what gnet does: the handler is told, and what fits the kernel's buffer still goes out.
func (l *simLoop) Close(c gnet.Conn) error {
	s := c.(*simSocket)
	s.closed = true
	s.peer.fill()
	events{}.OnClose(s, nil)
	return nil
}

// SimPeer is the far end of a connection of a Sim.
type SimPeer struct {
	socket *simSocket
	sent   []byte // and not read by the loop; bound: none, a test's
	hungUp bool
	out    []byte // in the kernel, towards here; bound: none, a test's
	taken  []byte // what Take has returned
	took   uint64 // bytes that Take has returned so far
	room   int    // bytes of the kernel's buffer
}

// Send puts bytes on their way; the loop has them when it reads.
func (p *SimPeer) Send(b []byte) { p.sent = append(p.sent, b...) }

// Unread is how many bytes the loop has not read.
func (p *SimPeer) Unread() int { return len(p.sent) }

// HangUp closes this end: the loop sees that once it has read what was sent.
func (p *SimPeer) HangUp() { p.hungUp = true }

// Reset breaks the connection: what was sent and not read is lost. The loop sees it at once.
func (p *SimPeer) Reset() {
	p.sent = nil
	p.end(net.ErrClosed)
}

// Break ends the connection as a write that finds it broken does, before the loop has read what was sent.
func (p *SimPeer) Break() { p.end(net.ErrClosed) }

// Read has the loop read once, at most n bytes, or see the end. It reports whether there was anything: a connection that is paused reads nothing.
func (p *SimPeer) Read(n int) bool {
	c := p.socket.conn
	if p.socket.closed || c.deaf {
		return false
	}
	if len(p.sent) == 0 {
		if p.hungUp {
			events{}.OnClose(p.socket, os.NewSyscallError("read", io.EOF))
			p.socket.closed = c.g == nil // else it goes on: it is half closed
		}
		return p.hungUp
	}
	p.socket.in = p.sent[:min(n, len(p.sent), readBuffer)]
	p.sent = p.sent[len(p.socket.in):]
	events{}.OnTraffic(p.socket)
	if len(p.sent) == 0 {
		p.sent = p.socket.in[:0]
	}
	return true
}

func (p *SimPeer) end(err error) {
	if !p.socket.closed {
		p.socket.closed = true
		events{}.OnClose(p.socket, err)
	}
}

// Limit sets how many bytes the kernel takes before this end has taken any of them.
func (p *SimPeer) Limit(n int) {
	p.room = n
	p.fill()
}

// Take is what has come here since the last call, a view that is valid until the next one.
func (p *SimPeer) Take() []byte {
	p.out, p.taken = p.taken[:0], p.out
	p.fill()
	p.took += uint64(len(p.taken))
	return p.taken
}

// Closed reports whether nothing more can come.
func (p *SimPeer) Closed() bool { return p.socket.closed && len(p.out) == 0 }

// fill moves on what the kernel has room for.
func (p *SimPeer) fill() {
	n := min(len(p.socket.held), max(p.room-len(p.out), 0))
	p.out = append(p.out, p.socket.held[:n]...)
	p.socket.held = p.socket.held[n:]
}

// simSocket is a connection as gnet shows it.
type simSocket struct {
	gnet.Conn // nil: what a Conn does not use
	peer      *SimPeer
	conn      *Conn
	in        []byte // of this read
	held      []byte // written, and not taken by the kernel; bound: none, a test's
	closed    bool
}

func (s *simSocket) Context() any              { return s.conn }
func (s *simSocket) RemoteAddr() net.Addr      { return nil }
func (s *simSocket) LocalAddr() net.Addr       { return nil }
func (s *simSocket) Fd() int                   { return -1 } // nothing can be done to it: a drained connection ends at once
func (s *simSocket) OutboundBuffered() int     { return len(s.held) }
func (s *simSocket) Next(int) ([]byte, error)  { return s.in, nil }
func (s *simSocket) EventLoop() gnet.EventLoop { return s.conn.loop.reactor }
func (s *simSocket) Write(b []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	if p := s.peer; len(s.held) == 0 && len(p.out)+len(b) <= p.room {
		p.out = append(p.out, b...)
		return len(b), nil
	}
	s.held = append(s.held, b...)
	s.peer.fill()
	return len(b), nil
}

// simKernel asks the peer's side what a real one asks the system.
type simKernel struct{}

func (simKernel) write(g gnet.Conn, p []byte) (int, error) { return g.Write(p) }
func (simKernel) detach(_ *Conn, g gnet.Conn) gnet.Conn    { return g }

func (simKernel) arrived(g gnet.Conn) bool {
	p := g.(*simSocket).peer
	return len(p.sent) > 0 || p.hungUp
}

func (simKernel) taken(g gnet.Conn) (acked uint64, unacked int) {
	p := g.(*simSocket).peer
	return p.took, len(p.out)
}

func (simKernel) held(g gnet.Conn) (held []byte) {
	s := g.(*simSocket)
	held, s.held = s.held, nil
	return held
}

func (simKernel) unread(g gnet.Conn, _ int) []byte {
	p := g.(*simSocket).peer
	b := p.sent
	p.sent = nil
	if len(b) == 0 {
		return nil
	}
	return b
}
