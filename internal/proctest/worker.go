package proctest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
)

// StartWorker runs a worker for a gateway in this process until the test ends. message is called
// for each message. At the end, release must unblock calls of message that wait.
func StartWorker(tb testing.TB, inner string, release func(), message func(worker.Call, worker.Message)) {
	tb.Helper()
	h := worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		message(c, m)
		return nil
	}}
	w, err := worker.New(worker.Config{
		Gateways: []string{inner}, Logger: slog.New(slog.DiscardHandler), DrainTimeout: time.Second,
	}, h)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	tb.Cleanup(func() {
		release()
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	<-w.Ready()
}
