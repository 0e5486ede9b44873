package worker_test

import (
	"context"

	"github.com/seed-7410fe32/sluice/worker"
)

// onMessage is business that hears messages and nothing else, and does not fail.
func onMessage(f func(worker.Call, worker.Message)) worker.Handler {
	return worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		f(c, m)
		return nil
	}}
}
