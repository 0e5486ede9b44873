package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Handling of calls that fail.

// panicError counts and logs a panic, or the end of the handler's goroutine, and returns it as an
// error.
func (s *session) panicError(it *item, reason any) error {
	w := s.link.w
	w.stats.panics.Add(1)
	msg, err := "handler panicked", fmt.Errorf("%w: %v", ErrPanic, reason)
	if reason == nil {
		msg, err = "handler ended its goroutine", fmt.Errorf("%w: runtime.Goexit", ErrPanic)
	}
	w.log.Error(msg, "panic", reason, "event", it.kind.String(), "client", s.id().String(),
		"listener", s.listener, "stack", string(debug.Stack()))
	return err
}

// fail ends a call that has failed. It discards the call's effects and calls Handler.Error, unless
// the event will be delivered again.
func (s *session) fail(it *item, err error) {
	w := s.link.w
	it.code = codeOf(err)
	defer recordFailure(s, it, err) // Handler.Error may end the goroutine, or call Interface
	s.rollBack()
	_, again := errors.AsType[*retryError](err)
	if again = again && it.kind != itemTimer; again && int(it.tries)+1 < w.cfg.MaxDeliveries {
		w.stats.retries.Add(1)
		it.end = retried
		return
	}
	it.end = failed
	s.report(it, err, again)
	if again && it.kind == itemMessage {
		Call{s, s.calls}.Send(Text(`{"type":"sluice.refused","code":"poison","count":1}`))
	}
	if _, refused := errors.AsType[*refusal](err); it.kind == itemConnect || it.kind == itemAdopt && refused {
		defer s.refuse(err)
	}
	if w.handler.Error != nil {
		s.callError(it, err)
	}
}

// report counts and logs a failure, at level Debug if another was logged in the last second. dead
// means that the event is given up after its last delivery.
func (s *session) report(it *item, err error, dead bool) {
	w := s.link.w
	_, refused := errors.AsType[*refusal](err)
	switch {
	case dead:
		w.stats.deadLettered.Add(1)
		w.log.Error("dead letter: all deliveries of the event have failed", "event", it.kind.String(),
			"deliveries", w.cfg.MaxDeliveries, "client", s.id().String(), "err", err)
	case refused && (it.kind == itemConnect || it.kind == itemAdopt):
		w.stats.refused.Add(1)
	case errors.Is(err, ErrPanic): // panicError has counted and logged it
	default:
		w.stats.errors.Add(1)
		more, ok := w.failures.allow()
		level := slog.LevelError
		if !ok {
			level = slog.LevelDebug
		}
		if ctx := context.Background(); w.log.Enabled(ctx, level) {
			w.log.Log(ctx, level, "handler failed", "event", it.kind.String(), "client", s.id().String(),
				"listener", s.listener, "err", err, "not-logged", more)
		}
	}
}

// callError calls Handler.Error. If that fails too, its effects are discarded.
func (s *session) callError(it *item, err error) {
	returned := false
	defer func() {
		if !returned {
			_ = s.panicError(it, recover())
			s.rollBack()
		}
	}()
	s.link.w.handler.Error((*callContext)(s), Call{s, s.calls}, err)
	returned = true
	if failure := s.callFailure(); failure != nil {
		s.rollBack()
		s.report(it, fmt.Errorf("Handler.Error: %w", failure), false)
	}
}

// refuse closes a client whose Connect has failed or whose Adopt has refused it. No other event of
// the client is handled.
func (s *session) refuse(err error) {
	s.refused = true
	s.stopTimers()
	var f link.Frame
	s.id().address(&f, link.Kick, link.FlagRefused)
	var payload []byte
	if r, ok := errors.AsType[*refusal](err); ok {
		payload = r.payload()
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.unit.add(&f, nil, payload) != nil { // Handler.Error has left no room
		s.unit.discard()
		_ = s.unit.add(&f, nil, payload)
	}
}

// rollBack discards the effects of the running call and ends it. What is done afterwards belongs to
// another call.
func (s *session) rollBack() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
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

// commit makes the present effects of the running call permanent, even if it fails. Called with mu.
func (s *session) commit() {
	s.undo = nil
	for t := range s.timers {
		t.call = 0
	}
}

// runs reports whether the call is running. Called with mu.
func (s *session) runs(c Call) bool { return s.running != idle && s.calls == c.n }

// failCall makes the running call fail when it returns. Called with mu.
func (s *session) failCall(err error) { s.failed.CompareAndSwap(nil, &err) }

// callFailure returns the error with which the running call fails, or nil.
func (s *session) callFailure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// noteLateUse counts and logs the use of a Call that has ended.
func (s *session) noteLateUse() {
	w := s.link.w
	w.stats.late.Add(1)
	if more, ok := w.lateness.allow(); ok {
		w.log.Error("effect ignored: its call has ended; use the Worker after a handler has returned",
			"client", s.id().String(), "not-logged", more, "stack", string(debug.Stack()))
	}
}

// early makes frames of the running call a UNIT that acknowledges nothing, so that a gateway which
// takes part in narrow sends keeps them in order with the client's other units.
func early(s *session, frames []byte) []byte {
	if !s.link.narrows || len(frames) == 0 {
		return frames
	}
	f := link.Frame{Type: link.Unit, Flags: link.FlagEarly, Slot: s.id().slot(), Token: s.token}
	return append(link.AppendHeader(nil, &f, len(frames)), frames...)
}
