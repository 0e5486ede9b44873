// Crowd is a worker that tests kill. Its arguments are the gateways' inner addresses.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sluice/worker"
)

// crowd lets clients hear each other.
//
//	join NAME   becomes a member of the room, under a name: "ok"
//	only NAME   becomes the one client of the name: "in"
//	say N       all others hear "NAME N", who has said it "ok N"
type crowd struct{}

func (crowd) OnMessage(c *worker.Client, m worker.Message) {
	verb, rest, _ := strings.Cut(string(m.Data), " ")
	switch verb {
	case "join":
		_ = c.Bind(rest)
		_ = c.Join("room")
		_ = c.Send(worker.Text("ok"))
	case "only":
		_ = c.BindOnly(rest)
		_ = c.Send(worker.Text("in"))
	case "say":
		_ = c.Publish("room", worker.Text(c.UID()+" "+rest), c.ID())
		_ = c.Send(worker.Text("ok " + rest))
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	w, err := worker.New(worker.Config{Gateways: os.Args[1:], Logger: slog.New(slog.DiscardHandler)}, crowd{})
	if err == nil {
		go func() { <-w.Ready(); fmt.Println("ready crowd") }()
		err = w.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
