package gateway

import "sluice/internal/link"

// pulse is what a client has done since the last heartbeat.
type pulse uint8

const (
	silent pulse = iota
	alive        // some bytes came: it answers pings
	active       // a message came
)

// heartbeat pings a client of which no message has come, and closes one that has not answered any ping for so long. Any bytes count as an answer; a paused client cannot be heard.
func (s *session) heartbeat() {
	if s.pulse != silent || s.pauses != 0 {
		s.misses = 0
	}
	switch {
	case s.pulse == active || s.pauses != 0:
	case int(s.misses) >= s.lis.Misses && !s.conn.Arrived(): // else it is we who are late
		s.end(link.ReasonIdle)
		return
	default:
		s.misses++
		if s.lis.Ping != "" && !s.lis.upgrades() {
			s.tell([]byte(s.lis.Ping))
		} else if b := s.codec.AppendPing(s.loop.out[:0]); len(b) > 0 {
			s.loop.out = b
			_ = s.conn.Write(b)
		}
	}
	s.pulse = silent
	s.loop.el.Schedule(&s.timer, s.lis.Heartbeat)
}
