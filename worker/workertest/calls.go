package workertest

import (
	"context"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// calls are the calls that the workers of a Gateway have reported.
type calls struct {
	mu   sync.Mutex
	sums map[string]*stats.Row // guarded by mu: by interface
}

// take is the worker's OnStats.
func (c *calls) take(_ context.Context, report []byte) error {
	r, err := stats.ReadReport(report)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range r.Rows {
		row := &r.Rows[i]
		if c.sums[row.Interface] == nil {
			c.sums[row.Interface] = new(stats.Row)
		}
		c.sums[row.Interface].Merge(row)
	}
	return nil
}

func (c *calls) of(name string) (count, failed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if row := c.sums[name]; row != nil {
		return int(row.Count), int(row.Count - row.Success)
	}
	return 0, 0
}

// ExpectCalls waits until the statistics have that many calls of an interface since the beginning
// of the test, such as "message" or a name that a handler has given with Call.Interface. It fails
// the test if there are more, or if not as many of them have failed. Figures are up to a second
// late.
func (g *Gateway) ExpectCalls(name string, calls, failed int) {
	g.tb.Helper()
	count, bad := g.calls.of(name)
	for end := time.Now().Add(Timeout); count < calls && time.Now().Before(end); count, bad = g.calls.of(name) {
		time.Sleep(5 * time.Millisecond)
	}
	if count != calls || bad != failed {
		g.tb.Fatalf("workertest: %d calls of %q, of which %d have failed: want %d and %d", count, name, bad, calls, failed)
	}
}
