// Package backoff says how long to wait before something that fails is tried again.
package backoff

import (
	"context"
	"time"
)

// Delay returns the pause after a number of attempts in a row that have failed: first, doubled for each failure but the first one, and at most last. Callers add a random part, so
// that many who have failed at once do not try again at once.
func Delay(first, last time.Duration, failures int) time.Duration {
	return min(first<<min(max(failures-1, 0), 16), last)
}

// Sleep waits for d. It returns early when ctx ends, and reports whether it has not.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
