package gateway

import (
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// A message may end each worker that receives it. Which message it was is not known, because
// everything else that the worker was handling is lost with it. An event that was unacknowledged at
// the end of suspectAfter links is suspect. On each loop the oldest event of one suspect client at
// a time is tried alone, until it is acknowledged or has ended MaxDeliveries links. Then it is a
// dead letter: it is counted and logged, and the client is notified. A client whose connect event
// is a dead letter was not admitted, and is closed. All other clients continue meanwhile.

const (
	suspectAfter = 2
	// trialPause is the maximum of a random pause after a failed trial, so that the trials of
	// several loops do not coincide each time.
	trialPause = 500 * time.Millisecond
)

// trials are the trials of a loop.
type trials struct {
	now   *session   // its oldest event is tried alone, at once or when a worker is there
	next  []*session // clients that wait for a trial; bound: lists of clients
	pause engine.Timer
}

// isSuspect reports whether the client's oldest event has to be tried alone.
func (s *session) isSuspect() bool { return s.tries >= suspectAfter }

// eventOut reports whether the worker has the client's oldest event: connect, a message, or close.
func (s *session) eventOut() bool {
	return s.unackedFrames > 0 && (s.entry == entryPending || s.detachSent || s.out > 0 && s.entry == entryAdmitted)
}

// hasTrialTurn reports whether the client's event is being tried. It starts a trial if there is
// none.
func (s *session) hasTrialTurn() bool {
	t := &s.loop.trials
	if t.now == nil && !t.pause.Scheduled() {
		t.now = s
		if i := slices.Index(t.next, s); i >= 0 { // it may come here without waiting, for example when it closes
			t.next = slices.Delete(t.next, i, i+1)
			s.waiting = false
		}
	}
	return t.now == s
}

// oldestHandled notes that a worker has handled the client's oldest event.
func (s *session) oldestHandled() {
	if s.tries == 0 {
		return
	}
	was := s.isSuspect()
	s.endTrial()
	if was {
		if !s.pump() {
			s.wait()
		}
		s.loop.trials.OnTimer(nil)
	}
}

// deliveryFailed notes that a link has ended while the worker had the client's oldest event.
func (s *session) deliveryFailed() {
	l := s.loop
	s.tries++
	if l.trials.now == s {
		l.trials.now = nil
		l.el.Schedule(&l.trials.pause, time.Duration(l.tokens.Uint64()%uint64(trialPause)))
	}
	if int(s.tries) >= l.g.cfg.MaxDeliveries {
		s.deadLetter()
	}
}

// deadLetter gives up the client's oldest event.
func (s *session) deadLetter() {
	l := s.loop
	l.stats.DeadLettered++
	what, size := "connect", 0
	switch {
	case s.entry == entryPending:
		s.reject(nil)
	case s.queue != nil:
		payload, _ := s.queue.oldest()
		what, size = "message", len(payload)
		s.dequeue(size)
		s.handled++
		s.refuse(refusedDeadLetter, 1)
	default:
		what = "close"
		l.forget(s)
	}
	l.g.log.Error("dead letter: each worker that received the event has ended", "event", what, "bytes", size,
		"deliveries", s.tries, "client", s.member.ID.String(), "remote", s.remote())
	s.endTrial()
}

// endTrial ends the trial of the client, whatever its result. If the caller does not start the next
// one, the loop's tick does.
func (s *session) endTrial() {
	s.tries = 0
	if t := &s.loop.trials; t.now == s {
		t.now = nil
	}
}

// OnTimer implements engine.TimerHandler. It starts the next trial if none runs.
func (t *trials) OnTimer(*engine.Timer) {
	for t.now == nil && len(t.next) > 0 && !t.pause.Scheduled() {
		s := t.next[0]
		t.next = t.next[1:]
		s.waiting = false
		if !s.pump() {
			s.wait()
		}
	}
}
