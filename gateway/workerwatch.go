package gateway

import (
	"context"
	"time"
)

// A gateway without workers looks well to its clients, who connect and wait. So its log says it:
// when it has lasted for noWorkerGrace, every noWorkerEvery from then on, and when it is over.
const (
	noWorkerGrace = 2 * time.Second  // a worker that starts with its gateway, or is replaced, takes less
	noWorkerEvery = time.Minute      // from line to line
	noWorkerPause = 10 * time.Second // at least, also when workers come and go all the time
)

// workerWatch decides what is said of it. It is data and nothing else: one owner, no clock.
type workerWatch struct {
	since  time.Time // when there was no worker first; zero: there are
	logged time.Time // the last line that said there is none
	open   bool      // such a line stands, and none that says it is over
}

// check says whether it is to be told now that there is no worker, or that there are again, and when
// to look next although nothing has changed; 0: there is no need.
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

// noteWorkers tells the gateway when the loop has got its first worker that takes clients, or has
// lost its last one.
func (l *loop) noteWorkers() {
	if has := len(l.pool.links) > 0; has != l.hasWorkers.Load() {
		l.hasWorkers.Store(has)
		select {
		case l.g.workersChanged <- struct{}{}:
		default: // the gateway is about to look
		}
	}
}

// watchWorkers puts into the log that there is no worker, until ctx ends.
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
			g.log.Warn("no worker takes clients: what they send waits, and is refused in the end", "inner", g.WorkerAddr(),
				"loops-without", without, "loops", len(g.loops), "clients-waiting", sum(ask(g, (*loop).waitingClients)), "for", time.Since(v.since).Round(time.Second))
		}
		if over {
			g.log.Info("workers take clients again", "after", time.Since(since).Round(time.Second))
		}
		if again.Stop(); next > 0 {
			again.Reset(next)
		}
	}
}

// waitingClients is how many clients have something for a worker while none is there.
func (l *loop) waitingClients() int { return len(l.waiting) + len(l.trials.next) }
