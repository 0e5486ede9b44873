// Package supervisor keeps a number of worker processes running on one host. It restarts those that
// end, and replaces all of them, one after the other, on request.
package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Config configures Run. N, Command and Ready are needed.
type Config struct {
	// N is the number of processes.
	N int
	// Command returns the command of a place, 1 to N. The process must report that it is ready as
	// childproc.Launch expects it, and end on SIGTERM.
	Command func(place int) *exec.Cmd
	// Ready is called once, when all processes are ready for the first time.
	Ready func()
	// ReadyWithin is how long a process that replaces another may take to become ready. Defaults to 20
	// s.
	ReadyWithin time.Duration
	// StopWithin is how long a process may take to end after SIGTERM before it is killed. Defaults to
	// 15 s.
	StopWithin time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// ErrFirst is returned by Run when a process ends before all have been ready for the first time:
// most likely the command is wrong.
var ErrFirst = errors.New("supervise: it does not come up")

// Run keeps the processes running until ctx ends, then ends them all. Each value of reload replaces
// them. It returns when all have ended, with the first error of ending one.
func Run[T any](ctx context.Context, cfg Config, reload <-chan T) error {
	if field, err := valid.Numbers(cfg); err != nil {
		return fmt.Errorf("supervise: Config.%s: %w", field, err)
	}
	if cfg.N == 0 || cfg.Command == nil || cfg.Ready == nil {
		return errors.New("supervise: Config.N, Command and Ready are needed")
	}
	cfg.ReadyWithin = cmp.Or(cfg.ReadyWithin, 20*time.Second)
	cfg.StopWithin = cmp.Or(cfg.StopWithin, 15*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	all, ctx := errgroup.WithContext(ctx)
	up, allUp := make(chan struct{}, cfg.N), make(chan struct{})
	places := make([]*place, cfg.N)
	for i := range places {
		p := &place{
			cfg: &cfg, number: i + 1, log: cfg.Logger.With("place", i+1), renewals: make(chan chan<- error), up: up,
			allUp: allUp,
		}
		places[i] = p
		all.Go(func() error { return p.keep(ctx) })
	}
	for n := 0; ; {
		select {
		case <-up:
			if n++; n == cfg.N {
				close(allUp)
				cfg.Ready()
			}
		case <-reload:
			renew(ctx, &cfg, places)
		case <-ctx.Done():
			return all.Wait()
		}
	}
}

// renew replaces the processes one after the other. It ends at the first failure: the processes
// that were not replaced stay.
func renew(ctx context.Context, cfg *Config, places []*place) {
	began := time.Now()
	cfg.Logger.Info("reloading", "workers", len(places))
	for i, p := range places {
		if err := p.renew(ctx); err != nil {
			if ctx.Err() == nil {
				cfg.Logger.Error("reload stopped: the workers that were not replaced stay", "replaced", i, "workers", len(places),
					"err", err)
			}
			return
		}
	}
	cfg.Logger.Info("reloaded", "workers", len(places), "took", time.Since(began).Round(time.Millisecond))
}

func (p *place) renew(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case p.renewals <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-answer; err != nil {
		return fmt.Errorf("supervise: place %d: %w", p.number, err)
	}
	return nil
}
