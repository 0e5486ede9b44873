package workertest_test

import (
	"context"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// Code that publishes is tested with a publisher of the gateway in memory, beside a worker or
// without business code. The worker stays the one that gets clients.
func TestPublisher(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error { c.Join("news"); return nil },
		Message: func(_ context.Context, c worker.Call, m worker.Message) error { c.Send(m); return nil },
	})
	p := g.Publisher()
	ada := g.Dial(workertest.Request{UID: "ada"})
	ada.Send("hi")
	ada.Expect("hi")
	if err := p.Publish(t.Context(), worker.Group("news"), worker.Text("evening")); err != nil {
		t.Fatal(err)
	}
	ada.Expect("evening")
	g.RestartWorker(func() worker.Handler { return worker.Handler{} })
	if n, err := p.Count(t.Context(), worker.UID("ada")); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := g.Publisher().Publish(t.Context(), worker.Everyone(), worker.Text("late")); err != nil {
		t.Fatal(err)
	}
	ada.Expect("late")
	if err := p.Close(t.Context(), worker.UID("ada")); err != nil {
		t.Error(err)
	}
}
