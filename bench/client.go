package bench

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// client is one connection of the load and the handler of it. All of it belongs to its shard's loop once it is enrolled.
type client struct {
	shard *shard
	id    uint32 // its stream
	from  uint32 // the first stream whose messages are for it; accounts[i] is of stream from+i

	conn     *engine.Conn
	wire     wire   // nil until the WebSocket handshake is done
	key      string // of the handshake
	step     int    // of the envelope's opening
	ready    bool   // may send
	sender   bool
	over     bool // to be closed by us: its end is no failure
	accounts []account
	person   *person         // in mode chat
	slow     *slowReader     // of one that reads nothing
	name     [targetLen]byte // how the bench worker knows it
	target   [targetLen]byte // whom it sends to
	hears    [targetLen]byte // whom that was sent to which it receives
	sent     atomic.Uint32   // messages; also the next sequence. Its loop alone adds to it; all that it sends to look at it.
	inFlight int32
	who      who
	waiting  waiting // where any message is an answer
	answers  uint32  // likewise, had so far
	unread   uint32  // messages that could not be read
	ahead    uint32  // of these, the ones that were taken for an answer and have not turned out to be one
	mistyped bool    // the message at hand is not of the WebSocket type it was sent as
	slot     int     // in the shard's clients
	life     int     // messages left until it is replaced by a new connection; 0: lives on
	dialled  int64   // connect: when the dial began, microseconds since the run began
}

// errBye ends a connection that has done its share.
var errBye = errors.New("done")

// OnOpen implements engine.Handler.
func (c *client) OnOpen(conn *engine.Conn) {
	l := c.shard
	l.tick()
	c.conn, c.over, c.step = conn, false, 0
	l.Open++
	if l.opts.shortLived() {
		l.enter(c)
	}
	f := l.opts.format(c.id)
	if f.Codec == WebSocket {
		c.key = codec.NewKey()
		_ = conn.Write(c.upgrade()) // a failure closes, and OnClose tells
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
		if n == 0 {
			return 0
		}
		taken, c.wire, c.key = n, ws, ""
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
			c.fail("closed", errGoodbye)
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
	if c.over { // only now: what has come with the last answer is looked at too
		conn.Close(errBye)
	}
	return taken
}

// Why a connection that a server has accepted is of no use.
var (
	errOverloaded = errors.New("the server is overloaded")
	errGoodbye    = errors.New("the server said goodbye")
	errOpening    = errors.New("the login was answered wrongly")
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
		c.shard.failed("backlog", fmt.Errorf("the server takes less than is sent: %w", reason))
	default:
		c.shard.failed("closed", reason)
	}
	switch {
	case c.shard.opts.shortLived():
		c.shard.replace(c)
	case errors.Is(reason, errBye):
		c.shard.run.redial(c)
	}
}

// overloaded is what a gateway tells a newcomer that it has no room for, where there is no handshake to refuse (package gateway).
const overloaded = `{"type":"sluice.overloaded"}`

// turnedAway ends a newcomer that the server has no room for, and has told so: nothing of what it has sent has to arrive, if it came for a while only. Whoever has got an answer
// is no newcomer.
func (c *client) turnedAway(err error) {
	if l := c.shard; l.opts.shortLived() && len(c.accounts) > 0 && c.accounts[0].next == 0 {
		c.accounts = nil
		l.audit.Sent -= uint64(c.sent.Load())
	}
	c.fail(TurnedAway, err)
}

func (c *client) fail(kind string, err error) {
	c.shard.failed(kind, err)
	c.over = true
	c.conn.Close(err)
}

// introduce goes on with the login, if there is one, and then makes sure that the server knows the client before anything is sent to it, and by which name, where the mode
// sends to others; the answer comes back in arrived. Otherwise the client is ready.
func (c *client) introduce() {
	l := c.shard
	if s := l.run.plan.script; s != nil && !c.login(s.opening) {
		return
	}
	if !l.layout.verb() || l.opts.Envelope.wraps() {
		c.begin()
		return
	}
	c.command(intros[l.opts.Mode], c.name)
}

// intros are the first commands of each mode.
var intros = map[Mode]byte{Push: verbLogin, Rooms: verbJoin, Broadcast: verbNothing, Chat: verbLogin}

