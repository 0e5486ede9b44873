package worker

import "time"

// Timer is a function that waits to be run in a client's order.
type Timer struct {
	s       *session
	t       *time.Timer
	stopped bool // guarded by s.mu: when its time had come, and its function had not begun
}

// MaxTimers is how many timers of one client may wait, those whose time has come and whose functions
// have yet to begin among them.
const MaxTimers = 1024

// Stop keeps the function from running, if it has not begun.
func (t *Timer) Stop() {
	if t.s == nil {
		return
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.t.Stop() {
		delete(t.s.timers, t)
	} else {
		t.stopped = true // what is queued for it counts until its turn comes
	}
}

// After runs f in d, in the client's order: never while another call for this client runs. It is dropped when the client goes or moves to another worker. What f does
// goes out by itself. It returns ErrTooMany when MaxTimers of the client wait, and ErrGone for a client that was not given to this worker, or has gone; the Timer can be stopped
// in any case.
//
//	_, err := c.After(10*time.Second, func(c *worker.Client) {
//		if c.UID() == "" {
//			_ = c.Close()
//		}
//	})
func (c *Client) After(d time.Duration, f func(*Client)) (*Timer, error) {
	s := c.s
	if s == nil {
		return &Timer{}, ErrGone
	}
	t := &Timer{s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gone:
		return &Timer{}, ErrGone
	case len(s.timers) >= MaxTimers:
		return &Timer{}, ErrTooMany
	case s.timers == nil:
		s.timers = make(map[*Timer]struct{})
	}
	s.timers[t] = struct{}{}
	t.t = time.AfterFunc(d, func() {
		s.queueTask(func(c *Client) {
			if t.begins() {
				f(c)
			}
		})
	})
	return t, nil
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
