package publisher

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
)

// Publisher publishes to the clients of gateways. Any goroutine may call its methods while Run
// runs. They copy their arguments before they return.
//
// The context of a method bounds the wait for a gateway that does not read and for an answer. If it
// has no deadline, the wait for an answer is bounded by Config.QueryTimeout. Methods return
// worker.ErrLinkDown if there is no link to a gateway that they need, and worker.ErrTooBig,
// ErrEmpty or ErrInvalid for arguments that are not possible.
type Publisher struct {
	// Static after New.
	w   *worker.Worker
	cfg Config
}

// New checks cfg and returns a Publisher. It opens no connections; Run does. The error is a
// *ConfigError.
func New(cfg Config) (*Publisher, error) {
	w, err := cfg.newWorker()
	if err != nil {
		return nil, err
	}
	return &Publisher{w: w, cfg: cfg}, nil
}

// Run keeps links to the gateways until ctx is done. Then it writes what is queued, for a second at
// most, and returns when all its goroutines have ended. It must be called only once; a second call
// returns an error.
func (p *Publisher) Run(ctx context.Context) error { return p.w.Run(ctx) }

// Ready returns a channel that is closed when the links to all gateways have been up, or, 3 s after
// Run has begun, those to at least one gateway. It does not open again when links are lost.
func (p *Publisher) Ready() <-chan struct{} { return p.w.Ready() }

// Stats returns counters and gauges, of which those about clients and handlers are 0. Any goroutine
// may call it.
func (p *Publisher) Stats() worker.Stats { return p.w.Stats() }

// With connects a Publisher to the gateways, calls f with it, and ends it, so that what f has sent
// is written. The error is a *ConfigError, worker.ErrLinkDown if no gateway has answered within
// Config.ConnectTimeout, the error of ctx, or that of f. f gets ctx.
func With(ctx context.Context, cfg Config, f func(ctx context.Context, p *Publisher) error) error {
	p, err := New(cfg)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(running) }()
	defer func() { <-ended }() //nolint:errcheck // a worker without a handler has no error to return
	defer stop()
	late := time.NewTimer(p.cfg.ConnectTimeout)
	defer late.Stop()
	select {
	case <-p.Ready():
		return f(ctx, p)
	case <-late.C:
		return fmt.Errorf("publisher: no gateway has answered within %v: %w", p.cfg.ConnectTimeout, worker.ErrLinkDown)
	case <-ctx.Done():
		return fmt.Errorf("publisher: no gateway has answered: %w", context.Cause(ctx))
	}
}
