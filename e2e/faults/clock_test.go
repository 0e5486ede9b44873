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
	bin := proctest.BuildWithJumpingClock(t, "./testdata/clock")
	g := proctest.Start(t, nil, bin)
	worker := func() *proctest.Process { return proctest.Start(t, nil, bin, g.Addrs["inner"]) }
	older, newer := worker(), worker()
	done := fleet.Load(t, bench.Options{
		Mode: bench.Echo, Codec: bench.WebSocket, Conns: 200, Rate: 2000, Targets: []string{g.Addrs["ws"]},
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
			older.Kill()
			older, newer = newer, worker()
		}
	}
	if span := g.LogSpan(); span < 100*time.Minute {
		t.Errorf("the gateway's clock has jumped by %v at most: this showed nothing", span)
	}
}
