// Clock is a gateway, or with the worker address of one its worker, for a test of clocks that jump.
// It has no more than these two, because it is built together with the standard library.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

func echo(_ context.Context, c worker.Call, m worker.Message) error {
	c.Send(m)
	return nil
}

func runGateway(ctx context.Context) error {
	g, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0"}}, Loops: 2, DrainTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	go func() { <-g.Ready(); fmt.Printf("ready %s inner://%s\n", g.Addrs()[0], g.WorkerAddr()) }()
	return g.Run(ctx)
}

func runWorker(ctx context.Context, inner string) error {
	w, err := worker.New(worker.Config{Gateways: []string{inner}}, worker.Handler{Message: echo})
	if err != nil {
		return err
	}
	go func() { <-w.Ready(); fmt.Println("ready worker") }()
	return w.Run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	var err error
	if len(os.Args) > 1 {
		err = runWorker(ctx, os.Args[1])
	} else {
		err = runGateway(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
