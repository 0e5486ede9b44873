package worker

import "time"

// Timer is a function that waits to be run in a client's order.
type Timer struct {
	s *session
	t *time.Timer
}

// Stop keeps the function from running, if it has not begun.
func (t *Timer) Stop() {
	if t.s == nil {
		return
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.t.Stop()
	delete(t.s.timers, t)
}

// After runs f in d, in the client's order: never while another call for this client runs. It is dropped when the client goes or moves to another worker. What f does
// goes out by itself. For clients that were not given to this worker nothing happens.
//
//	c.After(10*time.Second, func(c *worker.Client) {
//		if c.UID() == "" {
//			_ = c.Close()
//		}
//	})
func (c *Client) After(d time.Duration, f func(*Client)) *Timer {
	s := c.s
	if s == nil {
		return &Timer{}
	}
	t := &Timer{s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return &Timer{}
	}
	if s.timers == nil {
		s.timers = make(map[*Timer]struct{})
	}
	s.timers[t] = struct{}{}
	t.t = time.AfterFunc(d, func() {
		s.mu.Lock()
		_, due := s.timers[t]
		delete(s.timers, t)
		s.mu.Unlock()
		if due {
			s.queueTask(f)
		}
	})
	return t
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
