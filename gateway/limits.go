package gateway

import (
	"math"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// This file bounds what a client may do in time: how long a message may take, and how fast messages
// may come. Limits on memory stand where the memory is held.

// minByteRate is how many bytes of an incomplete message extend its deadline by 1 s.
const minByteRate = 4 << 10

// limit starts the limits of a client that has opened.
func (s *session) limit() {
	s.begun = 0 // that of the handshake
	if s.lis.FirstMessageTimeout > 0 {
		s.awaitsFirst, s.begun = true, s.loop.seconds
		s.addToChecked()
	}
	if s.lis.MessageRate > 0 || s.lis.ByteRate > 0 {
		s.pace = &pace{session: s}
		s.pace.timer.Target = s.pace
	}
}

// startDeadline notes that left bytes of input and assembled bytes in the codec belong to an
// incomplete message or handshake. The deadline runs until it is complete, however many bytes come
// meanwhile. It does not run while the gateway does not read (see overdue); the input may then be
// complete messages.
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

// OnPartial implements engine.PartialHandler. What is held of an incomplete TLS record belongs to
// an incomplete message.
func (s *session) OnPartial(c *engine.Conn, n int) {
	if s.phase <= phaseUpgrading {
		s.startDeadline(c.Unread()+n, s.upgradeBytes())
		return
	}
	s.heldInput(c.Unread() + n)
}

// heldInput notes that left bytes of input remain undecoded.
func (s *session) heldInput(left int) {
	assembled := 0
	if ws, ok := s.codec.(*codec.WebSocket); ok {
		ws.Release() // the next message may come much later
		assembled = ws.Unfinished()
	}
	if left+assembled > 0 || s.partial > 0 {
		s.startDeadline(left, assembled)
	}
}

// addToChecked adds the client to the list that is checked each second.
func (s *session) addToChecked() {
	if l := s.loop; s.deadlineAt == 0 {
		l.deadlines = append(l.deadlines, s)
		s.deadlineAt = uint32(len(l.deadlines))
	}
}

// removeFromChecked removes the client from that list. The last client takes its place.
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

// clearDeadline ends the client's deadlines, and releases what the client holds.
func (s *session) clearDeadline() {
	s.loop.partial -= int(s.partial)
	s.partial, s.begun, s.awaitsFirst = 0, 0, false
	s.removeFromChecked()
	delete(s.loop.ackedBytes, s)
	s.loop.turns.leave(s)
	s.loop.dropUpgrade(s)
	s.loop.known.drop(s)
	if ws, ok := s.codec.(*codec.WebSocket); ok {
		ws.Discard()
	}
	if s.pace != nil {
		s.loop.el.Cancel(&s.pace.timer)
	}
}

// cutOverdue closes the clients whose first message, or the rest of a message, is overdue.
func (l *loop) cutOverdue() {
	//nolint:modernize // backwards, because the last client takes the place of one that is removed
	for i := len(l.deadlines) - 1; i >= 0; i-- {
		if s := l.deadlines[i]; s.begun == 0 && s.partial == 0 || s.begun > 0 && s.overdue() {
			s.removeFromChecked()
		}
	}
}

// overdue closes the client if its deadline has passed, and reports whether it has.
func (s *session) overdue() bool {
	l := s.loop
	if s.pauses&^pausedByRate != 0 || s.turn&yielded != 0 || s.phase == phaseUpgrading {
		// The gateway does not read, so the deadline is put off. It does not start again: a client
		// that is held up repeatedly would have no deadline at all.
		s.begun++
		return false
	}
	elapsed := time.Duration(l.seconds-s.begun-1) * tickEvery // at least
	if s.awaitsFirst && elapsed >= s.lis.FirstMessageTimeout {
		l.stats.FirstMessageTimeouts++
		s.end(link.ReasonHandshake)
		return true
	}
	if s.partial > 0 && s.lis.MessageTimeout > 0 && elapsed >= s.messageTime() {
		l.stats.MessageTimeouts++
		s.end(link.ReasonLimit)
		return true
	}
	return false
}

// messageTime is how long the incomplete message may take. The time runs on while the client is not
// read because of its own rate. But it includes the time that the message takes at that rate.
func (s *session) messageTime() time.Duration {
	rate, more := minByteRate, time.Duration(0)
	if s.pace != nil {
		more = burst // time for earlier messages that it has not paid for
	}
	if s.lis.ByteRate > 0 {
		rate = min(rate, s.lis.ByteRate)
	}
	return addDurations(s.lis.MessageTimeout, more+time.Duration(int(s.partial)/rate)*time.Second)
}

// addDurations returns d + more, or the longest duration if that overflows. Neither may be
// negative.
func addDurations(d, more time.Duration) time.Duration { return d + min(more, math.MaxInt64-d) }

// pauses are the reasons why a client is not read, as bits.
type pauses uint8

const (
	pausedByWorker pauses = 1 << iota // too many of its bytes are not acknowledged
	pausedByRate                      // it sends faster than its rate
	pausedByQueues                    // the queues of the loop are full
	pausedToClose                     // it is closed as soon as all its messages are handled
	halfClosed                        // it has closed its side, and is closed as soon as all its messages are handled
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

// pace limits the rate of a client. Each message and each byte costs time. The client is not read
// while that time is more than burst ahead of the clock. Owned by the loop.
type pace struct {
	session         *session
	timer           engine.Timer
	messages, bytes time.Duration // when everything is paid for, as time since the gateway's start
}

// burst is how much a client may send at once, as time at its rate.
const burst = 2 * time.Second

// spend counts n bytes that Decode has consumed, which are inflated bytes after decompression. A
// part of a large frame does not count as a message. A control frame does.
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

// smallPiece is larger than any control frame, in bytes.
const smallPiece = 256

// OnTimer implements engine.TimerHandler: the client is read again.
func (p *pace) OnTimer(*engine.Timer) { p.session.resume(pausedByRate) }

// reserve is how many file descriptors clients leave for workers, so that a lost worker can connect
// again.
func reserve() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(max(l.Cur/16, 8), 1024))
}
