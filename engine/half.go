package engine

import (
	"errors"
	"io"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A peer may end its side (FIN) and still read: it has sent its last request and waits for the
// answers (RFC 9293 section 3.6). gnet closes a connection in the event that reports the FIN. The
// conn then continues with a duplicate of the descriptor. It is not read any more and no poller
// watches it. Output that the kernel does not accept is tried again, as for any conn that is not
// read.

// Ender is implemented by a Handler whose connections continue after the peer has ended its side.
type Ender interface {
	Handler
	// OnEnd is called once, when the peer has ended its side (FIN or close_notify of TLS) and OnData
	// has received all its bytes. The Handler can write to c and must close it: the engine sets no
	// time limit, and detects that the peer is gone only when it writes. The connections of other
	// Handlers end with io.EOF; their output is sent as far as the kernel accepts it.
	OnEnd(c *Conn)
}

// peerState is the state of the peer's side.
type peerState uint8

const (
	peerSends         peerState = iota // bytes for the Handler
	peerSendsHeader                    // the header of a trusted proxy; OnOpen was not called
	peerMaySendHeader                  // the header of another peer, which is skipped, or bytes for the Handler
	peerDone                           // the FIN was received
	peerEndReported                    // OnEnd was called
)

// begins reports whether the peer's first bytes have not come.
func (p peerState) begins() bool { return p == peerSendsHeader || p == peerMaySendHeader }

// ended reports whether the FIN was received.
func (p peerState) ended() bool { return p >= peerDone }

// half is the descriptor of a conn whose peer has ended its side. It has the methods of gnet.Conn
// that a Conn uses.
type half struct {
	gnet.Conn // nil: the methods that a Conn does not use
	conn      *Conn
	fd        int
}

func (h *half) Fd() int               { return h.fd }
func (h *half) OutboundBuffered() int { return 0 }

// Write is called after a write error (see Conn.write): the connection is broken.
func (h *half) Write(b []byte) (int, error) {
	n, err := unix.Write(h.fd, b)
	if err != nil {
		h.conn.markEnded(os.NewSyscallError("write", err))
	}
	return n, err
}

// isFIN reports whether gnet closes a connection because a read found the peer's FIN. A bare io.EOF
// means that the poller found the connection broken.
func isFIN(err error) bool {
	return err != io.EOF && errors.Is(err, io.EOF) //nolint:errorlint // a bare one, as the comment says
}

// continueHalf is called when the FIN was received and gnet is about to close g, c's connection. It
// reports whether c continues without gnet.
func (c *Conn) continueHalf(g gnet.Conn) bool {
	if c.ended || c.retained != nil || c.drain != nil && c.drain.shut {
		return false
	}
	_, ender := c.handler.(Ender)
	c.peer, c.unpolled = peerDone, true
	c.takeBack(g)
	rest := c.loop.kernel.detach(c, g)
	if s := secureOf(c); s != nil {
		s.Conn = rest
	} else {
		c.g = rest
	}
	if ender && c.reading() {
		c.callOnEnd()
	}
	c.flush()
	switch {
	case c.ended:
		return false
	case c.drain == nil && !ender && (c.reading() || secureOf(c) == nil):
		return false
	}
	h, ok := rest.(*half)
	if !ok {
		return true
	}
	fd, err := unix.FcntlInt(uintptr(h.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		c.markEnded(os.NewSyscallError("dup", err))
		return false
	}
	h.fd = fd
	return true
}

// callOnEnd calls OnEnd, once.
func (c *Conn) callOnEnd() {
	if c.peer != peerDone || c.Closed() {
		return
	}
	c.peer = peerEndReported
	e, ok := c.handler.(Ender)
	if !ok { // close_notify came while c was not read
		c.markEnded(io.EOF)
		return
	}
	defer c.recoverPanic("OnEnd")
	e.OnEnd(c)
}

// takeBack moves the output that gnet has not sent to the front of out. gnet would try to send it
// once more and then discard it.
func (c *Conn) takeBack(g gnet.Conn) {
	b := c.backlog
	if b == nil || g.OutboundBuffered() == 0 {
		return
	}
	held := c.loop.kernel.held(g)
	if s := secureOf(c); s != nil {
		s.takeBack(held)
		return
	}
	out := append(c.loop.buffers.get(len(held)+len(c.out)-c.sent), held...)
	out = append(out, c.out[c.sent:]...)
	if c.out != nil {
		c.loop.buffers.put(c.out)
	}
	b.from += len(held) - c.sent
	c.out, c.sent = out, 0
}

// release closes the socket of a conn that has ended.
func (l *Loop) release(g gnet.Conn) {
	if s, ok := g.(*secure); ok {
		g = s.release()
	}
	if h, ok := g.(*half); ok {
		_ = unix.Close(h.fd)
		return
	}
	_ = l.reactor.Close(g)
}

// HandOver makes to the Handler of c. It receives the later events, without an OnOpen, and the
// bytes that the previous Handler has left. The previous Handler receives OnClose with the reason
// after the current callback, posted function or timer, as if c had ended.
func (c *Conn) HandOver(to Handler, reason error) {
	if c.ended {
		return
	}
	c.loop.ending = append(c.loop.ending, ending{c, reason, c.handler})
	c.handler = to
	c.Pause() // so that the bytes left are offered
	c.Resume()
}
