package worker_test

import (
	"context"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// A client that is closed with a code receives what was sent to it before. With a code that is not
// possible the call fails, and the client stays.
func TestCloseCode(t *testing.T) {
	t.Parallel()
	why := make(chan worker.Reason, 1)
	g := workertest.New(t, worker.Handler{
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Send(worker.Text("last"))
			if string(m.Data) == "wrong" {
				c.CloseCode(1000, "a code that a close must not have")
				return nil
			}
			c.CloseCode(1008, "too many requests")
			return nil
		},
		Error: func(_ context.Context, c worker.Call, _ error) { c.Send(worker.Text("failed")) },
		Close: func(_ context.Context, _ worker.Call, r worker.Reason) error {
			why <- r
			return nil
		},
	})
	c := g.Dial(workertest.Request{})
	c.Send("wrong")
	c.Expect("failed")
	c.Send("right")
	c.Expect("last")
	c.ExpectRefused("too many requests")
	if r := <-why; r != worker.ReasonRefused {
		t.Errorf("Close gets %v", r)
	}
}
