package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Clients can connect to a gateway without workers, and wait. So the gateway logs that it has no
// worker: after noWorkerGrace, then each noWorkerEvery, and once more when there is one again.
const (
	noWorkerGrace = 2 * time.Second  // longer than a worker takes that starts with its gateway or is replaced
	noWorkerEvery = time.Minute      // interval of the log lines
	noWorkerPause = 10 * time.Second // minimum interval, also when workers come and go all the time
)

// workerWatch decides when to log. It has no clock and no I/O. It has one owner.
type workerWatch struct {
	since  time.Time // when the lack of workers began; zero: there are workers
	logged time.Time // time of the last line that said there is none
	open   bool      // that line was logged, and none that it is over
}

// check is called with none while there is no worker. It reports whether to log that now, or to log
// that it is over. next is the time until the next call if nothing changes, 0 if none is needed.
func (v *workerWatch) check(now time.Time, none bool) (tell, over bool, next time.Duration) {
	if !none {
		over = v.open
		v.open, v.since = false, time.Time{}
		return false, over, 0
	}
	if v.since.IsZero() {
		v.since = now
	}
	due := v.since.Add(noWorkerGrace)
	switch {
	case v.open:
		due = v.logged.Add(noWorkerEvery)
	case !v.logged.IsZero() && v.logged.Add(noWorkerPause).After(due):
		due = v.logged.Add(noWorkerPause)
	}
	if now.Before(due) {
		return false, false, due.Sub(now)
	}
	v.logged, v.open = now, true
	return true, false, noWorkerEvery
}

// noteWorkers notifies the gateway when the loop has got its first worker that takes clients, or
// lost its last one.
func (l *loop) noteWorkers() {
	if has := len(l.pool.links) > 0; has != l.hasWorkers.Load() {
		l.hasWorkers.Store(has)
		select {
		case l.g.workersChanged <- struct{}{}:
		default: // a notification is pending
		}
	}
}

// These are the reasons of Readiness.
var (
	errDraining   = errors.New("the gateway drains")
	errOverloaded = errors.New("all event loops are overloaded")
)

// Readiness returns nil if load balancers should send new clients to this gateway. Otherwise the
// error says why not: it does not listen yet, drains, has an event loop without a worker, or is
// overloaded. Any goroutine may call it.
func (g *Gateway) Readiness() error {
	if !g.isReady() {
		return ErrNotRunning
	}
	if g.Draining() {
		return errDraining
	}
	without, overloaded := 0, 0
	for _, l := range g.loops {
		if !l.hasWorkers.Load() {
			without++
		}
		if l.el.Overloaded() {
			overloaded++
		}
	}
	switch len(g.loops) {
	case without:
		return errors.New("no worker is connected")
	case overloaded:
		return errOverloaded
	}
	if without > 0 {
		return fmt.Errorf("%d of %d event loops have no worker", without, len(g.loops))
	}
	return nil
}

// watchWorkers logs that there is no worker, until ctx ends.
func (g *Gateway) watchWorkers(ctx context.Context) {
	var v workerWatch
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.workersChanged:
		case <-again.C:
		}
		without := 0
		for _, l := range g.loops {
			if !l.hasWorkers.Load() {
				without++
			}
		}
		since := v.since
		tell, over, next := v.check(time.Now(), without > 0)
		if tell {
			g.log.Warn("no worker takes clients: messages are queued, and rejected after a timeout",
				"addr", g.WorkerAddr(),
				"loops-without", without, "loops", len(g.loops),
				"clients-waiting", sum(ask(g, (*loop).waitingClients)),
				"for", time.Since(v.since).Round(time.Second))
		}
		if over {
			g.log.Info("workers take clients again", "after", time.Since(since).Round(time.Second))
		}
		if again.Stop(); next > 0 {
			again.Reset(next)
		}
	}
}

// waitingClients is how many clients have events for a worker while there is none.
func (l *loop) waitingClients() int {
	waiting, _ := l.book.WaitingClients()
	return waiting
}
