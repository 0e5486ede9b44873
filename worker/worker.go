package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/link"
)

// Why a call fails.
var (
	// ErrLinkDown is returned when there is no link to the gateway concerned.
	ErrLinkDown = errors.New("worker: no link to the gateway")
	// ErrUnitTooLarge is returned when one handler call does more than 4 MiB of frames can say. One
	// command alone, the call's first, may have up to 16 MiB; then the call can do no more. What was
	// done before stands.
	ErrUnitTooLarge = errors.New("worker: handler call sends too much")
	// ErrTooBig is returned for what has no room in a frame: a message of more than 16 MiB with what
	// stands before it, a uid or group of more than 1,024 bytes, a key of more than 65,535, a list of
	// more than 65,535 names or clients. It is returned too for attributes of more than 1 MiB. Nothing has been done then.
	ErrTooBig = errors.New("worker: too big")
	// ErrInvalid is returned for a Query or a Class that says what there is not.
	ErrInvalid = errors.New("worker: invalid")
	// ErrEmpty is returned for an empty uid, group or attribute key.
	ErrEmpty = errors.New("worker: empty name")
	// ErrGone is returned when the client is not connected any more, or was never: its id names an
	// event loop that its gateway does not have.
	ErrGone = errors.New("worker: client is gone")
	// ErrConflict is returned when the attributes have changed since the version given.
	ErrConflict = errors.New("worker: attributes have changed")
	// ErrTooMany is returned by After when too many timers of the client wait.
	ErrTooMany = errors.New("worker: too many timers of a client")
	// ErrPartial is returned beside a usable answer that is not all there is: some gateways gave none,
	// or one of their event loops did not.
	ErrPartial = errors.New("worker: partial answer")
	// ErrRefused is returned when a gateway could not carry out what was asked.
	ErrRefused = errors.New("worker: refused by the gateway")
)

// ErrStuck is returned by Run when handlers have not returned in time at its end: they go on, without a link.
var ErrStuck = errors.New("worker: handlers have not returned")

var errRan = errors.New("worker: Run has been called before")

// Worker runs a Handler for the clients of its gateways. Its API methods may be called from any goroutine while Run runs.
type Worker struct {
	API

	// Static after New.
	cfg       Config
	log       *slog.Logger
	handler   Handler
	onConnect func(*Client)
	onClose   func(*Client, Reason)
	id        [16]byte
	targets   []*gateway    // of Config.Gateways; bound: none, one for each gateway
	late      chan struct{} // closed readyWithin after Run has begun

	routes    routes
	claims    claims
	readiness readiness
	pool      pool
	watch     watch
	units     units

	lingering lingering

	stats stats
	tasks sync.WaitGroup // all goroutines but Run's own

	mu      sync.Mutex
	leaving map[string]bool // guarded by mu: addresses of gateways that drain behind a successor; bound: none, one for each gateway

	ran atomic.Bool // Run has been called

	unseen atomic.Int32 // addresses that no gateway has answered at yet
}

// New checks cfg, of which it says by a ConfigError what cannot be, and makes a worker; Run starts it.
func New(cfg Config, h Handler) (*Worker, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if h == nil {
		return nil, errors.New("worker: a Handler is needed")
	}
	w := &Worker{cfg: cfg, log: cfg.Logger, handler: h, late: make(chan struct{}), leaving: make(map[string]bool)}
	w.API = API{w: w}
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
	if c, ok := h.(Connector); ok {
		w.onConnect = c.OnConnect
	}
	if c, ok := h.(Closer); ok {
		w.onClose = c.OnClose
	}
	return w, nil
}

// Run dials the gateways and handles what comes until ctx ends. Then it takes no new clients, finishes what it was given, hands its clients over, and
// returns when all its goroutines have ended, or with ErrStuck when handlers do not return. It is called once: a second call returns an error at once.
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
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	watched := make(chan struct{})
	go func() { w.watch.run(life); close(watched) }()
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
	w.stop()
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

// Ready is closed when the links to every gateway of Config.Gateways have been up; or, 3 s after Run has begun, when those to every gateway that answers have been, and there is one. The log says
// then which are missing; they are dialled on. Two addresses that lead to the same gateway count as one.
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

// Stats are a worker's figures since it started.
type Stats struct {
	Handled   uint64 // calls of OnMessage that returned
	Panics    uint64 // calls that panicked, or ended their goroutine
	Slow      uint64 // calls that took longer than Config.SlowAfter
	Takeovers uint64 // calls that blocked, so that another goroutine went on with the link
	Pooled    uint64 // calls that ran on a goroutine of their own
	Redials   uint64 // links lost and dialled again
	Unreached uint64 // plain sends to all gateways that one of them did not get, for there was no link to it
	Blocked   int    // calls that run now outside of their link's goroutine: they have blocked, or began just after one that did. There is no bound; each costs a goroutine
	Clients   int    // that the worker has now, those too that are gone while a call for them has not returned
	Leaving   int    // of Clients: those that are gone
	Links     int    // that are up now
}

type stats struct{ handled, panics, slow, takeovers, pooled, redials, unreached atomic.Uint64 }

// Stats returns the figures. Any goroutine may call it.
func (w *Worker) Stats() Stats {
	s := Stats{
		Handled: w.stats.handled.Load(), Panics: w.stats.panics.Load(), Slow: w.stats.slow.Load(),
		Takeovers: w.stats.takeovers.Load(), Pooled: w.stats.pooled.Load(), Redials: w.stats.redials.Load(),
		Unreached: w.stats.unreached.Load(), Blocked: w.watch.count(),
	}
	for _, l := range w.routes.all() {
		s.Links++
		s.Clients += int(l.clients.Load())
		s.Leaving += int(l.leaving.Load())
	}
	return s
}
