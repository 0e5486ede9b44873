package gateway

import (
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// A message may kill each worker that gets it. Which one it was nobody sees: with the worker dies everything that it was handling. So what was out in
// suspectAfter links that ended is tried alone, one client's oldest event at a time on each loop, until it is acknowledged or has ended MaxDeliveries links. Then it is set
// aside: counted, logged, and the client told. A client whose coming is set aside was let in by nobody: it is closed. All else goes on meanwhile.

const (
	suspectAfter = 2
	trialPause   = 500 * time.Millisecond // at most, at random, after a trial that failed: trials of several loops must not fall together each time
)

// poisonTrials is a loop's.
type poisonTrials struct {
	now   *session   // whose oldest event is out alone, or is to be as soon as a worker is there
	next  []*session // that wait for their turn; bound: lists of clients
	pause engine.Timer
}

// isSuspect reports whether the client's oldest event has to be tried alone.
func (s *session) isSuspect() bool { return s.tries >= suspectAfter }

// eventOut reports whether the worker has the client's oldest event: that it has come, a message, or that it is gone.
func (s *session) eventOut() bool {
	return s.unackedFrames > 0 && (s.entry == entryPending || s.detachSent || s.out > 0 && s.entry == entryAdmitted)
}

// hasTrialTurn reports whether it is the client's turn.
func (s *session) hasTrialTurn() bool {
	t := &s.loop.trials
	if t.now == nil && !t.pause.Scheduled() {
		t.now = s
		if i := slices.Index(t.next, s); i >= 0 { // it has come to it by itself, by its end perhaps
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

// deliveryFailed notes that a link has ended with the client's oldest event out.
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

// deadLetter gives up on the client's oldest event.
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
		s.refuse(refusedPoison, 1)
	default:
		what = "close"
		l.forget(s)
	}
	l.g.log.Error("set aside: it has ended each worker that got it", "what", what, "bytes", size, "tries", s.tries, "client", s.member.ID.String(), "remote", s.remote())
	s.endTrial()
}

// endTrial is for a client whose oldest event has come to an end in one way or another. The loop's next tick tries the next one, if the caller does not.
func (s *session) endTrial() {
	s.tries = 0
	if t := &s.loop.trials; t.now == s {
		t.now = nil
	}
}

// OnTimer implements engine.TimerHandler: the pause is over, or nothing is being tried any more.
func (t *poisonTrials) OnTimer(*engine.Timer) {
	for t.now == nil && len(t.next) > 0 && !t.pause.Scheduled() {
		s := t.next[0]
		t.next = t.next[1:]
		s.waiting = false
		if !s.pump() {
			s.wait()
		}
	}
}
