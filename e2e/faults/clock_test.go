package faults_test

import (
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// The wall clocks of a gateway and its workers jump by hours, each by itself, while workers are
// killed. No timeout fires early, nothing that waits is given up, and each message comes back
// once.
func TestClockJumps(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	f := newShaken(t, proctest.BuildWithJumpingClock(t), bench.WebSocket, 1)
	f.addWorkers(2)
	done := fleet.Load(t, bench.Options{
		Mode: bench.Echo, Codec: bench.WebSocket, Conns: 200, Rate: 2000, Targets: f.Targets,
		Warmup: time.Second, Window: time.Duration(suite.Of(t, 4, 8, "seconds")) * time.Second, Drain: 10 * time.Second,
	})
	for over := false; !over; {
		select {
		case r := <-done:
			over = true
			if r != nil {
				fleet.ExpectClean(t, r)
			}
		case <-time.After(500 * time.Millisecond):
			f.kill()
		}
	}
	if span := f.Gateways[0].LogSpan(); span < 100*time.Minute {
		t.Errorf("the gateway's clock has jumped by %v at most: this showed nothing", span)
	}
}
