package worker

import (
	"context"
	"time"
)

// Timer is a function that will be called in the order of a client's calls. Call.After makes one.
type Timer struct {
	s       *session
	f       func(context.Context, Call) error
	t       *time.Timer // nil if it was never set
	call    uint64      // guarded by s.Mu: the number of the call that has set it; 0 once that is committed
	stopped bool        // guarded by s.Mu: stopped after it was due and before its function began
}

// MaxTimers is how many timers of one client may be pending. A timer is pending until its function
// begins.
const MaxTimers = 1024

// After calls f after d, in the order of the client's calls: never while another call for the
// client runs. f gets a Call of its own. Its effects are sent when f returns nil. If f fails, they
// are discarded and Handler.Error is called. The timer is stopped when this call fails, when the
// client disconnects, and when the client moves to another worker. If MaxTimers timers of the
// client are pending, the call fails with ErrTooMany.
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
	s.Mu.Lock()
	runs := s.runs(c)
	switch {
	case !runs || s.Closed:
	case len(s.timers) >= MaxTimers:
		s.failCall(ErrTooMany)
	default:
		if s.timers == nil {
			s.timers = make(map[*Timer]struct{})
		}
		s.timers[t] = struct{}{}
		t.t = time.AfterFunc(d, func() { s.link.w.exec.Submit(s, item{kind: itemTimer, timer: t}) })
	}
	s.Mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
	return t
}

// Stop prevents the call of the function if it has not begun.
func (t *Timer) Stop() {
	t.s.Mu.Lock()
	defer t.s.Mu.Unlock()
	t.cancel()
}

// cancel implements Stop. Called with s.Mu.
func (t *Timer) cancel() {
	if t.t == nil || t.t.Stop() {
		delete(t.s.timers, t)
	} else {
		t.stopped = true // it counts as pending until its queued item is handled
	}
}

// start removes the timer, which is due, from the pending ones. It returns false if it has been
// stopped.
func (t *Timer) start() bool {
	t.s.Mu.Lock()
	defer t.s.Mu.Unlock()
	_, pending := t.s.timers[t]
	delete(t.s.timers, t)
	return pending && !t.stopped
}

// stopTimers stops all timers of a client that is gone from this worker.
func (s *session) stopTimers() {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for t := range s.timers {
		t.t.Stop()
	}
	s.timers, s.Closed = nil, true
}
