package directory_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// The wall clocks of gateways and workers differ by up to two hours, and jump by hours, each by
// itself, while people talk, and gateways join, leave and crash. Only Redis counts leases, and
// processes count by clocks that cannot be set. So nobody is hidden or given up, and no message is
// lost or doubled.
func TestClocksDiffer(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	c := newCluster(t, 0, 0)
	c.bin = proctest.BuildWithJumpingClock(t, "github.com/seed-7410fe32/sluice")
	for range 3 {
		c.gateway()
	}
	c.worker()
	c.worker()
	c.certain()
	load := c.chat(8 * time.Second)
	fourth := c.gateway()
	t.Log("a gateway was in use after", c.inUse(fourth))
	c.found(fourth, c.workers...)
	c.redis.Do("flushall")
	if code := fourth.Terminate(); code != 0 {
		t.Errorf("a gateway that leaves: exit code %d", code)
	}
	fifth := c.gateway()
	c.found(fifth, c.workers...)
	fifth.Kill()
	for _, w := range c.workers {
		w.AwaitLog("gateway given up", 2)
	}
	c.endsClean(load)
	c.gateways = c.gateways[:3]
	c.certain()
	undisturbed(t, c.gateways...)
	if span := c.gateways[0].LogSpan(); span < 50*time.Minute {
		t.Errorf("a clock has jumped by %v at most: this showed nothing", span)
	}
	for _, w := range c.workers {
		if n := strings.Count(w.Log(), "gateway given up"); n != 2 {
			t.Errorf("%d gateways were given up", n)
		}
	}
}
