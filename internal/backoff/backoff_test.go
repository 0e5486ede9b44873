package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelay(t *testing.T) {
	t.Parallel()
	const first, last = 50 * time.Millisecond, time.Second
	for failures, want := range []time.Duration{first, first, 2 * first, 4 * first, 8 * first, 16 * first, last, last} {
		if d := Delay(first, last, failures); d != want {
			t.Errorf("after %d failures: %v, want %v", failures, d, want)
		}
	}
	if d := Delay(first, last, 1<<30); d != last {
		t.Errorf("after many failures: %v", d)
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !Sleep(t.Context(), time.Minute) || time.Since(began) != time.Minute {
			t.Errorf("it slept for %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if Sleep(ctx, time.Minute) || time.Since(began) != time.Minute+time.Second {
			t.Errorf("it slept for %v in all", time.Since(began))
		}
	})
}
