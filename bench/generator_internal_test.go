package bench

import (
	"context"
	"testing"
	"time"
)

// A message of an open loop is never sent early, and a generator that is closed does not wait for the next.
func TestAwait(t *testing.T) {
	t.Parallel()
	g := &generator{began: time.Now()}
	g.ctx, g.cancel = context.WithCancel(t.Context())
	for _, moment := range []time.Duration{-time.Second, 0, 100 * time.Microsecond, unpunctual, 3 * unpunctual} {
		moment += time.Since(g.began)
		if g.await(moment); time.Since(g.began) < moment {
			t.Errorf("%v early", moment-time.Since(g.began))
		}
	}
	g.cancel()
	if g.await(time.Hour); time.Since(g.began) > time.Minute {
		t.Error("late")
	}
}
