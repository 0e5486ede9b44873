// Crowd is a worker that tests kill. Its arguments are the worker addresses of the gateways.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed-7410fe32/sluice/worker"
)

// crowd passes messages between clients.
//
//	join NAME   becomes a member of the room, under a name: "ok"
//	only NAME   becomes the one client of the name: "in"
//	say N       all others receive "NAME N", and the sender "ok N"
func crowd(_ context.Context, c worker.Call, m worker.Message) error {
	verb, rest, _ := strings.Cut(string(m.Data), " ")
	switch verb {
	case "join":
		c.Bind(rest)
		c.Join("room")
		c.Send(worker.Text("ok"))
	case "only":
		c.BindExclusive(rest)
		c.Send(worker.Text("in"))
	case "say":
		c.Publish(worker.Group("room").Except(c.ID()), worker.Text(c.UID()+" "+rest))
		c.Send(worker.Text("ok " + rest))
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w, err := worker.New(worker.Config{Gateways: os.Args[1:], Logger: slog.New(slog.DiscardHandler)},
		worker.Handler{Message: crowd})
	if err == nil {
		go func() { <-w.Ready(); fmt.Println("ready crowd") }()
		err = w.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
