package store_test

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// bank is a handler with an effect outside of the gateways, which must occur once even if a message
// is delivered again.
func bank(seen store.Store) worker.Handler {
	return worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		done, err := store.Once(ctx, seen, m.Key(c), func() error { return transfer(m.Data) })
		if err != nil && !done {
			return worker.Retry(err) // the message comes again, in a while
		}
		c.Send(worker.Text("transferred")) // needs no Once: it reaches the client once
		return nil
	}}
}

func transfer(order []byte) error {
	fmt.Printf("%s\n", order)
	return nil
}

// A handler deduplicates by client and message, in one line.
func ExampleOnce() {
	seen, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		log.Fatal(err)
	}
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, bank(seen))
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

// A value is changed as one step, whoever else changes it; the same code works with each driver.
func ExampleUpdate() {
	ctx := context.Background()
	var scores store.Store
	scores, err := store.NewMemory(store.MemoryConfig{MaxBytes: 2 << 20}) // or redisstore.New, memcachedstore.New
	if err != nil {
		log.Fatal(err)
	}
	for _, points := range []int{300, 100, 500} {
		err := store.Update(ctx, scores, "best/ada", 24*time.Hour, func(old []byte) ([]byte, error) {
			best, _ := strconv.Atoi(string(old)) // no value counts as 0
			return strconv.AppendInt(nil, int64(max(best, points)), 10), nil
		})
		if err != nil {
			log.Fatal(err) // ErrUnavailable: a handler returns worker.Retry(err)
		}
	}
	best, _, err := scores.Get(ctx, "best/ada")
	fmt.Printf("%s %v\n", best, err)
	// Output: 500 <nil>
}
