package engine

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Handler receives the events of a connection on its loop: OnOpen, then OnData each time that bytes
// arrive, then OnClose exactly once. A panic in one of them closes the connection with ErrPanic.
type Handler interface {
	OnOpen(c *Conn)
	// OnData receives all unread bytes. They are a view that is valid until OnData returns, and may
	// be changed in place. OnData returns how many bytes it has consumed. The rest is passed again,
	// followed by the bytes that arrive next.
	OnData(c *Conn, in []byte) int
	// OnClose may read c's state. Writes have no effect.
	OnClose(c *Conn, reason error)
}

// Overflow says what happens to a message that does not fit in MaxOutput. Zero is the default:
// CloseSlow in ConnOptions, and the value of ConnOptions in SendOptions.
type Overflow uint8

const (
	// CloseSlow closes the connection with ErrSlowConsumer, unless enough waiting messages of
	// another Overflow can be dropped, oldest first. A waiting CloseSlow message is never dropped.
	CloseSlow Overflow = iota + 1
	// DropOldest drops waiting messages, oldest first, until the new one fits. If that is not
	// enough, the new message is dropped too.
	DropOldest
	// DropNewest drops the new message.
	DropNewest
)

// SendOptions says how one message is treated while its connection is slow.
type SendOptions struct {
	Overflow Overflow // overrides that of ConnOptions
	// ConflateKey, if not 0, makes the message replace a waiting message with the same key of which
	// no byte has been sent. The new message goes to the end of the queue, so the order of messages
	// is kept.
	ConflateKey uint64
}

// ConnOptions limits the memory of a connection and how long its output may wait.
type ConnOptions struct {
	// MaxInput is the number of bytes that OnData may leave. Defaults to 16 MiB + 64 KiB.
	MaxInput int
	// MaxOutput is the number of bytes that the kernel has not accepted yet. A single message may
	// be larger when nothing else waits. Defaults to 1 MiB.
	MaxOutput int
	Overflow  Overflow
	// WriteTimeout is how long bytes may wait while the peer accepts none. Then the connection is
	// closed with ErrWriteTimeout. Zero means no limit.
	WriteTimeout time.Duration
	// ExcludeFromBudget excludes the waiting bytes from Config.MaxBuffered. It is for connections
	// with a limit in their protocol, which must not be closed because of other connections. Such a
	// connection that exceeds MaxOutput counts as ExcludedCloses, not as SlowConsumerCloses.
	ExcludeFromBudget bool
	// Retain keeps output after it was sent, for protocols that send unacknowledged messages again:
	// see Conn.TakeFlushed. Overflow is then CloseSlow. The bytes that the peer sent before the
	// connection broke are passed to a last OnData, which cannot write, even if a write found the
	// broken connection.
	Retain bool
}

// check validates the options and fills in the defaults. Errors name the options as of.
func (o ConnOptions) check(of string) (ConnOptions, error) {
	err := checkNumbers(of, number{"MaxInput", int64(o.MaxInput)}, number{"MaxOutput", int64(o.MaxOutput)},
		number{"WriteTimeout", int64(o.WriteTimeout)})
	if err != nil {
		return o, err
	}
	if o.Overflow > DropNewest {
		return o, fmt.Errorf("engine: %s.Overflow: %d: must be CloseSlow, DropOldest or DropNewest", of, o.Overflow)
	}
	if o.MaxInput == 0 {
		o.MaxInput = 16<<20 + 64<<10
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 1 << 20
	}
	if o.Overflow == 0 {
		o.Overflow = CloseSlow
	}
	return o, nil
}

// Conn is one connection. Its methods may be called only on its loop, except Loop.
type Conn struct {
	// Static after newConn.
	loop    *Loop
	options *ConnOptions // shared by a listener's conns

	// Owned by the loop. The fields that each message uses come first.
	handler    Handler
	g          gnet.Conn // nil once gnet has closed it
	out        []byte    // written and not with gnet, nil when empty; bound: unsent output of a client
	sent       int       // bytes of out that gnet has accepted
	unconsumed []byte    // read and not consumed, nil when empty; bound: unconsumed input of a connection
	taken      uint32    // bytes of unconsumed that the handler has consumed
	usual      uint32    // bytes of the last flush, at most maxUsual
	drain      *drain    // CloseAfterFlush is under way
	backlog    *backlog  // nil unless the kernel accepts no more
	opened     bool      // OnOpen was called or is next
	ended      bool      // OnClose was called or is next
	dirty      bool      // in loop.dirty
	slow       bool      // in loop.blocked
	paused     bool      // Pause was called: nothing is read
	resumed    bool      // in loop.resumed
	yielded    bool      // in loop.yielded: nothing is read
	unpolled   bool      // the poller does not look for input
	counted    bool      // counts for the address in the listener's limit
	peer       peerState // what the peer may send
	shared     uint16    // id of the Shared that out is a view of, or 0

	slot     uint32         // in loop.conns
	retained *retained      // nil without ConnOptions.Retain
	listener *Listener      // static; nil for a conn from Register
	remote   netip.AddrPort // changes with SetRemote only
}

