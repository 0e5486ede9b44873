package worker

import (
	"testing"
	"time"
)

// However long a gateway has been away, it is dialled again within a second, and neither all at once nor in lockstep with other workers.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	const most = time.Second
	for failures := range 100 {
		least, longest := most, time.Duration(0)
		for range 200 {
			d := retryDelay(failures)
			least, longest = min(least, d), max(longest, d)
		}
		if least <= 0 || longest > most {
			t.Fatalf("after %d failures: between %v and %v", failures, least, longest)
		}
		if longest < 2*least {
			t.Errorf("after %d failures: no more jitter than %v to %v", failures, least, longest)
		}
		if failures == 0 && longest > 100*time.Millisecond {
			t.Errorf("a link that was just lost is dialled after up to %v", longest)
		}
		if failures > 10 && longest < most/2 {
			t.Errorf("after %d failures: at most %v", failures, longest)
		}
	}
}
