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

// place is one of the N processes, including its successive replacements.
type place struct {
	// Static after Run has started.
	cfg             *Config
	number          int
	log             *slog.Logger
	replaceRequests chan chan<- error // each one gets an answer
	up              chan<- struct{}   // receives one value when a process is ready for the first time; buffered
	allUp           <-chan struct{}   // closed when all places were ready once

	// Owned by keep.
	current    *childproc.Process // nil: no process is running
	started    time.Time          // when current was started
	isReady    bool               // current is ready
	reportedUp bool               // up has received its value
	failures   int                // consecutive processes that ended early
	retry      <-chan time.Time
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	stableAfter  = 10 * time.Second       // a process that has run for this time does not count as a failure
	probation    = 250 * time.Millisecond // how long a reload watches each new process
)

var errDied = errors.New("ended directly after it became ready")

// run runs processes, one after the other, until ctx ends.
func (p *place) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil // ctx ended before the first start
	}
	first, err := childproc.Launch(p.cfg.Command(p.number))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFirst, err)
	}
	p.setCurrent(first)
	for {
		select {
		case <-ctx.Done():
			return p.stop(p.current)
		case <-p.ready():
			p.noteReady()
		case <-p.ended():
			err := p.current.Err()
			p.current = nil
			select {
			case <-p.allUp:
				p.failed(err)
			default:
				return fmt.Errorf("%w: place %d: %w", ErrFirst, p.number, withCause(childproc.ErrEnded, err))
			}
		case <-p.retry:
			p.retry = nil
			if next, err := childproc.Launch(p.cfg.Command(p.number)); err != nil {
				p.failed(err)
			} else {
				p.setCurrent(next)
			}
		case answer := <-p.replaceRequests:
			answer <- p.replace(ctx)
		}
	}
}

// withCause returns err with its cause, if that is known.
func withCause(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// setCurrent makes next the process of the place.
func (p *place) setCurrent(next *childproc.Process) {
	p.current, p.started, p.isReady, p.retry = next, time.Now(), false, nil
}

// ready returns a channel that is closed when the process becomes ready. It is nil if the process
// was ready before or none is running.
func (p *place) ready() <-chan struct{} {
	if p.current == nil || p.isReady {
		return nil
	}
	return p.current.Ready()
}

// ended returns a channel that is closed when the process ends. It is nil if none is running.
func (p *place) ended() <-chan struct{} {
	if p.current == nil {
		return nil
	}
	return p.current.Done()
}

func (p *place) noteReady() {
	p.isReady = true
	p.log.Info("worker ready", "pid", p.current.PID)
	if !p.reportedUp {
		p.reportedUp = true
		p.up <- struct{}{}
	}
}

// failed schedules the start of another process, because one has ended unexpectedly or could not be
// started.
func (p *place) failed(err error) {
	if time.Since(p.started) >= stableAfter {
		p.failures = 0
	}
	p.failures++
	wait := backoff.Delay(firstBackoff, lastBackoff, p.failures)
	wait = wait/2 + rand.N(wait/2) // so that not all places restart at the same time
	p.retry = time.After(wait)
	p.log.Warn("worker ended, starting another", "in", wait.Round(time.Millisecond), "err", err)
}

// replace starts a process and, when it is ready, stops the current one. A process that does not
// become ready changes nothing. A process that ends shortly after it became ready is an error too,
// so that a reload does not start it in all places.
func (p *place) replace(ctx context.Context) error {
	next, err := childproc.Launch(p.cfg.Command(p.number))
	if err != nil {
		return err
	}
	if err := next.Await(p.cfg.ReadyWithin, ctx.Done()); err != nil {
		_ = p.stop(next) // the first error is the one to report
		return err
	}
	old := p.current
	p.setCurrent(next)
	p.noteReady()
	p.failures = 0
	if err := p.stop(old); err != nil {
		p.log.Warn("replaced worker did not end cleanly", "pid", old.PID, "err", err)
	}
	on := time.NewTimer(probation)
	defer on.Stop()
	select {
	case <-next.Done():
		return withCause(errDied, next.Err())
	case <-on.C:
	case <-ctx.Done():
	}
	return nil
}

// stop stops a process, if there is one. A process that was not ready has nothing to drain, and may
// not yet catch the signal.
func (p *place) stop(old *childproc.Process) error {
	if old == nil {
		return nil
	}
	if err := old.StopWithin(p.cfg.StopWithin); err != nil && !(old.NotReady() && childproc.Terminated(err)) {
		return fmt.Errorf("supervisor: place %d: %w", p.number, err)
	}
	return nil
}
