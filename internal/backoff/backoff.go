// Package backoff computes the delays between attempts of an operation that fails.
package backoff

import (
	"context"
	"time"
)

// Delay returns the delay after a number of consecutive failures. It is first after one failure,
// doubles with each further failure, and is at most last. Callers add a random part, so that many
// callers that failed at once do not all retry at once.
func Delay(first, last time.Duration, failures int) time.Duration {
	return min(first<<min(max(failures-1, 0), 16), last)
}

// Sleep waits for d. It returns early if ctx ends, and reports whether it waited completely.
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
