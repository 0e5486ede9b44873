package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/seed-7410fe32/sluice/worker"
)

// A worker that publishes each message to all clients.
func Example() {
	h := worker.Handler{
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Publish(worker.Everyone(), m)
			return nil
		},
	}
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, h)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // or when a signal comes
	if err := w.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
}

// Middleware wraps the functions of a handler. Here it rejects messages of clients that have not
// logged in, and sends errors to the client.
func ExampleChain() {
	loginFirst := func(h worker.Handler) worker.Handler {
		next := h.Message
		h.Message = func(ctx context.Context, c worker.Call, m worker.Message) error {
			if c.UID() == "" {
				return errors.New("log in first")
			}
			return next(ctx, c, m)
		}
		return h
	}
	tellErrors := func(h worker.Handler) worker.Handler {
		h.Error = func(_ context.Context, c worker.Call, err error) {
			c.Send(worker.Text("error: " + err.Error()))
		}
		return h
	}
	echo := worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			if c.Request().Query("token") == "" {
				return worker.Refuse(4401, "no token")
			}
			return nil
		},
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Send(m)
			return nil
		},
	}
	h := worker.Chain(echo, tellErrors, loginFirst)
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}, Logger: slog.New(slog.DiscardHandler)}, h)
	fmt.Println(w.Stats().Handled, err)
	// Output: 0 <nil>
}