// command tells the bench worker something that it answers.
func (c *client) command(verb byte, name [targetLen]byte) {
	l := c.shard
	l.layout.address(l.hello, verb, &name)
	c.write(l.hello)
}

// answers tells whether p is the answer to a command: the same.
func (l *shard) answers(p []byte, verb byte, name [targetLen]byte) bool {
	if p[l.layout.quote] != verb {
		return false
	}
	l.layout.address(l.hello, verb, &name)
	return bytes.Equal(p, l.hello)
}

// answered takes in the answer to a command, if it is one. Until its first is answered a client hears nothing else.
func (c *client) answered(p []byte) bool {
	if c.person != nil {
		return c.person.answered(p)
	}
	if c.ready {
		return false
	}
	if !c.shard.answers(p, intros[c.shard.opts.Mode], c.name) {
		c.fail("handshake", fmt.Errorf("%q is not the answer to its first command", p[:min(len(p), 64)]))
		return true
	}
	c.begin()
	return true
}

// begin makes the client ready, and a part of the load if that runs already.
func (c *client) begin() {
	l := c.shard
	c.ready = true
	if c.dialled == 0 && c.life == 0 {
		l.run.opened(nil)
	}
	switch {
	case c.life > 0 && !l.running: // it was dialled when nothing is sent any more
		c.over = true
		c.conn.Close(errBye)
	case l.running && c.sender:
		l.fill(c)
	}
}

// arrived checks one message, and in a closed loop answers with the next.
func (c *client) arrived(p []byte) {
	l := c.shard
	if len(p) != l.layout.size {
		if l.overheard(p) {
			return
		}
		if string(p) == overloaded {
			c.turnedAway(errOverloaded)
			return
		}
		switch {
		case c.slow == nil:
			c.garbled(fmt.Errorf("a message of %d bytes arrived, and all are of %d", len(p), l.layout.size))
		case !c.ready:
			c.begin()
		}
		return
	}
	if l.layout.verb() && c.answered(p) {
		return
	}
	s, err := readStamp(p[l.layout.stamp:])
	if err != nil || c.person != nil && !heard(p[l.layout.quote]) {
		c.garbled(fmt.Errorf("%q arrived", p[:min(len(p), 64)]))
		return
	}
	l.audit.Received++
	if c.person != nil {
		c.person.heard(p, s)
		return
	}
	i := s.stream - c.from
	if i >= uint32(len(c.accounts)) {
		l.audit.Unexpected++
		return
	}
	fresh, over := c.accounts[i].arrived(s.seq, c.sentBy(s.stream), &l.audit)
	if !fresh {
		return
	}
	whole := !c.mistyped && l.intact(p, l.verb, &c.hears)
	if !whole {
		l.changed(p)
	}
	c.ahead -= min(c.ahead, over)
	l.arrived(c, s, whole)
}

// sentBy is how many messages a stream has sent by now.
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

// garbled takes in a message that cannot be read. Where each message has one answer it is taken for that, so that the load goes on.
func (c *client) garbled(err error) {
	l := c.shard
	l.audit.Received++
	l.failed("unreadable", err)
	c.unread++
	if c.ready && c.person == nil && len(c.accounts) == 1 && c.inFlight > 0 {
		c.ahead++
		l.follow(c, false)
	}
}

// send sends the next message, which was due at the time given, in microseconds since the run began.
func (c *client) send(due int64) {
	l := c.shard
	seq := c.sent.Load()
	c.sent.Store(seq + 1)
	c.inFlight++
	l.Sent++
	c.speak(l.verb, &c.target, seq, due)
}

// speak sends one message of the client's stream.
func (c *client) speak(verb byte, target *[targetLen]byte, seq uint32, due int64) {
	l := c.shard
	l.audit.Sent++
	stamp{stream: c.id, seq: seq, at: uint32(due)}.put(l.message[l.layout.stamp:])
	l.layout.address(l.message, verb, target)
	c.write(c.packed(seq, due))
}

func (c *client) write(p []byte) {
	_ = c.conn.Commit(c.wire.Append(c.conn.Begin(len(p)), p, c.shard.text)) // a failure closes the connection, and OnClose tells
}
