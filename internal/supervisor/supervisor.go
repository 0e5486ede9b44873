// Package supervisor keeps a number of worker processes running on one host. It restarts processes
// that end, and replaces all of them, one after the other, on request.
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

// Config configures Run. N, Command and Ready are required.
type Config struct {
	// N is the number of processes.
	N int
	// Command returns the command of a place, 1 to N. The process must report that it is ready as
	// childproc.Launch expects it, and must end on SIGTERM.
	Command func(place int) *exec.Cmd
	// Ready is called once, when all processes are ready for the first time.
	Ready func()
	// ReadyWithin is how long a replacement may take until it is ready. Defaults to 20 s.
	ReadyWithin time.Duration
	// StopWithin is how long a process may take to end after SIGTERM. Then it is killed. Defaults
	// to 15 s.
	StopWithin time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// ErrFirst is returned by Run when a process ends before all were ready for the first time: the
// command is probably wrong.
var ErrFirst = errors.New("supervisor: the workers do not start")

// Run keeps the processes running until ctx ends, and then stops them all. Each value of reload
// replaces them. Run returns when all processes have ended, with the first error of a stop.
func Run[T any](ctx context.Context, cfg Config, reload <-chan T) error {
	if field, err := valid.Numbers(cfg); err != nil {
		return fmt.Errorf("supervisor: Config.%s: %w", field, err)
	}
	if cfg.N == 0 || cfg.Command == nil || cfg.Ready == nil {
		return errors.New("supervisor: Config.N, Command and Ready are required")
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
			cfg: &cfg, number: i + 1, log: cfg.Logger.With("place", i+1),
			replaceRequests: make(chan chan<- error), up: up, allUp: allUp,
		}
		places[i] = p
		all.Go(func() error { return p.run(ctx) })
	}
	for n := 0; ; {
		select {
		case <-up:
			if n++; n == cfg.N {
				close(allUp)
				cfg.Ready()
			}
		case <-reload:
			reloadAll(ctx, &cfg, places)
		case <-ctx.Done():
			return all.Wait()
		}
	}
}

// reloadAll replaces the processes one after the other. It stops at the first failure; the
// remaining processes stay.
func reloadAll(ctx context.Context, cfg *Config, places []*place) {
	began := time.Now()
	cfg.Logger.Info("reloading", "workers", len(places))
	for i, p := range places {
		if err := p.requestReplace(ctx); err != nil {
			if ctx.Err() == nil {
				cfg.Logger.Error("reload stopped, the remaining workers stay",
					"replaced", i, "workers", len(places), "err", err)
			}
			return
		}
	}
	cfg.Logger.Info("reloaded", "workers", len(places), "took", time.Since(began).Round(time.Millisecond))
}

func (p *place) requestReplace(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case p.replaceRequests <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := <-answer; err != nil {
		return fmt.Errorf("supervisor: place %d: %w", p.number, err)
	}
	return nil
}
