package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/executor"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/record"
)

var errRan = errors.New("worker: Run must be called only once")

// Worker runs a Handler for the clients of its gateways.
//
// Its methods with effects act at once. They are not part of a call: their effects stay when a call
// fails. Any goroutine may call them while Run runs. A handler passes its own context to them. The
// context bounds the wait for a gateway that does not read and for an answer. If it has no
// deadline, the wait for an answer is bounded by Config.QueryTimeout.
//
// These methods return ErrLinkDown if there is no link to a gateway that they need, and ErrTooBig,
// ErrEmpty or ErrInvalid for arguments that are not possible.
type Worker struct {
	// Static after New.
	cfg     Config
	log     *slog.Logger
	handler Handler
	id      [16]byte
	late    chan struct{} // closed startDelay after Run has begun
	retryIn time.Duration // pause before the first delivery that Retry requests; it doubles

	// Static after Run has begun. life is the parent context of all links. It is done when the drain
	// has taken too long.
	life       context.Context
	cancelLife context.CancelCauseFunc

	addresses addresses
	routes    routes
	narrow    narrowing
	claims    claims
	readiness readiness
	exec      *executor.Executor[item] // runs the calls
	units     units
	rec       *record.Recorder // counts the calls
	reporter  *reporter        // reports what rec has counted

	stats    counters
	failures sampler        // limits log lines about failed handlers
	fullness sampler        // limits log lines about MaxBlockedCalls
	lateness sampler        // limits log lines about effects of calls that have ended
	tasks    sync.WaitGroup // goroutines of links that run no handlers

	mu      sync.Mutex
	leaving map[string]bool      // guarded by mu: addresses of draining gateways; bound: none, one for each gateway
	led     map[*gwLink]struct{} // guarded by mu: links whose leader has not ended; bound: none, one for each link

	ran atomic.Bool // Run has been called

	polling    atomic.Int32 // readers of links that wait in poll(2)
	unanswered atomic.Int32 // addresses at which no gateway has answered yet
}

// New checks cfg and returns a Worker. It opens no connections; Run does. The error is a
// *ConfigError.
func New(cfg Config, h Handler) (*Worker, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if cfg.NoClients && h.servesClients() {
		return nil, &ConfigError{"NoClients", errors.New("the Handler may have Start and Stop only")}
	}
	w := &Worker{
		cfg: cfg, log: cfg.Logger, handler: h,
		late: make(chan struct{}), retryIn: firstRetry, leaving: make(map[string]bool),
		led: make(map[*gwLink]struct{}),
	}
	w.life, w.cancelLife = context.WithCancelCause(context.Background())
	w.unanswered.Store(int32(len(cfg.Gateways)))
	w.narrow.init(w)
	w.routes.init(!cfg.NoClients, w.narrow.add, w.narrow.forget)
	w.claims.init(&w.routes)
	w.addresses.init(w)
	w.readiness.init(w.addresses.list(), cfg.Discover != nil, func(missing []string) {
		w.log.Warn("ready without some gateways, still dialling them", "worker", cfg.Name, "missing", missing)
	})
	_, _ = rand.Read(w.id[:]) // never fails
	w.rec = newRecorder(cfg.Module)
	w.reporter = newReporter(w)
	w.exec = newExecutor(w)
	return w, nil
}

