package workertest

import (
	"context"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
)

// A client that dials while no worker is connected waits for one.
func TestDialWaits(t *testing.T) {
	t.Parallel()
	g := New(t, worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		c.Send(m)
		return nil
	}})
	for range 3 {
		g.mu.Lock()
		old := g.link
		g.mu.Unlock()
		_ = old.conn.Close() // the worker dials again, in a while
		for gone := false; !gone; {
			g.mu.Lock()
			gone = g.link != old
			g.mu.Unlock()
		}
		c := g.Dial(Request{})
		c.Send("hi")
		c.Expect("hi")
	}
}
