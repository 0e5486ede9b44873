package remote

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
)

const (
	// threshold is how many requests in a row must fail until the server counts as away.
	threshold = 3
	// These are the first and the longest pause before the server is asked again.
	firstPause, lastPause = 100 * time.Millisecond, 2 * time.Second
)

// circuit is closed while a server answers, and open while it is away, so that nobody waits for it
// in vain. The zero value is closed. Any goroutine may call its methods.
type circuit struct {
	mu       sync.Mutex
	failures int       // in a row
	pauses   int       // since the server has last answered
	until    time.Time // the end of the pause; zero if the circuit is closed
	probing  bool      // a request is on its way that finds out whether the server is back
	stats    Stats
}

// Stats are figures of a Server. Counters count from its beginning.
type Stats struct {
	Away     bool
	Failures uint64 // requests that got no answer
	Rejected uint64 // requests that were not made, because the server was away
}

// result is what became of a request.
type result int

const (
	answered  result = iota // the server works
	failed                  // no answer in time
	abandoned               // nobody waited for the answer
)

// allow reports whether a request may be made. Its result must be given to report.
func (c *circuit) allow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.until.IsZero():
		return true
	case c.probing || time.Now().Before(c.until):
		c.stats.Rejected++
		return false
	}
	c.probing = true
	return true
}

// report takes the result of a request.
func (c *circuit) report(r result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r {
	case answered:
		c.failures, c.pauses, c.until, c.probing = 0, 0, time.Time{}, false
	case abandoned:
		c.probing = false // if it was another request the server is asked once more
	case failed:
		c.stats.Failures++
		if c.failures++; c.failures < threshold || time.Now().Before(c.until) {
			return
		}
		c.pauses++
		pause := backoff.Delay(firstPause, lastPause, c.pauses)
		c.until, c.probing = time.Now().Add(pause-rand.N(pause/4)), false
	}
}

func (c *circuit) figures() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Away = !c.until.IsZero()
	return c.stats
}
