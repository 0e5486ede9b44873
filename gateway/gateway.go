package gateway

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/bytebufferpool"
	xrate "golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/engine"
)

// Gateway holds the connections of clients and passes their messages to workers.
type Gateway struct {
	// Static after New.
	cfg            Config
	log            *slog.Logger
	epoch          uint64 // differs at each start
	started        time.Time
	keys           maphash.Seed         // for the hashes of conflation keys
	strangerLogs   *xrate.Limiter       // limits log lines about peers, and about clients of an overloaded loop
	clientLogs     *xrate.Limiter       // limits log lines caused by clients
	buffers        *bytebufferpool.Pool // for pages, any goroutine; a pointer, because it must be aligned
	workersChanged chan struct{}        // capacity 1: a loop has got its first worker or lost its last one
	pages          chan struct{}        // one token per plain HTTP request that is being answered
	ready          chan struct{}        // closed when Run listens

	// Static after ready is closed.
	engine     *engine.Engine
	loops      []*loop     // bound: none, fixed by Run
	listeners  []*listener // bound: none, fixed by Run
	workerPort *workerPort
	interest   *interest       // nil: no directory
	arbiter    *arbiter        // nil: no directory
	reserve    int             // file descriptors that clients leave for workers
	pageCtx    context.Context // parent of the contexts of plain HTTP requests
	stopPages  context.CancelFunc
	peerCtx    context.Context // parent of the contexts of links to other gateways
	stopPeers  context.CancelFunc

	place        place
	authFailures atomic.Uint64
	ran          atomic.Bool // Run was called
	notReady     atomic.Bool // the context of Run has ended: not ready for new clients
	// workersAuthenticate: a worker has said that it decides on WebSockets. It stays so when the
	// worker has gone, because its clients are not to be opened without it.
	workersAuthenticate atomic.Bool
	givesPort           atomic.Bool // the drain has begun: a successor may have the worker port
	peersWG             sync.WaitGroup
	pagesWG             sync.WaitGroup
}

// New checks cfg and makes a Gateway. It opens no files or sockets; Run does. An error is a
// *ConfigError.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname()
	}
	return &Gateway{
		cfg: cfg, log: cfg.Logger, epoch: rand.Uint64(), started: time.Now(),
		keys: maphash.MakeSeed(), buffers: new(bytebufferpool.Pool),
		strangerLogs: xrate.NewLimiter(1, 5), clientLogs: xrate.NewLimiter(1, 5),
		workersChanged: make(chan struct{}, 1), pages: make(chan struct{}, maxPages), ready: make(chan struct{}),
	}, nil
}

// open starts the loops and listens. After an error nothing is left open.
func (g *Gateway) open() (err error) {
	g.engine, err = engine.New(engine.Config{
		Loops: g.cfg.Loops, PinCPUs: g.cfg.PinCPUs, MaxBuffered: g.cfg.MaxBuffered, Logger: g.log,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	g.reserve = reserve()
	g.pageCtx, g.stopPages = context.WithCancel(context.Background())
	g.peerCtx, g.stopPeers = context.WithCancel(context.Background())
	if g.cfg.Directory != nil {
		g.interest = newInterest(g, g.cfg.Loops)
		g.arbiter = newArbiter(g, g.interest, g.cfg.Loops)
	}
	for i, el := range g.engine.Loops() {
		g.loops = append(g.loops, newLoop(g, el, uint8(i)))
	}
	if err = g.listen(); err != nil {
		g.close()
	}
	return err
}

// listen starts the loops' ticks, then opens the listeners and the worker port. The worker port is
// the last, because a gateway that fails to start must not take it from one that drains.
func (g *Gateway) listen() (err error) {
	for _, l := range g.loops {
		if err := l.el.Post(func() { l.el.Schedule(&l.tick, tickEvery) }); err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
	for i, cfg := range g.cfg.Listeners {
		l, err := g.listenClients(cfg, uint8(encodings+customCodecs(g.cfg.Listeners[:i])))
		if err != nil {
			return listenError(fmt.Sprintf("Listeners[%d].URL", i), cfg.URL, err)
		}
		g.listeners = append(g.listeners, l)
	}
	if g.workerPort, err = g.listenWorkerPort(); err != nil {
		return err
	}
	if g.interest != nil {
		g.peersWG.Go(func() { g.interest.run(g.peerCtx) })
		g.peersWG.Go(func() { g.arbiter.run(g.peerCtx) })
	}
	if len(g.cfg.Key) == 0 {
		g.log.Info("no key: only workers on this machine are accepted", "addr", g.workerPort.ln.Addr().String())
	}
	return nil
}

// Ready returns a channel that is closed when Run listens on all addresses. It stays open if Run
// fails to.
func (g *Gateway) Ready() <-chan struct{} { return g.ready }

// isReady reports whether Ready is closed.
func (g *Gateway) isReady() bool {
	select {
	case <-g.ready:
		return true
	default:
		return false
	}
}

// Addrs returns the listeners' URLs with their actual ports, in the order of Config.Listeners.
// Before Ready it returns nil.
func (g *Gateway) Addrs() []string {
	if !g.isReady() {
		return nil
	}
	addrs := make([]string, len(g.listeners))
	for i, l := range g.listeners {
		addrs[i] = l.URL
	}
	return addrs
}

// WorkerAddr returns the host:port where workers connect. Before Ready it returns an empty string.
func (g *Gateway) WorkerAddr() string {
	if !g.isReady() {
		return ""
	}
	return g.workerPort.ln.Addr().String()
}

// close ends everything that open started.
func (g *Gateway) close() {
	for _, l := range g.listeners {
		_ = l.ln.Close()
	}
	if g.workerPort != nil {
		g.workerPort.close()
	}
	g.stopPages()
	g.stopPeers()
	_ = g.engine.Stop(context.Background()) // closes all connections at once
	g.pagesWG.Wait()
	g.peersWG.Wait()
}

// readRandom fills b with random bytes of the operating system. That never fails.
func readRandom(b []byte) { _, _ = crand.Read(b) }
