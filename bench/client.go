package bench

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// client is one connection of the load, and its handler. The loop of its shard owns
// all of it once it is registered.
type client struct {
	shard *shard
	id    uint32 // its stream
	from  uint32 // the first stream whose messages it receives; accounts[i] is that of stream from+i

	conn     *engine.Conn
	wire     wire   // nil until the WebSocket handshake is done
	key      string // of the handshake
	step     int    // of the login
	ready    bool   // may send
	sender   bool
	over     bool // the client closes the connection: its end is not a failure
	accounts []account
	user     *user           // in mode chat
	slow     *slowReader     // of a client that stops reading
	name     [targetLen]byte // by which the bench worker knows it
	target   [targetLen]byte // to which it sends
	receives [targetLen]byte // target of the messages that it receives
	sent     atomic.Uint32   // messages, and the next sequence number; only its loop adds, receivers read
	inFlight int32
	values   values
	waiting  waiting // unaudited messages without an answer
	answers  uint32  // of unaudited messages
	unread   uint32  // messages that could not be read
	ahead    uint32  // of these, those that were taken for an answer which has not come
	mistyped bool    // the current message does not have the WebSocket type it was sent with
	slot     int     // index in shard.clients
	life     int     // messages left on a short-lived connection; 0: lives on
	dialled  int64   // connect: when the dial began, microseconds since the start of the run
}

// errDone ends a connection that has done its work.
var errDone = errors.New("done")

// OnOpen implements engine.Handler.
func (c *client) OnOpen(conn *engine.Conn) {
	sh := c.shard
	sh.tick()
	c.conn, c.over, c.step = conn, false, 0
	sh.Open++
	if sh.opts.shortLived() {
		sh.enter(c)
	}
	f := sh.opts.format(c.id)
	if f.Codec == WebSocket {
		c.key = codec.NewKey()
		_ = conn.Write(c.upgrade()) // a failure closes the connection and calls OnClose
		return
	}
	c.wire = newWire(f.Codec)
	c.introduce()
}

// OnData implements engine.Handler.
func (c *client) OnData(conn *engine.Conn, in []byte) int {
	c.shard.tick()
	taken := 0
	if c.wire == nil {
		if taken = c.handshake(in); c.wire == nil {
			return taken
		}
		c.introduce()
	}
	var space [128]byte // for replies to control frames
	for taken < len(in) && !conn.Closed() {
		ev, payload, n, reply, err := c.wire.Decode(in[taken:], space[:0])
		if len(reply) > 0 {
			_ = conn.Write(reply)
		}
		if err != nil {
			c.fail("protocol", err)
			return len(in)
		}
		if ev == codec.Closed {
			c.fail("closed", errClosed)
			return len(in)
		}
		if n == 0 {
			break
		}
		taken += n
		if ev == codec.MessageText || ev == codec.MessageBinary {
			c.mistyped = c.shard.typed && (ev == codec.MessageText) != c.shard.text
			c.received(payload)
		}
	}
	if c.over { // closed only now, so that data after the last answer is audited
		conn.Close(errDone)
	}
	return taken
}

// handshake reads the answer to the WebSocket handshake. It sets c.wire once that is complete.
func (c *client) handshake(in []byte) (taken int) {
	ws, n, err := codec.ReadResponse(in, c.key, c.dialOptions())
	if errors.Is(err, codec.ErrUnavailable) {
		c.turnedAway(err)
		return len(in)
	}
	if err == nil && n > 0 {
		err = c.shard.run.plan.agreed(ws)
	}
	if err != nil {
		c.fail("handshake", err)
		return len(in)
	}
	if n > 0 {
		c.wire, c.key = ws, ""
	}
	return n
}

// Reasons why a connection cannot be used that a server has accepted.
var (
	errOverloaded = errors.New("the server is overloaded")
	errClosed     = errors.New("the server closed the WebSocket")
	errLogin      = errors.New("wrong answer to the login")
)

// OnClose implements engine.Handler.
func (c *client) OnClose(_ *engine.Conn, reason error) {
	c.shard.Open--
	if ws, ok := c.wire.(*codec.WebSocket); ok {
		ws.Release()
		c.wire = nil
	}
	if errors.Is(reason, engine.ErrStopped) {
		return
	}
	switch {
	case c.over:
	case errors.Is(reason, engine.ErrSlowConsumer):
		c.shard.failed("backlog", fmt.Errorf("the server reads more slowly than is sent: %w", reason))
	default:
		c.shard.failed("closed", reason)
	}
	switch {
	case c.shard.opts.shortLived():
		c.shard.replace(c)
	case errors.Is(reason, errDone):
		c.shard.run.redial(c)
	}
}

// overloaded is what an overloaded gateway sends to a new connection whose codec
// has no handshake (package gateway).
const overloaded = `{"type":"sluice.overloaded"}`

// turnedAway ends a new connection that the server has no room for. What a short-lived client has
// sent on it need not arrive. A client that has an answer is not new.
func (c *client) turnedAway(err error) {
	if sh := c.shard; sh.opts.shortLived() && len(c.accounts) > 0 && c.accounts[0].next == 0 {
		c.accounts = nil
		sh.audit.Sent -= uint64(c.sent.Load())
	}
	c.fail(TurnedAway, err)
}

