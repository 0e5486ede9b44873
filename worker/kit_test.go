package worker_test

import (
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// onMessage is a handler with only a Message function, which does not fail.
func onMessage(f func(worker.Call, worker.Message)) worker.Handler {
	return worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		f(c, m)
		return nil
	}}
}
