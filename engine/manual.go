package engine

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Manual is an Engine whose loops the caller runs by hand, without sockets and goroutines. All work
// runs on the caller's goroutine, and only when the caller calls a method. Everything above the
// reactor is the production code. Package enginetest adds a network in memory, for deterministic
// tests.
type Manual struct {
	e     *Engine
	loops []*manualLoop // bound: none, fixed by NewManual
}

// Pipe moves the bytes of a connection of a Manual, instead of gnet and the kernel.
type Pipe interface {
	Write(p []byte)                    // accepts all of p, which is valid until Write returns
	Waiting() int                      // returns the number of accepted bytes that the kernel has not accepted
	TakeBack() []byte                  // removes and returns those bytes
	Unread() []byte                    // removes and returns the bytes that the loop has not read, or nil
	Arrived() bool                     // reports whether there are such bytes, or the peer's FIN
	Taken() (acked uint64, unread int) // returns the number of bytes that the peer has read, and has not read
	Closed()                           // is called when the engine has closed the connection
}

// ManualConn is a connection of a Manual from the side of the network.
type ManualConn struct{ s *manualSocket }

// manualSocket is the gnet.Conn of a ManualConn.
type manualSocket struct {
	gnet.Conn // nil: the methods that a Conn does not use
	conn      *Conn
	pipe      Pipe
	in        []byte // bytes of this read
	closed    bool
}

// manualLoop replaces the reactor of one loop.
type manualLoop struct {
	gnet.EventLoop             // nil: the methods that a Loop does not use
	due            atomic.Bool // a turn is due; any goroutine may post
}

// NewManual creates the loops. There are no listeners, and the Engine must not be stopped. Its
// clock is time.Now, which is a fake clock in a bubble of testing/synctest.
func NewManual(cfg Config) (*Manual, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	m := &Manual{e: &Engine{cfg: cfg, start: time.Now(), fastRequests: make(chan struct{}, 1)}}
	for i := range cfg.Loops {
		reactor := &manualLoop{}
		l := &Loop{engine: m.e, index: i, reactor: reactor, poll: pollerOf(nil), kernel: manualKernel{}, wakeup: -1}
		l.wakePending = true // it need not wake itself: the caller calls Turn
		l.timers.init(l)
		m.e.loops = append(m.e.loops, l)
		m.loops = append(m.loops, reactor)
	}
	return m, nil
}

// Engine returns the engine of the loops.
func (m *Manual) Engine() *Engine { return m.e }

// Open creates a connection on the loop with the given index. OnOpen has run when it returns.
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

// Turn makes one loop do the work of the end of a turn: it runs posted functions and timers, and
// sends all output.
func (m *Manual) Turn(loop int) {
	m.e.clock.Store(int64(time.Since(m.e.start)))
	m.loops[loop].due.Store(false)
	m.e.loops[loop].run()
}

// Due reports whether a loop has asked for a turn.
func (m *Manual) Due(loop int) bool {
	l := m.e.loops[loop]
	return m.loops[loop].due.Load() || len(l.resumed)+len(l.yielded) > 0
}

// Reads reports whether the loop reads the connection: it is open and not paused.
func (c *ManualConn) Reads() bool { return !c.s.closed && !c.s.conn.unpolled }

// Read makes the loop read in, which has at most 128 KiB.
func (c *ManualConn) Read(in []byte) {
	c.s.in = in
	events{}.OnTraffic(c.s)
}

// HangUp makes the loop read the peer's FIN.
func (c *ManualConn) HangUp() {
	events{}.OnClose(c.s, os.NewSyscallError("read", io.EOF))
	c.s.closed = c.s.conn.g == nil // otherwise it continues half closed
}

// Break ends the connection as a system call on a broken connection does.
func (c *ManualConn) Break(err error) {
	if !c.s.closed {
		c.s.closed = true
		events{}.OnClose(c.s, err)
	}
}

// Ended reports whether the connection has ended.
func (c *ManualConn) Ended() bool { return c.s.closed }

func (l *manualLoop) Execute(context.Context, gnet.Runnable) error {
	l.due.Store(true)
	return nil
}

// Close does what gnet does: it calls OnClose, and the bytes that fit in the kernel's buffer are
// still sent.
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
func (s *manualSocket) Fd() int                   { return -1 } // invalid: a drained connection ends at once
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

// manualKernel is the kernel of a Manual. It uses the pipe.
type manualKernel struct{}

func (manualKernel) write(g gnet.Conn, p []byte) (int, error) { return g.Write(p) }
func (manualKernel) unread(g gnet.Conn, _ int) []byte         { return g.(*manualSocket).pipe.Unread() }
func (manualKernel) arrived(g gnet.Conn) bool                 { return g.(*manualSocket).pipe.Arrived() }
func (manualKernel) taken(g gnet.Conn) (acked uint64, left int) {
	return g.(*manualSocket).pipe.Taken()
}
func (manualKernel) held(g gnet.Conn) []byte               { return g.(*manualSocket).pipe.TakeBack() }
func (manualKernel) detach(_ *Conn, g gnet.Conn) gnet.Conn { return g }
