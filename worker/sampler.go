package worker

import (
	"sync"
	"time"
)

// sampler lets one line a second into the log of what may happen for every message.
type sampler struct {
	mu     sync.Mutex // nothing else is locked under it
	next   time.Time  // guarded by mu
	hidden uint64     // guarded by mu: not in the log since the last line
}

// allow reports whether to log, and how many were not logged since the last one.
func (s *sampler) allow() (hidden uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.hidden++
		return 0, false
	}
	hidden, s.hidden, s.next = s.hidden, 0, now.Add(time.Second)
	return hidden, true
}
