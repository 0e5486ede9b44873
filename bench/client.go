package bench

import (
	"bytes"
	"errors"
	"fmt"

	"sluice/codec"
	"sluice/engine"
)

// client is one connection of the load and the handler of it. All of it belongs to its lane's loop once it is enrolled.
type client struct {
	lane *lane
	id   uint32 // its stream
	from uint32 // the first stream whose messages are for it; accounts[i] is of stream from+i

	conn     *engine.Conn
	wire     wire   // nil until the WebSocket handshake is done
	key      string // of the handshake
	step     int    // of the envelope's opening
	ready    bool   // may send
	sender   bool
	over     bool // to be closed by us: its end is no failure
	accounts []account
	person   *person         // in mode chat
	name     [targetLen]byte // how the bench worker knows it
	target   [targetLen]byte // whom it sends to
	sent     uint32          // messages; also the next sequence
	inFlight int32
	who      who
	waiting  waiting // where any message is an answer
	answers  uint32  // likewise, had so far
	life     int     // messages left until it is replaced by a new connection; 0: lives on
	dialled  int64   // connect: when the dial began, microseconds since the run began
}

// errBye ends a connection that has done its share.
var errBye = errors.New("done")

// OnOpen implements engine.Handler.
func (c *client) OnOpen(conn *engine.Conn) {
	c.conn, c.over = conn, false
	c.lane.open++
	f := c.lane.opts.format(c.id)
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
	c.lane.tick()
	taken := 0
	if c.wire == nil {
		ws, n, err := codec.ReadResponse(in, c.key, c.dialOptions())
		if errors.Is(err, codec.ErrUnavailable) {
			c.turnedAway(err)
			return len(in)
		}
		if err == nil && n > 0 {
			err = c.lane.run.plan.agreed(ws)
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
		if err != nil || ev == codec.Closed {
			c.fail("closed", fmt.Errorf("the server said goodbye: %w", errors.Join(err, errClosed)))
			return len(in)
		}
		if n == 0 {
			break
		}
		taken += n
		if ev == codec.MessageText || ev == codec.MessageBinary {
			c.received(payload)
		}
	}
	return taken
}

// Why a connection that a server has accepted is of no use.
var (
	errClosed  = errors.New("closed")
	errOpening = errors.New("the login was answered wrongly")
)

// OnClose implements engine.Handler.
func (c *client) OnClose(_ *engine.Conn, reason error) {
	c.lane.open--
	if ws, ok := c.wire.(*codec.WebSocket); ok {
		ws.Release()
		c.wire = nil
	}
	if errors.Is(reason, engine.ErrStopped) {
		return
	}
	if !c.over {
		c.lane.failed("closed", reason)
	}
	switch {
	case c.lane.opts.shortLived():
		c.lane.replace(c)
	case errors.Is(reason, errBye):
		c.lane.run.redial(c)
	}
}

// overloaded is what a gateway tells a newcomer that it has no room for, where there is no handshake to refuse (package gateway).
const overloaded = `{"type":"sluice.overloaded"}`

// turnedAway ends a newcomer that the server has no room for, and has told so: nothing of what it has sent has to arrive, if it came for a while only.
func (c *client) turnedAway(err error) {
	if c.lane.opts.shortLived() {
		c.accounts = nil
	}
	c.fail(TurnedAway, err)
}

func (c *client) fail(kind string, err error) {
	c.lane.failed(kind, err)
	c.over = true
	c.conn.Close(err)
}

// introduce makes sure that the server knows the client before anything is sent to it, and by which name, where the mode sends to others; the answer comes back
// in arrived. Otherwise the client is ready.
func (c *client) introduce() {
	if c.lane.opts.Envelope != nil {
		c.step = 0
		c.openNext()
		return
	}
	c.greet()
}

// greet does it after a login.
func (c *client) greet() {
	l := c.lane
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
	l := c.lane
	l.hello[l.layout.quote] = verb
	if l.layout.target > 0 {
		copy(l.hello[l.layout.target:], name[:])
	}
	c.write(l.hello)
}

// answered takes in the answer to a command, if it is one.
func (c *client) answered(verb byte) bool {
	if c.person != nil {
		return c.person.answered(verb)
	}
	if c.ready || verb != intros[c.lane.opts.Mode] {
		return false
	}
	c.begin()
	return true
}

// begin makes the client ready, and a part of the load if that runs already.
func (c *client) begin() {
	c.ready = true
	c.lane.readied(c)
}

// arrived checks one message, and in a closed loop answers with the next.
func (c *client) arrived(p []byte) {
	l := c.lane
	if len(p) != l.layout.size {
		if l.overheard(p) {
			return
		}
		if string(p) == overloaded {
			c.turnedAway(errors.New("the server is overloaded"))
			return
		}
		l.changed(fmt.Errorf("a message of %d bytes arrived, and all are of %d", len(p), l.layout.size))
		return
	}
	verb := p[l.layout.quote]
	if l.layout.verb() && c.answered(verb) {
		return
	}
	s, err := readStamp(p[l.layout.stamp:])
	if err != nil || !bytes.Equal(p[l.layout.stamp+stampLen:], l.message[l.layout.stamp+stampLen:]) {
		l.changed(fmt.Errorf("%q arrived", p[:min(len(p), 64)]))
		return
	}
	if c.person != nil {
		c.person.heard(verb, s)
		return
	}
	if i := s.stream - c.from; i < uint32(len(c.accounts)) {
		c.accounts[i].arrived(s.seq, &l.audit)
	} else {
		l.audit.Unexpected++
		return
	}
	l.arrived(c, s, len(p))
}

// send sends the next message, which was due at the time given, in microseconds since the run began.
func (c *client) send(due int64) {
	l := c.lane
	c.sent++
	c.inFlight++
	l.sent++
	c.speak(l.verb, c.target, c.sent-1, due)
}

// speak sends one message of the client's stream.
func (c *client) speak(verb byte, target [targetLen]byte, seq uint32, due int64) {
	l := c.lane
	stamp{stream: c.id, seq: seq, at: due}.put(l.message[l.layout.stamp:])
	if l.layout.verb() {
		l.message[l.layout.quote] = verb
	}
	if l.layout.target > 0 {
		copy(l.message[l.layout.target:], target[:])
	}
	c.write(c.packed(seq, due))
}

func (c *client) write(p []byte) {
	_ = c.conn.Commit(c.wire.Append(c.conn.Begin(len(p)), p, c.lane.text)) // a failure closes the connection, and OnClose tells
}
