package worker

import (
	"sync"
	"time"
)

// sampler limits a log line that could occur for every message to one a second.
type sampler struct {
	mu     sync.Mutex // nothing else is locked under it
	next   time.Time  // guarded by mu
	hidden uint64     // guarded by mu: lines suppressed since the last one
}

// allow reports whether to log, and how many lines were suppressed since the last one.
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
