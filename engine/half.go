package engine

import (
	"errors"
	"io"
	"os"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A peer may end its side (FIN) and still read: it has said all, and waits for the
// answers (RFC 9293 section 3.6). gnet closes a connection in the event that brings
// the FIN. So the conn goes on with a descriptor of its own: nothing is read any
// more, no poller knows of it, and what the kernel does not take is tried again as
// with any conn that is not read.

// Ender is a Handler whose connections outlive the end of their peer's side.
type Ender interface {
	Handler
	// OnEnd is called once, when the peer has ended its side and OnData has been
	// given all that it sent. c can be written to until the Handler closes it,
	// which it must: the engine has no bound of its own for that, and learns that
	// the peer is gone only when it writes. The connections of other Handlers
	// end with io.EOF, and what was written leaves as far as the kernel takes it.
	OnEnd(c *Conn)
}

// peerEnd is how far the end of the peer's side has come.
type peerEnd uint8

const (
	peerSends peerEnd = iota
	peerDone          // the FIN has come
	peerTold          // and OnEnd
)

// half is the descriptor of a conn whose peer has ended its side: what a Conn
// needs of a gnet.Conn.
type half struct {
	gnet.Conn // nil: what a Conn does not use
	conn      *Conn
	fd        int
}

func (h *half) Fd() int               { return h.fd }
func (h *half) OutboundBuffered() int { return 0 }

// Write is for what the kernel refuses (see Conn.write): the connection is broken.
func (h *half) Write(b []byte) (int, error) {
	n, err := unix.Write(h.fd, b)
	if err != nil {
		h.conn.markEnded(os.NewSyscallError("write", err))
	}
	return n, err
}

// isFIN tells what gnet says when a read found the peer's end from what it says
// when the poller found the connection broken, a bare io.EOF.
func isFIN(err error) bool {
	return err != io.EOF && errors.Is(err, io.EOF) //nolint:errorlint // the bare one is meant
}

// continueHalf is called when the FIN has come and gnet is about to close g, c's. It
// tells whether c goes on without gnet.
func (c *Conn) continueHalf(g gnet.Conn) bool {
	if c.ended || c.retained != nil || c.drain != nil && c.drain.shut {
		return false
	}
	_, ender := c.handler.(Ender)
	c.peer, c.deaf = peerDone, true
	c.takeBack(g)
	c.g = c.loop.kernel.detach(c, g)
	if ender && c.reading() {
		c.callOnEnd()
	}
	c.flush()
	switch {
	case c.ended:
		return false
	case c.drain == nil && !ender:
		return false
	}
	h, ok := c.g.(*half)
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
	e, ok := c.handler.(Ender)
	if !ok || c.peer != peerDone || c.Closed() {
		return
	}
	c.peer = peerTold
	defer c.caught("OnEnd")
	e.OnEnd(c)
}

// takeBack puts what gnet has not got rid of in front of what waits here: gnet
// would try it once more and forget it.
func (c *Conn) takeBack(g gnet.Conn) {
	b := c.backlog
	if b == nil || g.OutboundBuffered() == 0 {
		return
	}
	held := c.loop.kernel.held(g)
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
	if h, ok := g.(*half); ok {
		_ = unix.Close(h.fd)
		return
	}
	_ = l.reactor.Close(g)
}

// HandOver gives c to another Handler, which has what comes from now on, without an
// OnOpen, and what the one so far has left. That one is told OnClose with the reason,
// after the callback, posted function or timer in progress, as if c had ended.
func (c *Conn) HandOver(to Handler, reason error) {
	if c.ended {
		return
	}
	c.loop.ending = append(c.loop.ending, ending{c, reason, c.handler})
	c.handler = to
	c.Pause() // so that what was left is offered
	c.Resume()
}
