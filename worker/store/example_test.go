package store_test

import (
	"context"
	"fmt"
	"log"

	"sluice/worker"
	"sluice/worker/store"
)

// Bank is a handler with an effect outside of the gateways, which must happen once, though a message may come again.
type Bank struct{ seen store.Store }

func (b *Bank) OnMessage(c *worker.Client, m worker.Message) {
	_, err := store.Once(context.Background(), b.seen, m.Key(c), func() error { return transfer(m.Data) })
	if err == nil {
		_ = c.Send(worker.Text("transferred")) // no Once for this: of what a handler sends there is one anyway
	}
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
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, &Bank{seen})
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
