package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/childproc"
)

// place is one of the processes and its successors.
type place struct {
	// Static after Run has begun.
	cfg      *Config
	number   int
	log      *slog.Logger
	renewals chan chan<- error // each is answered
	up       chan<- struct{}   // gets one value when a process has been ready; has room for it
	allUp    <-chan struct{}   // closed when all places have been

	// Owned by keep.
	now      *childproc.Process // nil: none runs
	began    time.Time          // it did
	isReady  bool               // it is
	wasUp    bool               // up has got its value
	failures int                // processes in a row that did not last
	retry    <-chan time.Time
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	steady       = 10 * time.Second // a process that has run for so long has lasted
	probation    = 250 * time.Millisecond
)

var errDied = errors.New("ended as soon as it was in service")

// keep runs processes, one after the other, until ctx ends.
func (p *place) keep(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil // there was no time to begin
	}
	first, err := childproc.Launch(p.cfg.Command(p.number))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFirst, err)
	}
	p.take(first)
	for {
		select {
		case <-ctx.Done():
			return p.stop(p.now)
		case <-p.ready():
			p.noteReady()
		case <-p.ended():
			err := p.now.Err()
			p.now = nil
			select {
			case <-p.allUp:
				p.failed(err)
			default:
				return fmt.Errorf("%w: place %d: %w", ErrFirst, p.number, because(childproc.ErrEnded, err))
			}
		case <-p.retry:
			p.retry = nil
			if next, err := childproc.Launch(p.cfg.Command(p.number)); err != nil {
				p.failed(err)
			} else {
				p.take(next)
			}
		case answer := <-p.renewals:
			answer <- p.replace(ctx)
		}
	}
}

// because adds the cause to err, if it is known.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// take makes a process the current one.
func (p *place) take(next *childproc.Process) {
	p.now, p.began, p.isReady, p.retry = next, time.Now(), false, nil
}

// ready is closed when the process has become ready. It is nil when that is known, or when none
// runs.
func (p *place) ready() <-chan struct{} {
	if p.now == nil || p.isReady {
		return nil
	}
	return p.now.Ready()
}

// ended is closed when the process has ended. It is nil when none runs.
func (p *place) ended() <-chan struct{} {
	if p.now == nil {
		return nil
	}
	return p.now.Done()
}

func (p *place) noteReady() {
	p.isReady = true
	p.log.Info("worker ready", "pid", p.now.PID)
	if !p.wasUp {
		p.wasUp = true
		p.up <- struct{}{}
	}
}

// failed schedules the start of another process, since one could not be started, or ended without a
// request.
func (p *place) failed(err error) {
	if time.Since(p.began) >= steady {
		p.failures = 0
	}
	p.failures++
	wait := backoff.Delay(firstBackoff, lastBackoff, p.failures)
	wait = wait/2 + rand.N(wait/2) // not all places at the same time
	p.retry = time.After(wait)
	p.log.Warn("a worker has ended; another is started", "in", wait.Round(time.Millisecond), "err", err)
}

// replace starts a process and, when it is ready, ends the current one. When the new process does
// not become ready, the current one stays. A new process that ends as soon as it is in service is
// an error, too, so that a reload does not put it into all places.
func (p *place) replace(ctx context.Context) error {
	next, err := childproc.Launch(p.cfg.Command(p.number))
	if err != nil {
		return err
	}
	if err := next.Await(p.cfg.ReadyWithin, ctx.Done()); err != nil {
		_ = p.stop(next) // the first error is the one to return
		return err
	}
	old := p.now
	p.take(next)
	p.noteReady()
	p.failures = 0
	if err := p.stop(old); err != nil {
		p.log.Warn("the worker that was replaced did not end well", "pid", old.PID, "err", err)
	}
	on := time.NewTimer(probation)
	defer on.Stop()
	select {
	case <-next.Done():
		return because(errDied, next.Err())
	case <-on.C:
	case <-ctx.Done():
	}
	return nil
}

// stop ends a process, if there is one. A process that was not ready has nothing to drain, and
// perhaps does not catch the signal yet.
func (p *place) stop(old *childproc.Process) error {
	if old == nil {
		return nil
	}
	if err := old.StopWithin(p.cfg.StopWithin); err != nil && !(old.Early() && childproc.Terminated(err)) {
		return fmt.Errorf("supervise: place %d: %w", p.number, err)
	}
	return nil
}
