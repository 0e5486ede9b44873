package workertest

import (
	"context"
	"sync"

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
