package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Handler is told what happens to a connection, on its loop: OnOpen, then OnData
// as often as bytes come, then OnClose exactly once. A panic in one of them ends
// the connection with ErrPanic.
type Handler interface {
	OnOpen(c *Conn)
	// OnData receives all unread bytes, a view valid until it returns; they may
	// be changed in place. It returns how many it is done with; the others come
	// again in front of what arrives next.
	OnData(c *Conn, in []byte) int
	// OnClose may still read c's figures; writing is of no effect.
	OnClose(c *Conn, reason error)
}

// Overflow is what to do with a message that would not fit in MaxOutput. Zero is
// the default: CloseSlow in ConnOptions, and in SendOptions what those say.
type Overflow uint8

const (
	// CloseSlow ends the connection with ErrSlowConsumer, unless waiting messages
	// of another Overflow can be dropped for this one, oldest first. One that
	// waits is never dropped.
	CloseSlow Overflow = iota + 1
	// DropOldest drops waiting messages, oldest first, until it fits; if those
	// that may be dropped are not enough, this one too.
	DropOldest
	// DropNewest drops this one.
	DropNewest
)

// SendOptions says how one message is treated while its connection is slow.
type SendOptions struct {
	Overflow Overflow // instead of that of the ConnOptions
	// ConflateKey, if not 0, has the message drop the one of the same key that still
	// waits whole. It goes behind all others, so that their order holds.
	ConflateKey uint64
}

// ConnOptions bound what a connection may hold in memory, and how long.
type ConnOptions struct {
	MaxInput  int // Bytes OnData may leave. Defaults to 16 MiB + 64 KiB.
	MaxOutput int // Bytes not yet taken by the kernel. Defaults to 1 MiB. A single message may be larger when nothing else waits.
	Overflow  Overflow
	// WriteTimeout is how long bytes may wait while the peer takes none; then the
	// connection ends with ErrWriteTimeout. Zero means no limit.
	WriteTimeout time.Duration
	// ExcludeFromBudget keeps what waits out of Config.MaxBuffered: for connections that
	// their protocol bounds, which must not be cut for what others do. One that is
	// cut for what waits counts as ExcludedCloses, not as SlowConsumerCloses.
	ExcludeFromBudget bool
	// Retain keeps what was written when it has gone out, for protocols that send again what was not acknowledged: see Conn.TakeFlushed. Overflow is CloseSlow then.
	// What the peer had sent before the connection broke comes in a last OnData, in which nothing can be written any more, also when it was a write that found the end.
	Retain bool
}

// check refuses what cannot be, and fills in the defaults. Errors name the options so.
func (o ConnOptions) check(of string) (ConnOptions, error) {
	err := checkNumbers(of, number{"MaxInput", int64(o.MaxInput)}, number{"MaxOutput", int64(o.MaxOutput)}, number{"WriteTimeout", int64(o.WriteTimeout)})
	if err != nil {
		return o, err
	}
	if o.Overflow > DropNewest {
		return o, fmt.Errorf("engine: %s.Overflow: %d is none of the policies", of, o.Overflow)
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

// Conn is one connection. All of it is for its loop only, except Loop.
type Conn struct {
	// Static after it was made.
	loop    *Loop
	options *ConnOptions // shared by a listener's conns

	// Owned by the loop. What each message touches stands together.
	handler    Handler
	g          gnet.Conn // nil once gnet has closed it
	out        []byte    // written and not with gnet, nil when empty; bound: unsent output of a client
	sent       int       // bytes of out that gnet has
	unconsumed []byte    // read and not consumed, nil when empty; bound: unconsumed input of a connection
	taken      uint32    // bytes of carry the handler is done with
	usual      uint32    // bytes the last flush had, at most mostUsual
	drain      *drain    // CloseAfterFlush is under way
	backlog    *backlog  // only while the kernel takes no more
	opened     bool      // OnOpen was due
	ended      bool      // OnClose is due or was
	dirty      bool      // in loop.dirty
	slow       bool      // in loop.blocked
	paused     bool      // reads nothing
	resumed    bool      // in loop.resumed
	yielded    bool      // in loop.yielded: reads nothing either
	offered    bool      // its turn has come, and OnData is running
	deaf       bool      // the poller does not look for input
	peer       peerEnd   // whether the peer has ended its side
	shared     uint16    // id of the Shared that out is a view of; 0: of none

	slot     uint32         // in loop.conns
	retained *retained      // nil without ConnOptions.Retain
	listener *Listener      // static; nil when enrolled by hand
	remote   netip.AddrPort // static
}

func newConn(l *Loop, h Handler, o *ConnOptions, ln *Listener, remote netip.AddrPort) *Conn {
	c := &Conn{loop: l, handler: h, options: o, listener: ln, remote: remote}
	if o.Retain {
		c.retained = &retained{}
	}
	return c
}

// Loop is the loop c belongs to for life. Any goroutine may ask.
func (c *Conn) Loop() *Loop { return c.loop }

// Origin is who a limit per address counts the peer as: its IPv4 address or IPv6 /64; zero for anything but TCP.
func (c *Conn) Origin() netip.Addr { return origin(c.remote) }

// RemoteAddr is the peer's address, also after the end; zero for anything but TCP.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Handler is who is told about c.
func (c *Conn) Handler() Handler { return c.handler }

// Closed tells whether c takes no more writes.
func (c *Conn) Closed() bool { return c.ended || c.drain != nil }

// Close ends c at once; bytes not sent are lost. OnClose runs after the callback,
// posted function or timer in progress, never inside Close.
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
	former Handler // of a conn that goes on with another one; nil: it has ended
}

// finish releases what c holds and tells the handler.
func (c *Conn) finish(reason error) {
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
	if c.retained == nil { // else OnClose may want what has not gone out
		l.buffers.put(c.out)
		c.out, c.sent = nil, 0
	}
	c.unconsumed, c.taken = nil, 0
	c.dropBacklog()
	if c.drain != nil {
		l.Cancel(&c.drain.Timer)
	}
	if c.listener != nil {
		c.listener.left(c.remote)
	}
	c.callClose(c.handler, reason)
	c.out = nil
	l.forgetConn(c)
}

func (c *Conn) callOpen() {
	defer c.caught("OnOpen")
	c.handler.OnOpen(c)
}

func (c *Conn) callData(in []byte) (n int) {
	defer c.caught("OnData")
	return c.handler.OnData(c, in)
}

func (c *Conn) callClose(h Handler, reason error) {
	defer c.loop.caught("OnClose")
	h.OnClose(c, reason)
}

func (c *Conn) caught(what string) {
	if p := recover(); p != nil {
		c.loop.report(what, p)
		c.markEnded(ErrPanic)
	}
}

// linger is how long a drained conn waits for the peer to close. Closing first
// would, with input unread, make the kernel throw away what is on its way.
const linger = 2 * time.Second

// drain is the state of CloseAfterFlush.
type drain struct {
	Timer
	conn     *Conn
	reason   error
	deadline time.Time
	shut     bool // everything is with the kernel and our FIN sent
}

// CloseAfterFlush takes no more writes, sends what was written, tells the peer
// the end and closes when the peer has closed, before or after, or two seconds later; in any case
// when within has passed. What the peer still sends is read and thrown away.
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

// OnTimer cuts what did not drain in time.
func (d *drain) OnTimer(*Timer) { d.conn.markEnded(d.reason) }
