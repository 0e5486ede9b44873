package gateway

import (
	"math"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// What a client may do is bounded here in time: how long it may take over a message, and how fast it may send. What it may hold is bounded where that is held.

// slowest is how many bytes of an unfinished message pay for a second more.
const slowest = 4 << 10

// limit begins to watch a client that has opened.
func (s *session) limit() {
	s.begun = 0 // of its handshake
	if s.lis.FirstMessageTimeout > 0 {
		s.awaitsFirst, s.begun = true, s.loop.seconds
		s.addToChecked()
	}
	if s.lis.MessageRate > 0 || s.lis.ByteRate > 0 {
		s.pace = &pace{session: s}
		s.pace.timer.Target = s.pace
	}
}

// startDeadline notes, once all that came has been decoded, that left bytes of input and assembled ones in the codec are held for the rest of a message or handshake. The time it has runs
// until that is whole, however many bytes come meanwhile; while the gateway does not take more it stands still (overdue), and the input may be whole messages.
func (s *session) startDeadline(left, assembled int) {
	if s.phase > phaseOpen {
		return
	}
	if s.pauses != 0 || s.turn&yielded != 0 {
		left = 0
	}
	left += assembled
	l := s.loop
	l.partial += left - int(s.partial)
	s.partial = uint32(left)
	switch {
	case left > 0:
		if s.begun == 0 {
			s.begun = l.seconds
		}
		s.addToChecked()
		l.trimPartial()
	case !s.awaitsFirst:
		s.begun = 0
	}
}

// addToChecked puts the client into the list that is looked through each second.
func (s *session) addToChecked() {
	if l := s.loop; s.deadlineAt == 0 {
		l.deadlines = append(l.deadlines, s)
		s.deadlineAt = uint32(len(l.deadlines))
	}
}

// removeFromChecked takes it out again: the last one takes its place.
func (s *session) removeFromChecked() {
	if s.deadlineAt == 0 {
		return
	}
	l := s.loop
	last := len(l.deadlines) - 1
	l.deadlines[s.deadlineAt-1] = l.deadlines[last]
	l.deadlines[last].deadlineAt = s.deadlineAt
	l.deadlines[last] = nil
	l.deadlines = l.deadlines[:last]
	s.deadlineAt = 0
}

// clearDeadline ends what the client owes, and what it holds.
func (s *session) clearDeadline() {
	s.loop.partial -= int(s.partial)
	s.partial, s.begun, s.awaitsFirst = 0, 0, false
	s.removeFromChecked()
	delete(s.loop.taken, s)
	s.loop.turns.leave(s)
	if ws, ok := s.codec.(*codec.WebSocket); ok {
		ws.Discard()
	}
	if s.pace != nil {
		s.loop.el.Cancel(&s.pace.timer)
	}
}

// cutOverdue cuts the clients that have owed the rest of a message, or their first one, for too long.
func (l *loop) cutOverdue() {
	for i := len(l.deadlines) - 1; i >= 0; i-- { //nolint:modernize // entries are removed: so that whoever takes the place of one that goes has been looked at
		if s := l.deadlines[i]; s.begun == 0 && s.partial == 0 || s.begun > 0 && s.overdue() {
			s.removeFromChecked()
		}
	}
}

// overdue reports whether the client's time is up, and then cuts it.
func (s *session) overdue() bool {
	l := s.loop
	if s.pauses&^pausedByRate != 0 || s.turn&yielded != 0 {
		s.begun++ // the gateway does not take what has come: the time stands still. It does not begin anew, or who is held up again and again would have it for ever
		return false
	}
	owed := time.Duration(l.seconds-s.begun-1) * tickEvery // at least
	if s.awaitsFirst && owed >= s.lis.FirstMessageTimeout {
		l.stats.FirstMessageTimeouts++
		s.end(link.ReasonHandshake)
		return true
	}
	if s.partial > 0 && s.lis.MessageTimeout > 0 && owed >= s.messageTime() {
		l.stats.MessageTimeouts++
		s.end(link.ReasonLimit)
		return true
	}
	return false
}

// messageTime is how long the client may take over the message that it has begun. It runs on while the client is not read since it sends too fast, for that is the client's
// doing; but what it sends at its rate it has the time for.
func (s *session) messageTime() time.Duration {
	rate, more := slowest, time.Duration(0)
	if s.pace != nil {
		more = burst // it may owe as much of what it sent before
	}
	if s.lis.ByteRate > 0 {
		rate = min(rate, s.lis.ByteRate)
	}
	return addDurations(s.lis.MessageTimeout, more+time.Duration(int(s.partial)/rate)*time.Second)
}

// addDurations is d and more, neither of them negative; at most the longest time there is.
func addDurations(d, more time.Duration) time.Duration { return d + min(more, math.MaxInt64-d) }

// pauses are the reasons why a client is not read, as bits.
type pauses uint8

const (
	pausedByWorker pauses = 1 << iota // too much of it is not acknowledged
	pausedByRate                      // it has sent too fast
	pausedByQueues                    // too much of all waits in queues
	pausedToLeave                     // it has been told to go, or is as soon as nothing of it waits for a worker
	hungUp                            // it has ended its side, and is closed as soon as nothing of it waits for a worker
)

func (s *session) pause(why pauses) {
	if s.pauses == 0 {
		s.conn.Pause()
	}
	s.pauses |= why
}

func (s *session) resume(why pauses) {
	was := s.pauses
	s.pauses &^= why
	if was != 0 && s.pauses == 0 {
		s.conn.Resume()
	}
}

// pace slows down a client that sends faster than its listener lets it. Each message and byte has its price in time; the client is not read while it is more than burst
// behind in paying. Owned by the loop.
type pace struct {
	session         *session
	timer           engine.Timer
	messages, bytes time.Duration // when all is paid for, since the gateway's start
}

// burst is how much a client may send at once, as time at its rate.
const burst = 2 * time.Second

// spend counts n bytes that Decode has taken, which are more when they have been inflated. A piece of a large frame is no message; a control frame counts like one.
func (p *pace) spend(ev codec.Event, n, inflated int) {
	s := p.session
	now := s.loop.el.Now().Sub(s.loop.g.started)
	var behind time.Duration
	if rate := s.lis.MessageRate; rate > 0 && (ev != codec.None || n <= smallPiece) {
		p.messages = max(p.messages, now) + time.Second/time.Duration(rate)
		behind = p.messages - now
	}
	if rate := s.lis.ByteRate; rate > 0 {
		p.bytes = max(p.bytes, now) + time.Duration(inflated)*time.Second/time.Duration(rate)
		behind = max(behind, p.bytes-now)
	}
	if behind > burst {
		s.loop.stats.RateLimited++
		s.pause(pausedByRate)
		s.loop.el.Schedule(&p.timer, behind-burst)
	}
}

// smallPiece is larger than any control frame.
const smallPiece = 256

// OnTimer implements engine.TimerHandler: the client may go on.
func (p *pace) OnTimer(*engine.Timer) { p.session.resume(pausedByRate) }

// reserve is how many descriptors clients leave for workers: with none a worker that was lost could not come back.
func reserve() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(max(l.Cur/16, 8), 1024))
}
