package logs

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	window   = time.Second // in which the lines of a kind are counted
	maxKinds = 1024        // that are counted at a time; lines of further kinds are not limited
)

// kind is what lines have in common that count as repetitions of each other.
type kind struct {
	level   slog.Level
	message string
}

// repeats limits lines of the same kind.
type repeats struct {
	rate   atomic.Int64        // lines in a window; negative: any number
	report func(k kind, n int) // static after init; called without mu

	mu   sync.Mutex
	seen map[kind]*repeat // guarded by mu; bound: repeated lines of the program's log
}

// repeat is the count of a kind in its present window.
type repeat struct {
	began      time.Time
	written    int
	suppressed int // a timer reports them at the end of the window
}

func (r *repeats) init(report func(k kind, n int)) {
	r.rate.Store(DefaultRate)
	r.report, r.seen = report, make(map[kind]*repeat)
}

// allow counts a line. It reports whether the line is to be written.
func (r *repeats) allow(k kind) bool {
	rate := int(r.rate.Load())
	if rate < 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	c := r.seen[k]
	if c == nil {
		if len(r.seen) >= maxKinds && !r.forgetOld(now) {
			return true
		}
		c = &repeat{began: now}
		r.seen[k] = c
	}
	if now.Sub(c.began) >= window && c.suppressed == 0 {
		c.began, c.written = now, 0
	}
	if c.written < rate {
		c.written++
		return true
	}
	if c.suppressed++; c.suppressed == 1 {
		time.AfterFunc(window-now.Sub(c.began), func() { r.end(k) })
	}
	return false
}

// forgetOld removes the kinds whose window is over, and reports whether there is room then. mu must
// be held.
func (r *repeats) forgetOld(now time.Time) bool {
	for k, c := range r.seen {
		if now.Sub(c.began) >= window && c.suppressed == 0 {
			delete(r.seen, k)
		}
	}
	return len(r.seen) < maxKinds
}

// end ends the window of a kind and reports the lines that were suppressed.
func (r *repeats) end(k kind) {
	r.mu.Lock()
	c := r.seen[k]
	n := 0
	if c != nil {
		n = c.suppressed
		c.began, c.written, c.suppressed = time.Now(), 0, 0
	}
	r.mu.Unlock()
	if n > 0 {
		r.report(k, n)
	}
}

// flush ends the windows of all kinds.
func (r *repeats) flush() {
	r.mu.Lock()
	kinds := make([]kind, 0, len(r.seen))
	for k := range r.seen {
		kinds = append(kinds, k)
	}
	r.mu.Unlock()
	for _, k := range kinds {
		r.end(k)
	}
}
