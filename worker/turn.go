package worker

import (
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// item is one thing to be done for a client, in its order.
type item struct {
	kind   itemKind
	flags  uint8
	tries  uint8 // calls that have asked for another one
	end    ending
	seq    uint32
	number uint32 // the message's
	reason Reason
	data   []byte // bound: what waits for a client at its worker
	timer  *Timer // of a task
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemConnect
	itemClose
	itemMoved
	itemTask // a timer's function: nothing to acknowledge
)

// String is the kind, as logs have it.
func (k itemKind) String() string {
	return [...]string{"message", "connect", "close", "moved", "timer"}[k]
}

// ending is how the call of an item has ended.
type ending uint8

const (
	done    ending = iota // by returning nil
	failed                // it failed: what its unit holds is what Handler.Error did
	retried               // it is to be called again: its unit is empty
)

// isLast reports whether the client is gone from this worker with the item.
func (it *item) isLast() bool {
	return (it.kind == itemClose || it.kind == itemMoved) && it.end != retried
}

// beginUnit makes a unit the one of the call that is about to run. Called with mu.
func (s *session) beginUnit(u *unit, it *item) {
	if it.kind != itemTask {
		u.begin(it.seq)
	}
	s.unit, s.connecting = u, it.kind == itemConnect
	s.calls++
}

// call runs one item: its handler and, if that fails, what follows of it. How it ended is in the item. When a handler ends the goroutine (runtime.Goexit) call does not return; who called it
// sees to what follows as its deferred functions run.
func (s *session) call(it *item) {
	returned := false
	defer func() {
		if !returned {
			s.fail(it, s.caught(it, recover()))
		}
	}()
	it.end = done
	err := s.handle(it)
	if err == nil {
		err = s.callFailure()
	}
	returned = true
	if err != nil {
		s.fail(it, err)
	}
}

// handle calls the handler of an item, if there is one.
func (s *session) handle(it *item) error {
	h := &s.link.w.handler
	ctx, c := (*callContext)(s), Call{s, s.calls}
	switch {
	case it.kind == itemClose || it.kind == itemMoved:
		s.stopTimers()
		if it.kind == itemMoved || s.refused || h.Close == nil {
			return nil
		}
		return h.Close(ctx, c, it.reason)
	case s.refused:
		return nil
	case it.kind == itemConnect:
		return h.Connect(ctx, c)
	case it.kind == itemTask:
		if !it.timer.begins() {
			return nil
		}
		return it.timer.f(ctx, c)
	case h.Message == nil:
		return nil
	}
	return h.Message(ctx, c, Message{
		Data: it.data, Binary: it.flags&link.FlagText == 0, Redelivered: it.flags&link.FlagRedelivered != 0, Number: it.number,
	})
}

// endCall ends a call that had a unit of its own: outputs and acknowledgement go out, or it is queued once more.
func (s *session) endCall(it *item) {
	w := s.link.w
	s.mu.Lock()
	u := s.unit
	s.endUnit()
	if it.end == retried {
		s.requeue(it)
	}
	s.mu.Unlock()
	w.watch.leave(s)
	if it.end == retried {
		w.units.put(u)
		return
	}
	if it.end == done && it.kind == itemMessage {
		w.stats.handled.Add(1)
	}
	if it.kind != itemTask {
		u.done(it.seq)
		u.seal()
	}
	s.sendUnit(u, it.isLast())
}

// requeue puts an item in front of what is queued, to be handled once more after a pause. Called with mu.
func (s *session) requeue(it *item) {
	it.tries++
	it.flags |= link.FlagRedelivered
	s.queue = append([]item{*it}, s.queue...)
}

// sendUnit sends what a call with a unit of its own has done, and the acknowledgement.
func (s *session) sendUnit(u *unit, last bool) {
	l := s.link
	l.push(&u.buf)
	l.flush()
	l.w.units.put(u)
	if last {
		l.noteClientsLeft(1)
	}
}

// turn runs an item that has a unit of its own, and settles it, also when the handler ends the goroutine.
func (s *session) turn(it *item) {
	defer s.endCall(it)
	s.call(it)
}

// run handles what is queued, in order, and ends the session's turn. The goroutine, whose label is given, is the one that made the session busy.
func (s *session) run(goroutine string) {
	for {
		it, ok := s.oldest()
		if !ok {
			return
		}
		if it.tries > 0 {
			backoff.Sleep(s.link.ctx, s.link.w.retryPause(it.tries))
		}
		if !s.link.afterBatch(s.ranIn) { // nobody else changes it: the session is busy
			s.abandon()
			return
		}
		s.mu.Lock()
		s.beginUnit(s.link.w.units.take(), &it)
		s.mu.Unlock()
		s.link.w.watch.enter(s, goroutine)
		s.link.w.stats.offloaded.Add(1)
		s.turn(&it)
	}
}

// oldest takes the first item that is queued. When there is none it ends the session's turn.
func (s *session) oldest() (it item, ok bool) {
	s.mu.Lock()
	if len(s.queue) == 0 {
		s.queue, s.busy = nil, false
		next := s.endLinger()
		s.mu.Unlock()
		next.begin()
		return it, false
	}
	it = s.queue[0]
	s.queue[0] = item{}
	s.queue = s.queue[1:]
	s.mu.Unlock()
	return it, true
}

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 3200 * time.Millisecond
)

// retryPause is the pause before a delivery that a handler has asked for after so many tries.
func (w *Worker) retryPause(tries uint8) time.Duration {
	return min(w.retryIn<<min(tries-1, 8), lastRetry)
}

// runElsewhere is run on a goroutine that is not of the pool. When a handler ends it, the pool goes on.
func (s *session) runElsewhere(goroutine string) {
	over := false
	defer func() {
		if !over {
			s.link.w.pool.start(s)
		}
	}()
	s.run(goroutine)
	over = true
}

// abandon forgets what is queued when the link has ended: the gateway gives all that was not acknowledged to the client's next worker, whose calls must not
// overlap these. The session stays busy, so that nothing runs any more.
func (s *session) abandon() {
	<-s.link.done // all that was read has been queued
	s.mu.Lock()
	s.queue, s.unit = nil, nil
	next := s.endLinger()
	s.mu.Unlock()
	s.stopTimers()
	next.begin()
}

// begin has the pool run what has queued for a session that had to wait for another; nil: for none.
func (s *session) begin() {
	if s != nil {
		s.link.w.pool.start(s)
	}
}

// queueTask puts a timer's function into the client's order, unless the client has gone.
func (s *session) queueTask(t *Timer) {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, item{kind: itemTask, timer: t})
	start := !s.busy
	s.busy = true
	s.mu.Unlock()
	if start {
		s.link.w.pool.start(s)
	}
}
