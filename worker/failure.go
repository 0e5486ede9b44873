package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// What follows when a call fails, and what makes it fail besides its handler.

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
	if broken := s.callFailure(); broken != nil {
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

// failCall makes the running call fail, when it has returned. Called with mu.
func (s *session) failCall(err error) { s.failed.CompareAndSwap(nil, &err) }

// callFailure is why the running call fails; nil: it does not.
func (s *session) callFailure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// noteLateUse notes that somebody uses a Call that has ended.
func (s *session) noteLateUse() {
	w := s.link.w
	w.stats.late.Add(1)
	if more, ok := w.lateness.allow(); ok {
		w.log.Error("an effect came after the end of its call: other goroutines use the Worker", "client", s.id.String(), "more", more, "stack", string(debug.Stack()))
	}
}
