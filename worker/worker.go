package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

var errRan = errors.New("worker: Run has been called before")

// Worker runs a Handler for the clients of its gateways.
//
// Its other methods act at once, by themselves: they are no part of any call, and stand whatever
// becomes of one. Any goroutine may call them while Run runs. Each takes a context, which bounds how
// long it waits: for a gateway that does not read, or for an answer; without a deadline an answer is
// waited for as long as Config.QueryTimeout says. Each returns ErrLinkDown when there is no link to a
// gateway concerned, ErrTooBig and ErrEmpty for names and messages that are not possible. A handler
// that calls them passes its own context.
type Worker struct {
	// Static after New.
	cfg     Config
	log     *slog.Logger
	handler Handler
	id      [16]byte
	targets []*gateway    // of Config.Gateways; bound: none, one for each gateway
	late    chan struct{} // closed readyWithin after Run has begun
	retryIn time.Duration // the first pause before a delivery that a handler has asked for; it doubles

	life context.Context // static after Run has begun: of its links; done when the drain has taken too long
	end  context.CancelCauseFunc

	routes    routes
	claims    claims
	readiness readiness
	pool      pool
	watch     watchdog
	units     units

	lingering lingering

	stats    stats
	failures sampler        // of handlers, in the log
	lateness sampler        // effects of calls that have ended, in the log
	tasks    sync.WaitGroup // all goroutines but Run's own

	mu      sync.Mutex
	leaving map[string]bool // guarded by mu: addresses of gateways that drain behind a successor; bound: none, one for each gateway

	ran atomic.Bool // Run has been called

	polling atomic.Int32 // readers of links that wait in poll(2)
	unseen  atomic.Int32 // addresses that no gateway has answered at yet
}

// New checks cfg and makes a worker. It opens nothing: Run does. An error is a *ConfigError.
func New(cfg Config, h Handler) (*Worker, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	w := &Worker{cfg: cfg, log: cfg.Logger, handler: h, late: make(chan struct{}), retryIn: firstRetry, leaving: make(map[string]bool)}
	w.life, w.end = context.WithCancelCause(context.Background())
	w.unseen.Store(int32(len(cfg.Gateways)))
	w.routes.init()
	w.claims.init(&w.routes)
	for _, addr := range cfg.Gateways {
		w.targets = append(w.targets, newGateway(w, addr))
	}
	w.readiness.init(w.targets, func(missing []string) {
		w.log.Warn("ready without some gateways: trying on", "worker", cfg.Name, "missing", missing)
	})
	w.pool.init(w)
	w.watch.init(w)
	_, _ = rand.Read(w.id[:]) // never fails
	return w, nil
}

