package worker

import (
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// item is one event or timer of a client. A client's items are handled in order.
type item struct {
	kind   itemKind
	flags  uint8
	tries  uint8 // calls so far that have requested another delivery
	end    ending
	number uint32 // of a message; otherwise of the client's newest message
	reason Reason // of a close
	data   []byte // of a message; bound: what waits for a client at its worker
	timer  *Timer // of a timer
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemConnect
	itemClose
	itemMoved
	itemTimer // a timer's function; it is not acknowledged
)

// String returns the kind, as it appears in logs.
func (k itemKind) String() string {
	return [...]string{"message", "connect", "close", "moved", "timer"}[k]
}

// ending is how the call of an item has ended.
type ending uint8

const (
	done    ending = iota // it returned nil
	failed                // it failed; its unit has the effects of Handler.Error
	retried               // it will be called again; its unit is empty
)

// isLast reports whether the client leaves this worker with the item.
func (it *item) isLast() bool {
	return (it.kind == itemClose || it.kind == itemMoved) && it.end != retried
}

// beginUnit makes u the unit of the call that is about to run. Called with mu.
func (s *session) beginUnit(u *unit, it *item) {
	if it.kind != itemTimer {
		u.begin(s)
	}
	s.unit, s.connecting = u, it.kind == itemConnect
	s.calls++
}

// call runs the handler of an item and, if it fails, what follows a failure. It records in the item
// how the call ended. If the handler ends the goroutine (runtime.Goexit), call does not return, and
// a deferred function of the caller must do the rest.
func (s *session) call(it *item) {
	returned := false
	defer func() {
		if !returned {
			s.fail(it, s.panicError(it, recover()))
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
	case it.kind == itemTimer:
		if !it.timer.start() {
			return nil
		}
		return it.timer.f(ctx, c)
	case h.Message == nil:
		return nil
	}
	return h.Message(ctx, c, Message{
		Data: it.data, Number: it.number,
		Binary: it.flags&link.FlagText == 0, Redelivered: it.flags&link.FlagRedelivered != 0,
	})
}

// endCall ends a call that had a unit of its own. It sends the effects and the acknowledgement, or
// queues the item again.
func (s *session) endCall(it *item) {
	w := s.link.w
	s.mu.Lock()
	u := s.unit
	s.endUnit()
	if it.end == retried {
		s.requeue(it)
	}
	s.mu.Unlock()
	w.watch.removeCall(s)
	if it.end == retried {
		w.units.put(u)
		return
	}
	if it.end == done && it.kind == itemMessage {
		w.stats.handled.Add(1)
	}
	if it.kind != itemTimer {
		u.acknowledge(it)
		u.seal()
	}
	s.sendUnit(u, it.isLast())
}

// requeue puts an item at the front of the queue, to be handled again after a pause. Called with
// mu.
func (s *session) requeue(it *item) {
	it.tries++
	it.flags |= link.FlagRedelivered
	s.queue = append([]item{*it}, s.queue...)
}

// sendUnit sends the effects and the acknowledgement of a call that had a unit of its own.
func (s *session) sendUnit(u *unit, last bool) {
	l := s.link
	l.push(&u.buf)
	l.flush()
	l.w.units.put(u)
	if last {
		l.noteClientsLeft(1)
	}
}

// turn runs an item that has a unit of its own, and ends its call even if the handler ends the
// goroutine.
func (s *session) turn(it *item) {
	defer s.endCall(it)
	s.call(it)
}

// run handles the queue in order until it is empty, and then makes the session idle. The calling
// goroutine has the given label.
func (s *session) run(goroutine string) {
	for {
		it, ok := s.dequeue()
		if !ok {
			return
		}
		if it.tries > 0 {
			backoff.Sleep(s.link.ctx, s.link.w.retryPause(it.tries))
		}
		if !s.link.afterBatch(s.ranIn) { // ranIn does not change while the session is busy
			s.abandon()
			return
		}
		s.mu.Lock()
		s.beginUnit(s.link.w.units.take(), &it)
		s.mu.Unlock()
		s.link.w.watch.addCall(s, goroutine)
		s.link.w.stats.offloaded.Add(1)
		s.turn(&it)
	}
}

// dequeue removes and returns the first item of the queue. If there is none, it makes the session
// idle.
func (s *session) dequeue() (it item, ok bool) {
	s.mu.Lock()
	if len(s.queue) == 0 {
		s.queue, s.busy = nil, false
		next := s.endLinger()
		s.mu.Unlock()
		next.startQueued()
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

// retryPause returns the pause before the delivery that follows the given number of tries.
func (w *Worker) retryPause(tries uint8) time.Duration {
	return min(w.retryIn<<min(tries-1, 8), lastRetry)
}

// runElsewhere is run on a goroutine that does not belong to the pool. If a handler ends the
// goroutine, the pool continues.
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

// abandon discards the queue when the link has ended. The gateway gives all unacknowledged items to
// the client's next worker. Their calls must not overlap those of this session, so it stays busy
// and nothing runs any more.
func (s *session) abandon() {
	<-s.link.done // everything that was read has been queued
	s.mu.Lock()
	s.queue, s.unit = nil, nil
	next := s.endLinger()
	s.mu.Unlock()
	s.stopTimers()
	next.startQueued()
}

// startQueued lets the pool run the queue of a session that has waited for another one. For a nil
// session it does nothing.
func (s *session) startQueued() {
	if s != nil {
		s.link.w.pool.start(s)
	}
}

// queueTimer appends a timer's function to the queue, unless the client is gone.
func (s *session) queueTimer(t *Timer) {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, item{kind: itemTimer, timer: t})
	start := !s.busy
	s.busy = true
	s.mu.Unlock()
	if start {
		s.link.w.pool.start(s)
	}
}
