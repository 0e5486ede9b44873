package bench_test

import (
	"time"
)

// served is an answer whose time was taken.
type served struct {
	mark
	peer         *peer
	written, had time.Time // begun to be written; its client answered a ping behind it
}

// ponged notes that p's client has read the answer before its first ping that is not answered.
func (s *liar) ponged(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p.pings) > 0 {
		s.served[p.pings[0]].had = time.Now()
		p.pings = p.pings[1:]
	}
}
