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

// Manual runs the loops of an Engine by hand, without sockets and goroutines: nothing happens but
// when the caller says so, and all of it on the caller's goroutine. Everything above the reactor is
// the real thing. Package enginetest makes a network in memory of it, for deterministic tests.
type Manual struct {
	e     *Engine
	loops []*manualLoop // bound: none, fixed by NewManual
}

// Pipe is what a connection of a Manual moves its bytes by, in place of the kernel and of gnet.
type Pipe interface {
	Write(p []byte)                    // takes all of p, which is valid until it returns
	Waiting() int                      // bytes of it that the kernel has not taken
	TakeBack() []byte                  // takes those back
	Unread() []byte                    // takes what the peer has sent and the loop has not read; nil: nothing
	Arrived() bool                     // whether there is such, or the peer's end
	Taken() (acked uint64, unread int) // bytes that the peer has read, and those that it has not
	Closed()                           // is called when the engine has closed the connection
}

// ManualConn is a connection of a Manual, as the network sees it.
type ManualConn struct{ s *manualSocket }

// manualSocket is what a Conn knows of it.
type manualSocket struct {
	gnet.Conn // nil: what a Conn does not use
	conn      *Conn
	pipe      Pipe
	in        []byte // of this read
	closed    bool
}

// manualLoop is the reactor of one loop.
type manualLoop struct {
	gnet.EventLoop                 // nil: what a Loop does not use
	tasks          []gnet.Runnable // bound: none, one for each turn that is due
}

// NewManual makes the loops. There are no listeners, and the Engine must not be stopped. Its clock
// is time.Now, which in a bubble of testing/synctest is a fake one.
func NewManual(cfg Config) (*Manual, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	m := &Manual{e: &Engine{cfg: cfg, start: time.Now(), nudge: make(chan struct{}, 1)}}
	for i := range cfg.Loops {
		reactor := &manualLoop{}
		l := &Loop{engine: m.e, index: i, reactor: reactor, poll: pollerOf(nil), kernel: manualKernel{}, wakeup: -1, kicked: true} // it need not wake itself: Turn comes
		l.timers.init(l)
		m.e.loops = append(m.e.loops, l)
		m.loops = append(m.loops, reactor)
	}
	return m, nil
}

// Engine is the engine whose loops these are.
func (m *Manual) Engine() *Engine { return m.e }

// Open makes a connection of the loop with the index given. OnOpen has run when it returns.
func (m *Manual) Open(loop int, p Pipe, remote netip.AddrPort, h Handler, o ConnOptions) (*ManualConn, error) {
	o, err := o.check("ConnOptions")
	if err != nil {
		return nil, err
	}
	l := m.e.loops[loop]
	c := &ManualConn{&manualSocket{conn: newConn(l, h, &o, nil, remote), pipe: p}}
	l.load.Add(1)
	events{}.OnOpen(c.s)
	return c, nil
}

// Turn lets one loop do what is due, as at the end of a turn: posted functions, timers, and all that
// was written leaves.
func (m *Manual) Turn(loop int) {
	m.e.clock.Store(int64(time.Since(m.e.start)))
	m.loops[loop].tasks = nil // each of them is a turn
	m.e.loops[loop].run()
}

// Due reports whether a loop has asked for a turn.
func (m *Manual) Due(loop int) bool {
	l := m.e.loops[loop]
	return len(m.loops[loop].tasks)+len(l.resumed)+len(l.yielded) > 0
}

// Reads reports whether the loop reads the connection: it is open, and not paused.
func (c *ManualConn) Reads() bool { return !c.s.closed && !c.s.conn.deaf }

// Read has the loop read in, at most 128 KiB.
func (c *ManualConn) Read(in []byte) {
	c.s.in = in
	events{}.OnTraffic(c.s)
}

// HangUp has the loop read the peer's end.
func (c *ManualConn) HangUp() {
	events{}.OnClose(c.s, os.NewSyscallError("read", io.EOF))
	c.s.closed = c.s.conn.g == nil // else it goes on: it is half closed
}

// Break ends the connection as a system call that finds it broken does.
func (c *ManualConn) Break(err error) {
	if !c.s.closed {
		c.s.closed = true
		events{}.OnClose(c.s, err)
	}
}

// Ended reports whether the connection has ended.
func (c *ManualConn) Ended() bool { return c.s.closed }

func (l *manualLoop) Execute(_ context.Context, r gnet.Runnable) error {
	l.tasks = append(l.tasks, r)
	return nil
}

// Close is what gnet does: the handler is told, and what fits the kernel's buffer still goes out.
func (l *manualLoop) Close(g gnet.Conn) error {
	s := g.(*manualSocket)
	s.closed = true
	s.pipe.Closed()
	events{}.OnClose(s, nil)
	return nil
}

func (s *manualSocket) Context() any              { return s.conn }
func (s *manualSocket) RemoteAddr() net.Addr      { return nil }
func (s *manualSocket) LocalAddr() net.Addr       { return nil }
func (s *manualSocket) Fd() int                   { return -1 } // nothing can be done to it: a drained connection ends at once
func (s *manualSocket) OutboundBuffered() int     { return s.pipe.Waiting() }
func (s *manualSocket) Next(int) ([]byte, error)  { return s.in, nil }
func (s *manualSocket) EventLoop() gnet.EventLoop { return s.conn.loop.reactor }

func (s *manualSocket) Write(p []byte) (int, error) {
	if s.closed {
		return 0, net.ErrClosed
	}
	s.pipe.Write(p)
	return len(p), nil
}

// manualKernel asks the pipe what the system's kernel is asked.
type manualKernel struct{}

func (manualKernel) write(g gnet.Conn, p []byte) (int, error) { return g.Write(p) }
func (manualKernel) unread(g gnet.Conn, _ int) []byte         { return g.(*manualSocket).pipe.Unread() }
func (manualKernel) arrived(g gnet.Conn) bool                 { return g.(*manualSocket).pipe.Arrived() }
func (manualKernel) taken(g gnet.Conn) (acked uint64, left int) {
	return g.(*manualSocket).pipe.Taken()
}
func (manualKernel) held(g gnet.Conn) []byte               { return g.(*manualSocket).pipe.TakeBack() }
func (manualKernel) detach(_ *Conn, g gnet.Conn) gnet.Conn { return g }
