package worker_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// fragile is a handler that panics in the functions that the test names.
type fragile struct{ start, stop bool }

func (f fragile) handler() worker.Handler {
	return worker.Handler{
		Start: func(context.Context, *worker.Worker) error {
			if f.start {
				panic("no database")
			}
			return nil
		},
		Stop: func(context.Context, *worker.Worker) {
			if f.stop {
				panic("no farewell")
			}
		},
	}
}

// A panic in Start ends Run with an error that says so, like an error of Start.
func TestPanicInStart(t *testing.T) {
	t.Parallel()
	w, err := worker.New(worker.Config{
		Gateways: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler),
	}, fragile{start: true}.handler())
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Start") || !strings.Contains(err.Error(), "no database") {
		t.Errorf("Run: %v", err)
	}
	if n := w.Stats().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
}

// A panic in Stop is logged and counted. Run returns nil.
func TestPanicInStop(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	var g *workertest.Gateway
	t.Cleanup(func() { // after the worker's end
		if !strings.Contains(logs.String(), "no farewell") {
			t.Errorf("the panic was not logged:\n%s", logs.String())
		}
		if n := g.Worker().Stats().Panics; n != 1 {
			t.Errorf("%d panics counted", n)
		}
	})
	g = workertest.NewWithConfig(t, fragile{stop: true}.handler(),
		worker.Config{Logger: slog.New(slog.NewTextHandler(&logs, nil))})
}

// A second Run returns an error and has no effect, both while the first runs and afterwards.
func TestRunTwice(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()}, Logger: slog.New(slog.DiscardHandler)}, across)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-w.Ready()
	if err := w.Run(ctx); err == nil {
		t.Error("a second Run beside the first is no error")
	}
	c := dial(t, g)
	c.say("x")
	c.receives("ok")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := w.Run(ctx); err == nil {
		t.Error("a second Run after the first is no error")
	}
}