func (c *client) fail(kind string, err error) {
	c.shard.failed(kind, err)
	c.over = true
	c.conn.Close(err)
}

// introduce goes on with the login. Then, in a mode with named clients, it sends a command that
// tells the server the name; the answer arrives in arrived. Otherwise the client is ready.
func (c *client) introduce() {
	sh := c.shard
	if s := sh.run.plan.script; s != nil && !c.login(s.opening) {
		return
	}
	if !sh.layout.verb() || sh.opts.Envelope.wraps() {
		c.begin()
		return
	}
	c.command(intros[sh.opts.Mode], c.name)
}

// intros are the first commands, by mode.
var intros = map[Mode]byte{Push: verbLogin, Rooms: verbJoin, Broadcast: verbNothing, Chat: verbLogin}

// command sends a command to the bench worker, which answers it.
func (c *client) command(verb byte, name [targetLen]byte) {
	sh := c.shard
	sh.layout.address(sh.command, verb, &name)
	c.write(sh.command)
}

// answers reports whether p is the answer to a command: the command itself.
func (sh *shard) answers(p []byte, verb byte, name [targetLen]byte) bool {
	if p[sh.layout.quote] != verb {
		return false
	}
	sh.layout.address(sh.command, verb, &name)
	return bytes.Equal(p, sh.command)
}

// answered handles the answer to a command, if p is one. Before its first
// answer a client receives nothing else.
func (c *client) answered(p []byte) bool {
	if c.user != nil {
		return c.user.answered(p)
	}
	if c.ready {
		return false
	}
	if !c.shard.answers(p, intros[c.shard.opts.Mode], c.name) {
		c.fail("handshake", fmt.Errorf("%q is not the answer to the first command", p[:min(len(p), 64)]))
		return true
	}
	c.begin()
	return true
}

// begin makes the client ready, and part of the load if that is running.
func (c *client) begin() {
	sh := c.shard
	c.ready = true
	if c.dialled == 0 && c.life == 0 {
		sh.run.opened(nil)
	}
	switch {
	case c.life > 0 && !sh.running: // the load has ended since the dial
		c.over = true
		c.conn.Close(errDone)
	case sh.running && c.sender:
		sh.fill(c)
	}
}

// arrived checks one message, and in a closed loop answers it with the next.
func (c *client) arrived(p []byte) {
	sh := c.shard
	if len(p) != sh.layout.size {
		c.oddSize(p)
		return
	}
	if sh.layout.verb() && c.answered(p) {
		return
	}
	s, err := readStamp(p[sh.layout.stamp:])
	if err != nil || c.user != nil && !isChat(p[sh.layout.quote]) {
		c.unreadable(fmt.Errorf("%q arrived", p[:min(len(p), 64)]))
		return
	}
	sh.audit.Received++
	if c.user != nil {
		c.user.received(p, s)
		return
	}
	i := s.stream - c.from
	if i >= uint32(len(c.accounts)) {
		sh.audit.Unexpected++
		return
	}
	fresh, over := c.accounts[i].arrived(s.seq, c.sentBy(s.stream), &sh.audit)
	if !fresh {
		return
	}
	whole := !c.mistyped && sh.intact(p, sh.verb, &c.receives)
	if !whole {
		sh.changed(p)
	}
	c.ahead -= min(c.ahead, over)
	sh.arrived(c, s, whole)
}

// oddSize handles a message that does not have the size of the messages of the load.
func (c *client) oddSize(p []byte) {
	switch {
	case c.shard.overheard(p):
	case string(p) == overloaded:
		c.turnedAway(errOverloaded)
	case c.slow == nil:
		c.unreadable(fmt.Errorf("a message of %d bytes arrived, not of %d: %q", len(p), c.shard.layout.size, excerpt(p)))
	case !c.ready:
		c.begin()
	}
}

func (c *client) sentBy(stream uint32) uint32 {
	if stream == c.id {
		return c.sent.Load()
	}
	g := c.shard.run
	if stream < g.first || stream >= g.end {
		return unknown
	}
	return g.clients[stream-g.first].sent.Load()
}

// unreadable counts a message that cannot be read. Where each message has one answer it is taken
// for the answer, so that the load goes on.
func (c *client) unreadable(err error) {
	sh := c.shard
	sh.audit.Received++
	sh.failed("unreadable", err)
	c.unread++
	if c.ready && c.user == nil && len(c.accounts) == 1 && c.inFlight > 0 {
		c.ahead++
		sh.follow(c, false)
	}
}

// send sends the next message. due is in microseconds since the start of the run.
func (c *client) send(due int64) {
	sh := c.shard
	seq := c.sent.Load()
	c.sent.Store(seq + 1)
	c.inFlight++
	sh.Sent++
	c.sendMessage(sh.verb, &c.target, seq, due)
}

func (c *client) sendMessage(verb byte, target *[targetLen]byte, seq uint32, due int64) {
	sh := c.shard
	sh.audit.Sent++
	stamp{stream: c.id, seq: seq, at: uint32(due)}.put(sh.message[sh.layout.stamp:])
	sh.layout.address(sh.message, verb, target)
	c.write(c.packed(seq, due))
}

// write sends a message. A failure closes the connection and calls OnClose.
func (c *client) write(p []byte) {
	_ = c.conn.Commit(c.wire.Append(c.conn.Begin(len(p)), p, c.shard.text))
}
