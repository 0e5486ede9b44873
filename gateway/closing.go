package gateway

import (
	"cmp"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

const (
	// flushTimeout is how long a client may take to receive what was written before it was closed.
	flushTimeout = 5 * time.Second
	// closeWait is how long a WebSocket may take to answer a close frame.
	closeWait = 5 * time.Second
	// closeWaitShort is that time for a WebSocket that has violated a rule or a limit, or was idle.
	// It is also how long a client of another protocol may take to close the connection after it
	// was notified of a drain.
	closeWaitShort = time.Second
	// lingerTime is how much longer a client that has not answered is read, after the gateway has
	// closed its side of the connection.
	lingerTime = 2 * time.Second
	// halfCloseTimeout is how long a client that has closed its side waits for the answers to its
	// messages.
	halfCloseTimeout = 30 * time.Second
)

// end closes the connection after all output is written, with the close frame or last message of
// its protocol.
func (s *session) end(reason link.Reason) {
	code, text := closeCodeAndText(reason)
	s.endWithCode(reason, code, text)
}

// endWithCode is end with a close code and a text chosen by the worker.
func (s *session) endWithCode(reason link.Reason, code uint16, text string) {
	if s.phase > phaseOpen {
		return
	}
	client := s.phase == phaseOpen
	if client {
		if b := s.codec.AppendClose(s.loop.out[:0], code, text); len(b) > 0 {
			s.loop.out = b
			_ = s.conn.Write(b)
			// A WebSocket has a close frame instead.
		} else if word := farewellMessage(reason, code, text); word != "" && !s.lis.upgrades() {
			s.sendText([]byte(word))
		}
	}
	s.phase = phaseEnding
	s.reason = reason
	s.loop.members.Remove(&s.member) // its uid and groups are free before its last bytes are written
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
	if s.phase != phaseEnding { // else the reason is set
		s.reason = reason
	}
	s.conn.Close(closing(reason))
}

// closingConn is the connection of a client that the gateway has closed, until its last bytes are
// delivered. The worker no longer has the client, and its slot is free as soon as its worker has
// acknowledged that. Owned by the loop.
//
// The gateway does not close the connection of a WebSocket before the client has answered the close
// frame (RFC 6455 section 7.1.1). If the connection ends while the client's system or a proxy has
// data from the client in hand, it is reset, and what the client has not read is lost, including
// the close frame. For the same reason a client of another protocol has a moment to close when the
// gateway drains. Input is discarded meanwhile.
type closingConn struct {
	loop   *loop
	conn   *engine.Conn
	ws     *codec.WebSocket // nil: not a WebSocket
	reason link.Reason
	timer  engine.Timer
}

// startClosing replaces the session as the connection's handler. The connection may have ended
// already, if the last message overflowed its buffer.
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

// timeout is how long the client may take to close the connection.
func (v *closingConn) timeout() time.Duration {
	switch {
	case v.reason == link.ReasonPeer: // it has sent a close frame
		return 0
	case v.ws == nil && v.reason != link.ReasonDraining:
		return 0
	case v.ws == nil || isFault(v.reason):
		return closeWaitShort
	}
	return closeWait
}

// isFault reports whether the reason is a fault of the client.
func isFault(r link.Reason) bool {
	switch r {
	case link.ReasonProtocol, link.ReasonTooBig, link.ReasonLimit, link.ReasonSlowConsumer, link.ReasonIdle,
		link.ReasonHandshake:
		return true
	}
	return false
}

// OnOpen implements engine.Handler. It is never called.
func (v *closingConn) OnOpen(*engine.Conn) {}

// OnData implements engine.Handler. It discards input, and looks for the close frame of a
// WebSocket.
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

// OnEnd implements engine.Ender: the client has closed its side.
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

// finish closes the connection when the output is written, or after the time given.
func (v *closingConn) finish(within time.Duration) {
	v.loop.el.Cancel(&v.timer)
	v.conn.CloseAfterFlush(closing(v.reason), within)
}

// closing yields the connections of clients that the gateway has closed.
func (l *loop) closing(yield func(*closingConn) bool) {
	for c := range l.el.Conns() {
		if v, ok := c.Handler().(*closingConn); ok && !yield(v) {
			return
		}
	}
}

// OnEnd implements engine.Ender: the client has closed its side. It is closed when its messages are
// handled and the answers are written.
func (s *session) OnEnd(c *engine.Conn) {
	switch s.phase {
	case phaseOpen:
		s.pauses |= halfClosed
		if s.throttle(); s.phase == phaseOpen {
			s.loop.stats.HalfClosed++
			s.loop.el.Schedule(&s.timer, halfCloseTimeout)
		}
	case phaseEnding: // its page is being made, which has a timeout
	default:
		c.Close(closing(link.ReasonPeer))
	}
}

// closeUnanswered closes a client that has closed its side or violated its protocol: not all its
// messages were handled in time.
func (s *session) closeUnanswered() {
	s.loop.stats.HalfClosesUnanswered++
	s.end(cmp.Or(s.reason, link.ReasonPeer))
}
