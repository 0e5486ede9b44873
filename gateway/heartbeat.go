package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// pulse is what has come of a client since the last heartbeat, and gone to it, as bits.
type pulse uint8

const (
	alive   pulse = 1 << iota // some bytes came: it answers pings
	active                    // a message came
	written                   // something was written to it
)

// heartbeat pings a client of which no message has come, and closes one that has not answered any ping for so long. Any bytes count as an answer, and those that leave for the
// client too, for the ping may stand behind them; a paused client cannot be heard. One that talks and has been told nothing is pinged as well, lest somebody between us
// takes the connection for one that nobody uses; it owes no answer.
func (s *session) heartbeat() {
	if s.pulse&(alive|active) != 0 || s.pauses != 0 || s.isReading() {
		s.misses = 0
	}
	quiet, told := s.pulse&active == 0 && s.pauses == 0, s.pulse&written != 0
	s.pulse = 0
	switch {
	case quiet && int(s.misses) >= s.lis.MaxMissedPings && !s.conn.Arrived(): // else it is we who are late
		s.end(link.ReasonIdle)
		return
	case quiet:
		s.misses++
		s.ping()
	case !told:
		s.ping()
	}
	s.noteAcked()
	s.loop.el.Schedule(&s.timer, s.lis.Heartbeat)
}

func (s *session) ping() {
	if s.lis.Ping != "" && !s.lis.upgrades() {
		s.sendText([]byte(s.lis.Ping))
	} else if b := s.codec.AppendPing(s.loop.out[:0]); len(b) > 0 {
		s.loop.out = b
		s.noteWrite()
		_ = s.conn.Write(b)
	}
}

// noteWrite notes that something is written to the client.
func (s *session) noteWrite() {
	if s.pulse&written == 0 { // else a fan-out would write to each client's memory each time
		s.pulse |= written
	}
}

// noteAcked notes how much a client has taken that is closed at the next heartbeat if it goes on like this.
func (s *session) noteAcked() {
	if int(s.misses) < s.lis.MaxMissedPings {
		delete(s.loop.ackedBytes, s)
		return
	}
	acked, _ := s.conn.Taken()
	s.loop.ackedBytes[s] = acked
}

// isReading reports whether a client that has been marked has taken something since, of what has not all reached it yet: it reads, but slowly.
func (s *session) isReading() bool {
	before, marked := s.loop.ackedBytes[s]
	if !marked {
		return false
	}
	acked, waiting := s.conn.Taken()
	return waiting > 0 && acked > before
}
