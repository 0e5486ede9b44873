package redisstore_test

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/redisstore"
)

// The last messages of a room are shared by all workers. A room works without them while Redis is
// away.
func Example() {
	shared, err := redisstore.New(redisstore.Config{URL: "redis://worker:secret@10.0.0.5:6379"})
	if err != nil {
		log.Fatal(err) // the URL is wrong; a server that is away may come later
	}
	defer shared.Close()
	rooms := store.History{Store: shared, Keep: 50, TTL: 24 * time.Hour}
	_ = worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		err := rooms.Append(ctx, "room/lobby", m.Data)
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		c.Publish(worker.Group("lobby"), worker.Text(string(m.Data)))
		return nil
	}}
}