func newConn(l *Loop, h Handler, o *ConnOptions, ln *Listener, remote netip.AddrPort) *Conn {
	c := &Conn{loop: l, handler: h, options: o, listener: ln, remote: remote}
	if o.Retain {
		c.retained = &retained{}
	}
	return c
}

// Loop returns the loop that c belongs to for its whole life. Any goroutine may call it.
func (c *Conn) Loop() *Loop { return c.loop }

// Origin returns the address that limits per address apply to: that of RemoteAddr, or its IPv6 /64.
// It is zero if the connection is not TCP.
func (c *Conn) Origin() netip.Addr { return origin(c.remote) }

// RemoteAddr returns the peer's address, or that of the client behind a trusted proxy, also after
// the end. It is zero if the connection is not TCP.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// SetRemote replaces the address of the peer, a trusted proxy, by that of the client for which it
// connected. The limits per address of the listener apply to it as to a new connection. SetRemote
// reports whether they allow it. Otherwise c has the old address, and its Handler must close it.
func (c *Conn) SetRemote(client netip.AddrPort) bool {
	client = netip.AddrPortFrom(client.Addr().Unmap(), client.Port())
	if ln := c.listener; ln != nil {
		counted, ok := ln.reassign(c.remote, c.counted, client)
		if !ok {
			return false
		}
		c.counted = counted
	}
	c.remote = client
	return true
}

// TLS returns the state of the TLS connection, or nil if c is not one, or has ended. It allocates.
func (c *Conn) TLS() *tls.ConnectionState {
	s := secureOf(c)
	if s == nil {
		return nil
	}
	state := s.tls.ConnectionState()
	return &state
}

// Handler returns c's Handler.
func (c *Conn) Handler() Handler { return c.handler }

// Closed reports whether c accepts no more writes.
func (c *Conn) Closed() bool { return c.ended || c.drain != nil }

// Close closes c at once. Unsent bytes are lost. OnClose runs after the current callback, posted
// function or timer, never inside Close.
func (c *Conn) Close(reason error) {
	c.markEnded(reason)
}

func (c *Conn) markEnded(reason error) {
	if c.ended {
		return
	}
	if c.drain != nil && !errors.Is(reason, ErrPanic) && !errors.Is(reason, ErrStopped) {
		reason = c.drain.reason
	}
	c.ended = true
	c.loop.ending = append(c.loop.ending, ending{c, reason, nil})
}

// ending is a conn whose OnClose is due.
type ending struct {
	conn   *Conn
	reason error
	former Handler // the previous Handler after HandOver; nil: the conn has ended
}

// teardown releases c's resources and calls OnClose.
func (c *Conn) teardown(reason error) {
	l := c.loop
	c.deliverRemaining()
	if g := c.g; g != nil {
		c.g = nil
		l.release(g)
	}
	l.buffers.put(c.unconsumed)
	if c.shared != 0 {
		c.unshare()
	}
	if c.retained == nil { // otherwise OnClose may use the unsent output
		l.buffers.put(c.out)
		c.out, c.sent = nil, 0
	}
	c.unconsumed, c.taken = nil, 0
	c.dropBacklog()
	if c.drain != nil {
		l.Cancel(&c.drain.Timer)
	}
	if c.listener != nil {
		c.listener.release(c.remote, c.counted)
	}
	callClose(c, c.handler, reason)
	c.out = nil
	l.forgetConn(c)
}

func (c *Conn) callOpen() {
	defer c.recoverPanic("OnOpen")
	c.handler.OnOpen(c)
}

func (c *Conn) callData(in []byte) (n int) {
	defer c.recoverPanic("OnData")
	return c.handler.OnData(c, in)
}

func callClose(c *Conn, h Handler, reason error) {
	defer c.loop.recoverPanic("OnClose")
	h.OnClose(c, reason)
}

func (c *Conn) recoverPanic(what string) {
	if p := recover(); p != nil {
		c.loop.reportPanic(what, p)
		c.markEnded(ErrPanic)
	}
}

// linger is how long a drained conn waits for the peer to close. If we closed first with unread
// input, the kernel would discard our output that is still on its way.
const linger = 2 * time.Second

// drain is the state of CloseAfterFlush.
type drain struct {
	Timer
	conn     *Conn
	reason   error
	deadline time.Time
	shut     bool // the kernel has all output, and our FIN was sent
}

// CloseAfterFlush accepts no more writes, sends the waiting output, sends a FIN, and closes when
// the peer has closed, before or after that, or two seconds later. It closes in any case when
// within has passed. Input is read and discarded.
func (c *Conn) CloseAfterFlush(reason error, within time.Duration) {
	if c.Closed() {
		return
	}
	c.drain = &drain{conn: c, reason: reason, deadline: time.Now().Add(within)}
	c.drain.Target = c.drain
	c.loop.Schedule(&c.drain.Timer, within)
	c.loop.buffers.put(c.unconsumed)
	c.unconsumed, c.taken = nil, 0
	c.paused, c.yielded = false, false
	c.listen()
	c.markDirty()
}

// OnTimer closes a conn that has not drained in time.
func (d *drain) OnTimer(*Timer) { d.conn.markEnded(d.reason) }
