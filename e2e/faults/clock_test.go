package faults_test

import (
	"regexp"
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
	bin := proctest.BuildWithJumpingClock(t, "testdata/clock")
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
	if span := logged(t, g); span < 100*time.Minute {
		t.Errorf("the gateway's clock has jumped by %v at most: this showed nothing", span)
	}
}

// logged is the time between the earliest and the latest time of day that a process has logged.
func logged(t *testing.T, p *proctest.Process) time.Duration {
	var earliest, latest time.Time
	for _, m := range regexp.MustCompile(`time=(\S+)`).FindAllStringSubmatch(p.Log(), -1) {
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil {
			t.Fatal(err)
		}
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
		if at.After(latest) {
			latest = at
		}
	}
	return latest.Sub(earliest)
}