// Run dials the gateways and calls the handler until ctx ends. Then it drains: it takes no new
// clients, finishes what it was given, and hands its clients over. It returns when all its goroutines
// have ended, or with ErrHandlersRunning when handlers do not return. Run is called once: a second call returns
// an error.
func (w *Worker) Run(ctx context.Context) error {
	if w.ran.Swap(true) {
		return errRan
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	late := time.AfterFunc(readyWithin, func() { close(w.late) })
	defer late.Stop()
	answered := time.AfterFunc(answerWithin, w.readiness.expire)
	defer answered.Stop()
	w.life, w.end = context.WithCancelCause(context.WithoutCancel(ctx))
	defer w.end(nil)
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	watched := make(chan struct{})
	go func() { w.watch.run(watching); close(watched) }()
	var dialling sync.WaitGroup
	for _, g := range w.targets {
		dialling.Go(func() { g.keep(ctx) })
	}
	<-ctx.Done()
	deadline := time.Now().Add(w.cfg.DrainTimeout)
	w.drain(deadline)
	err := w.finish(&dialling, deadline)
	end()
	<-watched
	w.stop(context.WithoutCancel(ctx))
	return err
}

// readyWithin is how long a worker that starts waits for the gateways that are not there before it handles anything: what it sends to them while they have no link
// reaches nobody.
const readyWithin = time.Second

// answerWithin is how long a worker that starts waits for gateways that do not answer before it is ready without them: a connection whose first packet was lost is there after a second.
const answerWithin = 3 * time.Second

// stuckAfter is what handlers have to return in, at least, after their links have ended.
const stuckAfter = time.Second

// finish waits until all goroutines have ended, but not for ever.
func (w *Worker) finish(dialling *sync.WaitGroup, deadline time.Time) error {
	ended := make(chan struct{})
	go func() {
		dialling.Wait()
		w.tasks.Wait()
		close(ended)
	}()
	limit := time.NewTimer(max(time.Until(deadline), stuckAfter))
	defer limit.Stop()
	select {
	case <-ended:
		return nil
	case <-limit.C:
		return w.watch.stuck()
	}
}

// Ready returns a channel that is closed when the links to every gateway of Config.Gateways have been
// up; or, 3 s after Run has begun, when those to every gateway that answers have been, and there is
// one. The log then says which are missing; they are dialled on. Two addresses that lead to the same
// gateway count as one.
func (w *Worker) Ready() <-chan struct{} { return w.readiness.ready }

// drain asks for no more clients and waits until all have been handed over and all is handled, or the deadline has passed. Then the links end.
func (w *Worker) drain(deadline time.Time) {
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	links := w.routes.all()
	for _, l := range links {
		l.startDrain()
	}
	for _, l := range links {
		select {
		case <-l.drained:
		case <-l.gone:
		case <-late.C:
			w.end(ErrDrainTimeout)
			w.log.Warn("worker: clients left at the end of the drain", "worker", w.cfg.Name)
			late.Reset(0)
		}
	}
	var ending sync.WaitGroup
	for _, l := range w.routes.all() {
		ending.Go(func() { l.goAway(link.Draining, errDrained) }) // side by side: each may take a second
	}
	ending.Wait()
}

// Stats are a worker's counters and gauges since it was made.
type Stats struct {
	Handled         uint64 // messages whose handler has returned nil
	Errors          uint64 // calls that have returned an error, or whose effects were not possible
	Panics          uint64 // calls that have panicked, or have ended their goroutine
	Retries         uint64 // deliveries that a handler has asked for by Retry
	DeadLettered    uint64 // events that were given up after Config.MaxDeliveries deliveries
	Refused         uint64 // clients that Connect has refused by Refuse
	LateEffects     uint64 // effects of calls that had ended: they were ignored
	Slow            uint64 // calls that took longer than Config.SlowHandlerThreshold
	LeaderHandoffs  uint64 // calls that blocked, so that another goroutine went on with the link
	Offloaded       uint64 // calls that ran on a goroutine of their own
	Reconnects      uint64 // links that were lost and dialled again
	CommandsDropped uint64 // messages and commands that a gateway did not get: there was no link to it, or it is not known
	Blocked         int    // calls that run now outside of their link's goroutine: they have blocked, or began just after one that did. Each costs a goroutine
	Clients         int    // that the worker has now, including those that are gone while a call for them has not returned
	Leaving         int    // of Clients: those that are gone
	Links           int    // that are up now
}

type stats struct {
	handled, errors, panics, retries, deadLettered, refused, late, slow, handoffs, offloaded, reconnects, dropped atomic.Uint64
}

// Stats returns the counters and gauges. Any goroutine may call it.
func (w *Worker) Stats() Stats {
	s := Stats{
		Handled: w.stats.handled.Load(), Errors: w.stats.errors.Load(), Panics: w.stats.panics.Load(),
		Retries: w.stats.retries.Load(), DeadLettered: w.stats.deadLettered.Load(), Refused: w.stats.refused.Load(),
		LateEffects: w.stats.late.Load(), Slow: w.stats.slow.Load(), LeaderHandoffs: w.stats.handoffs.Load(), Offloaded: w.stats.offloaded.Load(),
		Reconnects: w.stats.reconnects.Load(), CommandsDropped: w.stats.dropped.Load(), Blocked: w.watch.count(),
	}
	for _, l := range w.routes.all() {
		s.Links++
		s.Clients += int(l.clients.Load())
		s.Leaving += int(l.leaving.Load())
	}
	return s
}
