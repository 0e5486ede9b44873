// Logins is a worker that gives a client the name that its message has, exclusively. Its arguments
// are the URL of the directory and the file of the key.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-7410fe32/sluice/directory"
	"github.com/seed-7410fe32/sluice/worker"
)

func login(_ context.Context, c worker.Call, m worker.Message) error {
	c.BindExclusive(string(m.Data))
	c.Send(worker.Text("in"))
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, keyFile string) error {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	dir, err := directory.Open(directory.Config{URL: url})
	if err != nil {
		return err
	}
	defer dir.Close()
	w, err := worker.New(worker.Config{Discover: dir.Gateways(), Key: key}, worker.Handler{Message: login})
	if err != nil {
		return err
	}
	go func() { <-w.Ready(); fmt.Println("ready logins") }()
	return w.Run(ctx)
}
