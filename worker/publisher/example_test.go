package publisher_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/publisher"
)

// A web application that tells users about their orders.
func Example() {
	p, err := publisher.New(publisher.Config{Gateways: []string{"127.0.0.1:2300"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		text := worker.Text(`{"type":"ordered"}`)
		if err := p.Publish(r.Context(), worker.UID(r.FormValue("user")), text); err != nil {
			slog.Warn("the user is not told", "err", err) // the order is stored all the same
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	stop() // or when a signal comes; http.Server.ListenAndServe runs beside
	fmt.Println(p.Run(ctx))
	// Output: <nil>
}

// A job that tells all clients in a group something, and ends.
func ExampleWith() {
	cfg := publisher.Config{Gateways: []string{"127.0.0.1:2300"}}
	job := func(ctx context.Context, p *publisher.Publisher) error {
		n, err := p.Count(ctx, worker.Group("news"))
		if err != nil {
			return err
		}
		fmt.Println("readers:", n)
		return p.Publish(ctx, worker.Group("news"), worker.Text("good evening"))
	}
	if err := publisher.With(context.Background(), cfg, job); err != nil {
		log.Fatal(err)
	}
}

// The users who are in a group at the moment.
func ExamplePublisher_UIDs() {
	online := func(ctx context.Context, p *publisher.Publisher, group string) (users []string, err error) {
		for uid, err := range p.UIDs(ctx, worker.Group(group)) {
			if err != nil {
				return users, err // worker.ErrPartial: some gateways have not answered
			}
			users = append(users, uid)
		}
		return users, nil
	}
	_ = online
}
