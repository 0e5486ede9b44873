package directory_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// People of three gateways log in, talk in rooms and in private, leave and come back, while Redis
// is flushed, killed, started again empty and frozen, and a worker is killed. Messages go only to
// the gateways that have members, and none is lost or doubled.
func TestNarrowChat(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3, 2)
	c.certain()
	load := c.chat(26 * time.Second)
	time.Sleep(7 * time.Second)
	spared := c.sum("sluice_gateways_spared_total")
	c.redis.Do("flushall")
	time.Sleep(3 * time.Second)
	c.redis.Kill()
	time.Sleep(3 * time.Second)
	c.redis.Restart()
	time.Sleep(3 * time.Second)
	c.redis.Pause()
	time.Sleep(4 * time.Second)
	c.redis.Resume()
	c.workers[0].Kill()
	c.endsClean(load)
	t.Logf("%v gateways were spared before the faults, %v afterwards; %v relayed; %v units waited, %v doubts", spared,
		c.sum("sluice_gateways_spared_total")-spared, c.sum("sluice_commands_relayed_total"),
		c.sum("sluice_units_parked_total"), c.sum("sluice_doubts_total"))
	if spared == 0 {
		t.Error("no gateway was spared")
	}
	if n := c.sum("sluice_commands_dropped_total"); n > 0 {
		t.Errorf("%v commands were dropped", n)
	}
	c.certain()
}

// certain waits until all gateways have workers and are not in doubt.
func (c *cluster) certain() {
	c.t.Helper()
	for _, g := range c.gateways {
		c.inUse(g)
		proctest.Await(c.t, "the gateway is not in doubt", func() bool { return c.figure(g, "sluice_in_doubt") == 0 })
	}
}

// figure is the sum of a metric of a gateway over its labels.
func (c *cluster) figure(g *proctest.Process, name string) (sum float64) {
	c.t.Helper()
	_, body := c.get(g, "/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			n, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				c.t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// sum is the sum of a metric over the gateways.
func (c *cluster) sum(name string) (sum float64) {
	c.t.Helper()
	for _, g := range c.gateways {
		sum += c.figure(g, name)
	}
	return sum
}
