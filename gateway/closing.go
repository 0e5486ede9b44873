package gateway

import (
	"cmp"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	// flushTimeout is how long a client has to take what was written before it was closed.
	flushTimeout = 5 * time.Second
	// closeWait is how long a WebSocket that was sent a close frame has to answer with its own.
	closeWait = 5 * time.Second
	// closeWaitShort is that of one that has broken a rule or a limit, or says nothing, and how long a client of another protocol that is told of a drain has to close by itself.
	closeWaitShort = time.Second
	// lingerTime is how long one that has not done so is still read when the connection has been ended on this side.
	lingerTime = 2 * time.Second
	// halfCloseTimeout is how long a client that has ended its side waits at most for the answers to what it has sent.
	halfCloseTimeout = 30 * time.Second
)

// end closes the connection once what was written has gone out, with the protocol's farewell.
func (s *session) end(reason link.Reason) {
	code, text := closeCodeAndText(reason)
	s.endWithCode(reason, code, text)
}

// endWithCode is end with a code and a text of the business for a WebSocket.
func (s *session) endWithCode(reason link.Reason, code uint16, text string) {
	if s.phase > phaseOpen {
		return
	}
	client := s.phase == phaseOpen
	if client {
		if b := s.codec.AppendClose(s.loop.out[:0], code, text); len(b) > 0 {
			s.loop.out = b
			_ = s.conn.Write(b)
		} else if word := farewellMessage(reason, code, text); word != "" && !s.lis.upgrades() { // a WebSocket has had its close frame
			s.sendText([]byte(word))
		}
	}
	s.notPending()
	s.phase = phaseEnding
	s.reason = reason
	s.loop.members.Remove(&s.member) // nobody's uid and in no group, though its last bytes may take a while
	s.loop.el.Cancel(&s.timer)
	s.clearDeadline()
	if client {
		s.startClosing(reason)
	} else {
		s.conn.CloseAfterFlush(closing(reason), flushTimeout)
	}
}

// closeNow closes the connection at once.
func (s *session) closeNow(reason link.Reason) {
	if s.phase == phaseGone {
		return
	}
	if s.phase != phaseEnding { // else it has its reason
		s.reason = reason
	}
	s.conn.Close(closing(reason))
}

// closingConn is the connection of a client that the gateway has closed: it takes what was written to it. For the business the client is gone, and its slot is its worker's to free.
// A WebSocket is not ended before its client has answered the close frame (RFC 6455 section 7.1.1): a proxy between them, or the client's system, that has something of the
// client's in hand when the end comes breaks the connection, and what the client has not read is lost, the close frame first of all. So a client of another protocol has a moment
// to close when the gateway drains. What comes meanwhile is thrown away. Owned by the loop.
type closingConn struct {
	loop   *loop
	conn   *engine.Conn
	ws     *codec.WebSocket // nil: there is no close frame to look for
	reason link.Reason
	timer  engine.Timer
}

// startClosing ends what is between the client and its connection, unless that has ended already: its last words may have been too much for it.
func (s *session) startClosing(reason link.Reason) {
	if s.conn.Closed() {
		return
	}
	v := &closingConn{loop: s.loop, conn: s.conn, reason: reason}
	v.timer.Target = v
	v.ws = s.webSocket()
	s.loop.closingConns++
	s.conn.HandOver(v, closing(reason))
	if wait := v.timeout(); wait > 0 && s.pauses&halfClosed == 0 {
		s.loop.el.Schedule(&v.timer, wait)
	} else {
		v.finish(flushTimeout)
	}
}

// timeout is how long the client may take to close, before the connection is ended on this side.
func (v *closingConn) timeout() time.Duration {
	switch {
	case v.reason == link.ReasonPeer: // it has closed
		return 0
	case v.ws == nil && v.reason != link.ReasonDraining:
		return 0
	case v.ws == nil || isFault(v.reason):
		return closeWaitShort
	}
	return closeWait
}

// isFault reports whether a client was closed for something that it has done, or has not.
func isFault(r link.Reason) bool {
	switch r {
	case link.ReasonProtocol, link.ReasonTooBig, link.ReasonLimit, link.ReasonSlowConsumer, link.ReasonIdle, link.ReasonHandshake:
		return true
	}
	return false
}

// OnOpen implements engine.Handler: it never comes.
func (v *closingConn) OnOpen(*engine.Conn) {}

// OnData implements engine.Handler: it looks for the client's close frame and nothing else.
func (v *closingConn) OnData(_ *engine.Conn, in []byte) int {
	if v.ws == nil {
		return len(in)
	}
	n, closed := v.ws.AwaitClose(in)
	if closed {
		v.finish(flushTimeout)
	}
	return n
}

// OnEnd implements engine.Ender: the client has closed.
func (v *closingConn) OnEnd(*engine.Conn) { v.finish(flushTimeout) }

// OnTimer implements engine.TimerHandler: the client has not closed in time.
func (v *closingConn) OnTimer(*engine.Timer) {
	if v.ws != nil {
		v.loop.stats.CloseTimeouts++
	}
	v.finish(max(flushTimeout-v.timeout(), lingerTime))
}

// OnClose implements engine.Handler.
func (v *closingConn) OnClose(*engine.Conn, error) {
	v.loop.el.Cancel(&v.timer)
	v.loop.closingConns--
}

// finish ends the connection once the peer has taken what was written, within a time.
func (v *closingConn) finish(within time.Duration) {
	v.loop.el.Cancel(&v.timer)
	v.conn.CloseAfterFlush(closing(v.reason), within)
}

// closing are the connections of clients that the gateway has closed.
func (l *loop) closing(yield func(*closingConn) bool) {
	for c := range l.el.Conns() {
		if v, ok := c.Handler().(*closingConn); ok && !yield(v) {
			return
		}
	}
}

// OnEnd implements engine.Ender: the client has ended its side. It has the answers to what it has sent, and is closed then.
func (s *session) OnEnd(c *engine.Conn) {
	switch s.phase {
	case phaseOpen:
		s.pauses |= halfClosed
		if s.throttle(); s.phase == phaseOpen {
			s.loop.stats.HalfClosed++
			s.loop.el.Schedule(&s.timer, halfCloseTimeout)
		}
	case phaseEnding: // its page is being made, and has a bound of its own
	default:
		c.Close(closing(link.ReasonPeer))
	}
}

// closeUnanswered closes a client that has ended its side, or broken its protocol: not all of what it has sent was answered in time.
func (s *session) closeUnanswered() {
	s.loop.stats.HalfClosesUnanswered++
	s.end(cmp.Or(s.reason, link.ReasonPeer))
}