// Run dials the gateways and calls the handler until ctx is done. Then it drains: it gets no new
// clients, finishes the events that it has, and gives its clients back to the gateways. It returns
// when all its goroutines have ended, or with ErrHandlersRunning when handlers do not return. Run
// must be called only once; a second call returns an error.
func (w *Worker) Run(ctx context.Context) error {
	if w.ran.Swap(true) {
		return errRan
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	late := time.AfterFunc(startDelay, func() { close(w.late) })
	defer late.Stop()
	answered := time.AfterFunc(answerWithin, w.readiness.expire)
	defer answered.Stop()
	w.life, w.cancelLife = context.WithCancelCause(context.WithoutCancel(ctx))
	defer w.cancelLife(nil)
	watching, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var watched sync.WaitGroup
	watched.Go(func() { w.exec.Watch(watching) })
	watched.Go(func() { w.narrow.run(watching) })
	reporting, endReports := context.WithCancel(context.WithoutCancel(ctx))
	reported := make(chan struct{})
	go func() { w.reporter.run(reporting); close(reported) }()
	var dialling sync.WaitGroup
	dialling.Go(func() { w.addresses.keep(ctx) })
	<-ctx.Done()
	deadline := time.Now().Add(w.cfg.DrainTimeout)
	w.drain(deadline, func() { endReports(); <-reported })
	err := w.finish(&dialling, deadline)
	end()
	watched.Wait()
	w.stop(context.WithoutCancel(ctx))
	return err
}

// startDelay is how long a worker that starts waits for the links to all gateways before it handles
// events. What a handler sends to a gateway without a link is lost.
const startDelay = time.Second

// answerWithin is how long a worker that starts waits for gateways that do not answer before it is
// ready without them. A connection whose first packet was lost takes a second.
const answerWithin = 3 * time.Second

// minReturnTime is how long handlers have to return after their links have ended, at least.
const minReturnTime = time.Second

// finish waits until all goroutines have ended or the deadline has passed.
func (w *Worker) finish(dialling *sync.WaitGroup, deadline time.Time) error {
	ended := make(chan struct{})
	go func() {
		dialling.Wait()
		w.tasks.Wait()
		w.exec.Wait()
		close(ended)
	}()
	limit := time.NewTimer(max(time.Until(deadline), minReturnTime))
	defer limit.Stop()
	select {
	case <-ended:
		return nil
	case <-limit.C:
		return runningError(w.exec)
	}
}

// Ready returns a channel that is closed when the worker is ready: when all links to all gateways
// of Config.Gateways, and of the first list of Config.Discover, have been up. If some gateways have
// not answered 3 s after Run has begun, the worker is ready when the links to the others have been
// up, at least to one. It logs which are missing and keeps dialling them. Two addresses that lead
// to the same gateway count as one. A gateway that joins or leaves later changes nothing.
func (w *Worker) Ready() <-chan struct{} { return w.readiness.ready }

// drain asks the gateways for no more clients, waits until all clients have been handed over and
// all their events are handled, or until the deadline, calls last, and then ends the links.
func (w *Worker) drain(deadline time.Time, last func()) {
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	links := w.routes.all()
	if w.cfg.NoClients {
		links = nil // there is nothing to give back
	}
	for _, l := range links {
		l.startDrain()
	}
	for _, l := range links {
		select {
		case <-l.drained:
		case <-l.gone:
		case <-late.C:
			w.cancelLife(ErrDrainTimeout)
			w.log.Warn("drain timeout: ending links that still have clients", "worker", w.cfg.Name)
			late.Reset(0)
		}
	}
	last()
	var ending sync.WaitGroup
	for _, l := range w.routes.all() {
		ending.Go(func() { l.goAway(link.Draining, errDrained) }) // concurrently: each may take a second
	}
	ending.Wait()
}

// Stats are the counters and gauges of a Worker. Counters count from New.
type Stats struct {
	Handled         uint64 // messages whose handler has returned nil
	Errors          uint64 // calls that returned an error or requested an impossible effect
	Panics          uint64 // calls that panicked or ended their goroutine
	Retries         uint64 // deliveries requested by Retry
	DeadLettered    uint64 // events given up after Config.MaxDeliveries deliveries
	Refused         uint64 // clients that Connect, Adopt or Authenticate has refused
	Adopted         uint64 // clients taken over, whether or not there is a Handler.Adopt
	LateEffects     uint64 // effects of calls that had ended; they were ignored
	Slow            uint64 // calls that took longer than Config.SlowHandlerThreshold
	LeaderHandoffs  uint64 // calls that blocked, so that another goroutine took over the link
	Offloaded       uint64 // calls that ran on a goroutine of their own
	Reconnects      uint64 // links that were lost and dialled again
	CommandsDropped uint64 // messages and commands to gateways that are unknown or have no link
	Reports         uint64 // reports about calls that a gateway has kept
	ReportsLost     uint64 // reports about calls that were given up
	ReportsWaiting  int    // reports about calls that no gateway has kept yet
	// SendsNarrowed are messages of Publish to groups or uids, and queries about such, that left out
	// gateways, and GatewaysSpared the gateways left out. SendsWidened are those that went to all
	// gateways although there is a directory, because it had not yet said which ones hold the group
	// or uid.
	SendsNarrowed, GatewaysSpared, SendsWidened uint64

	GatewaysGivenUp uint64 // addresses that Config.Discover does not list any more and where no gateway answers
	Gateways        int    // addresses where the worker keeps links, those that do not answer included
	Blocked         int    // calls that run outside of their link's goroutine; each costs a goroutine
	Waiting         int    // clients whose events wait because MaxBlockedCalls calls block
	Clients         int    // clients of this worker, Leaving included
	Leaving         int    // clients that are gone, with a call that has not returned yet
	Links           int    // links that are up
}

type counters struct {
	handled, errors, panics, retries, deadLettered, refused atomic.Uint64
	adopted                                                 atomic.Uint64
	late, reconnects, dropped                               atomic.Uint64
}

// Stats returns the counters and gauges. Any goroutine may call it.
func (w *Worker) Stats() Stats {
	calls := w.exec.Stats()
	s := Stats{
		Handled: w.stats.handled.Load(), Errors: w.stats.errors.Load(), Panics: w.stats.panics.Load(),
		Retries: w.stats.retries.Load(), DeadLettered: w.stats.deadLettered.Load(), Refused: w.stats.refused.Load(),
		Adopted:     w.stats.adopted.Load(),
		LateEffects: w.stats.late.Load(), Slow: calls.Slow,
		LeaderHandoffs: calls.Handoffs, Offloaded: calls.Offloaded,
		Reconnects: w.stats.reconnects.Load(), CommandsDropped: w.stats.dropped.Load(),
		Reports: w.reporter.delivered.Load(), ReportsLost: w.reporter.lost.Load(),
		ReportsWaiting: int(w.reporter.behind.Load()),
		Blocked:        calls.Blocked, Waiting: calls.Waiting,
	}
	s.SendsNarrowed, s.GatewaysSpared, s.SendsWidened = w.narrow.stats()
	s.Gateways, s.GatewaysGivenUp = w.addresses.stats()
	for _, l := range w.routes.all() {
		s.Links++
		s.Clients += int(l.clients.Load())
		s.Leaving += int(l.leaving.Load())
	}
	return s
}
