package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"sluice/internal/link"
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
		err = s.spoilt()
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

// caught makes an error of a panic, or of a goroutine that has been ended.
func (s *session) caught(it *item, reason any) error {
	w := s.link.w
	w.stats.panics.Add(1)
	what, err := "handler panicked", fmt.Errorf("%w: %v", ErrPanic, reason)
	if reason == nil {
		what, err = "handler ended its goroutine", fmt.Errorf("%w: runtime.Goexit", ErrPanic)
	}
	w.log.Error(what, "panic", reason, "event", it.kind.String(), "client", s.id.String(), "listener", s.listener, "stack", string(debug.Stack()))
	return err
}

// fail ends a call that has failed: it takes its effects back, and has Handler.Error make others in place of them.
func (s *session) fail(it *item, err error) {
	w := s.link.w
	s.rollBack()
	_, again := errors.AsType[*retryError](err)
	if again = again && it.kind != itemTask; again && int(it.tries)+1 < w.cfg.MaxDeliveries {
		w.stats.retries.Add(1)
		it.end = retried
		return
	}
	it.end = failed
	s.report(it, err, again)
	if again && it.kind == itemMessage {
		Call{s, s.calls}.Send(Text(`{"type":"sluice.refused","code":"poison","count":1}`))
	}
	if it.kind == itemConnect {
		defer s.refuse(err)
	}
	if w.handler.Error != nil {
		s.callError(it, err)
	}
}

// report counts and logs a failure.
func (s *session) report(it *item, err error, dead bool) {
	w := s.link.w
	_, refused := errors.AsType[*refusal](err)
	switch {
	case dead:
		w.stats.deadLettered.Add(1)
		w.log.Error("dead letter: the event was delivered in vain", "event", it.kind.String(), "deliveries", w.cfg.MaxDeliveries, "client", s.id.String(), "err", err)
	case refused && it.kind == itemConnect:
		w.stats.refused.Add(1)
	case errors.Is(err, ErrPanic): // counted and logged
	default:
		w.stats.errors.Add(1)
		if more, ok := w.failures.allow(); ok {
			w.log.Error("handler failed", "event", it.kind.String(), "client", s.id.String(), "listener", s.listener, "err", err, "more", more)
		}
	}
}

// callError calls Handler.Error. When that fails too, its effects are none.
func (s *session) callError(it *item, err error) {
	returned := false
	defer func() {
		if !returned {
			_ = s.caught(it, recover())
			s.rollBack()
		}
	}()
	s.link.w.handler.Error((*callContext)(s), Call{s, s.calls}, err)
	returned = true
	if broken := s.spoilt(); broken != nil {
		s.rollBack()
		s.report(it, fmt.Errorf("Handler.Error: %w", broken), false)
	}
}

// refuse keeps a client out whose Connect has failed: it is closed, and no other event of it is handled.
func (s *session) refuse(err error) {
	s.refused = true
	s.stopTimers()
	var f link.Frame
	s.address(&f, link.Kick, link.FlagRefused)
	var payload []byte
	if r, ok := errors.AsType[*refusal](err); ok {
		payload = append(binary.BigEndian.AppendUint16(nil, r.code), r.text...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unit.add(&f, nil, payload) != nil { // Handler.Error has left no room
		s.unit.discard()
		_ = s.unit.add(&f, nil, payload)
	}
}

// rollBack takes back what the running call has done so far, and ends it: what follows is another call.
func (s *session) rollBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unit.discard()
	if s.undo != nil {
		s.known, s.undo = *s.undo, nil
	}
	for t := range s.timers {
		if t.call == s.calls {
			t.cancel()
		}
	}
	s.failed.Store(nil)
	s.calls++
}

// commit makes what the running call has done so far stand, whatever becomes of it. Called with mu.
func (s *session) commit() {
	s.undo = nil
	for t := range s.timers {
		t.call = 0
	}
}

// runs reports whether the call runs. Called with mu.
func (s *session) runs(c Call) bool { return s.unit != nil && s.calls == c.n }

// spoil makes the running call fail, when it has returned. Called with mu.
func (s *session) spoil(err error) { s.failed.CompareAndSwap(nil, &err) }

// spoilt is why the running call fails; nil: it does not.
func (s *session) spoilt() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// late notes that somebody uses a Call that has ended.
func (s *session) late() {
	w := s.link.w
	w.stats.late.Add(1)
	if more, ok := w.lateness.allow(); ok {
		w.log.Error("an effect came after the end of its call: other goroutines use the Worker", "client", s.id.String(), "more", more, "stack", string(debug.Stack()))
	}
}

// settle ends a call that had a unit of its own: outputs and acknowledgement go out, or it is queued once more.
func (s *session) settle(it *item) {
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
	s.pass(u, it.isLast())
}

// requeue puts an item in front of what is queued, to be handled once more after a pause. Called with mu.
func (s *session) requeue(it *item) {
	it.tries++
	it.flags |= link.FlagRedelivered
	s.queue = append([]item{*it}, s.queue...)
}

// pass sends what a call with a unit of its own has done, and the acknowledgement.
func (s *session) pass(u *unit, last bool) {
	l := s.link
	l.push(&u.buf)
	l.flush()
	l.w.units.put(u)
	if last {
		l.left(1)
	}
}

// turn runs an item that has a unit of its own, and settles it, also when the handler ends the goroutine.
func (s *session) turn(it *item) {
	defer s.settle(it)
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
			pause(s.link.ctx, s.link.w.retryPause(it.tries))
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
		next := s.cease()
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
	next := s.cease()
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
