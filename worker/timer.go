package worker

import (
	"context"
	"time"
)

// Timer is a function that waits to be called in a client's order.
type Timer struct {
	s       *session
	f       func(context.Context, Call) error
	t       *time.Timer // nil: it was never set
	call    uint64      // guarded by s.mu: the call that has set it, until that has been committed
	stopped bool        // guarded by s.mu: when its time had come, and its function had not begun
}

// MaxTimers is how many timers of one client may wait, including those that are due and whose
// function has not begun.
const MaxTimers = 1024

// After has f called in d, in the client's order: never while another call for this client runs. f
// has a Call of its own, whose effects go out together when f returns nil; when it fails they are
// discarded and Handler.Error is called. The timer ends when this call fails, when the client
// disconnects, and when the client moves to another worker. When MaxTimers timers of the client wait,
// the call fails with ErrTooMany.
//
//	c.After(10*time.Second, func(_ context.Context, c worker.Call) error {
//		if c.UID() == "" {
//			c.Close()
//		}
//		return nil
//	})
func (c Call) After(d time.Duration, f func(ctx context.Context, c Call) error) *Timer {
	s := c.s
	t := &Timer{s: s, f: f, call: c.n}
	s.mu.Lock()
	runs := s.runs(c)
	switch {
	case !runs || s.gone:
	case len(s.timers) >= MaxTimers:
		s.failCall(ErrTooMany)
	default:
		if s.timers == nil {
			s.timers = make(map[*Timer]struct{})
		}
		s.timers[t] = struct{}{}
		t.t = time.AfterFunc(d, func() { s.queueTask(t) })
	}
	s.mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
	return t
}

// Stop prevents the call of the function, if it has not begun.
func (t *Timer) Stop() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.cancel()
}

// cancel is Stop. Called with s.mu.
func (t *Timer) cancel() {
	if t.t == nil || t.t.Stop() {
		delete(t.s.timers, t)
	} else {
		t.stopped = true // what is queued for it counts until its turn comes
	}
}

// begins takes the timer, whose turn has come, from those that wait. It reports false when it has been stopped.
func (t *Timer) begins() bool {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	_, waits := t.s.timers[t]
	delete(t.s.timers, t)
	return waits && !t.stopped
}

// stopTimers is part of a client's end.
func (s *session) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.timers {
		t.t.Stop()
	}
	s.timers, s.gone = nil, true
}
