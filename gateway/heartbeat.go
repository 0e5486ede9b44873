package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// pulse is the activity of a client since its last heartbeat, as bits.
type pulse uint8

const (
	alive   pulse = 1 << iota // bytes came: pings are answered
	active                    // a message came
	written                   // something was written to the client
)

// heartbeat pings a client that has sent no message, and closes one that has left MaxMissedPings
// pings unanswered. Any bytes received count as an answer. So does output that the client has
// acknowledged, because the ping may be behind it. A client that is not read is not closed. A
// client that sends messages but was sent nothing is also pinged, so that no proxy takes the
// connection for idle. It need not answer.
func (s *session) heartbeat() {
	if s.pulse&(alive|active) != 0 || s.pauses != 0 || s.isReading() {
		s.misses = 0
	}
	quiet, sent := s.pulse&active == 0 && s.pauses == 0, s.pulse&written != 0
	s.pulse = 0
	switch {
	// Input that has arrived and is not read yet may be the answer.
	case quiet && int(s.misses) >= s.lis.MaxMissedPings && !s.conn.Arrived():
		s.end(link.ReasonIdle)
		return
	case quiet:
		s.misses++
		s.ping()
	case !sent:
		s.ping()
	}
	s.noteAcked()
	s.loop.el.Schedule(&s.timer, s.lis.Heartbeat)
}

func (s *session) ping() {
	if s.lis.Ping != "" && !s.lis.upgrades() {
		s.sendText([]byte(s.lis.Ping))
	} else if b := s.codec.AppendPing(s.loop.out[:0]); len(b) > 0 {
		s.writeControl(b)
	}
}

// writeControl writes bytes that a codec has appended to the loop's scratch buffer, which it keeps.
func (s *session) writeControl(b []byte) {
	s.loop.out = b
	s.noteWrite()
	_ = s.conn.Write(b) // an overflow closes the client
}

// noteWrite notes that something is written to the client.
func (s *session) noteWrite() {
	if s.pulse&written == 0 { // a fan-out must not write to each session's memory each time
		s.pulse |= written
	}
}

// noteAcked stores how many bytes a client has acknowledged if it will be closed at the next
// heartbeat unless it responds.
func (s *session) noteAcked() {
	if int(s.misses) < s.lis.MaxMissedPings {
		delete(s.loop.ackedBytes, s)
		return
	}
	acked, _ := s.conn.Taken()
	s.loop.ackedBytes[s] = acked
}

// isReading reports whether such a client has acknowledged output since then and not yet all of it:
// it reads, but slowly.
func (s *session) isReading() bool {
	before, marked := s.loop.ackedBytes[s]
	if !marked {
		return false
	}
	acked, waiting := s.conn.Taken()
	return waiting > 0 && acked > before
}
