package workertest

import (
	"context"
	"time"

	"github.com/seed-7410fe32/sluice/worker/publisher"
)

// Publisher returns a publisher that is connected to the gateway. It ends with the test. Code that
// only publishes is tested with a worker whose Handler is empty.
func (g *Gateway) Publisher() *publisher.Publisher {
	g.tb.Helper()
	p, err := publisher.New(publisher.Config{
		Gateways: []string{memory}, Dial: g.dial, Key: g.config.Key, Name: "publisher", Logger: g.config.Logger,
	})
	if err != nil {
		g.tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	g.tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			g.tb.Errorf("workertest: the publisher has ended: %v", err)
		}
	})
	select {
	case <-p.Ready():
	case <-time.After(Timeout):
		g.tb.Fatalf("workertest: the publisher did not connect within %v", Timeout)
	}
	return p
}
