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

// Gateway holds clients and passes their messages to workers.
type Gateway struct {
	// Static after New.
	cfg       Config
	log       *slog.Logger
	epoch     uint64 // differs at each start
	started   time.Time
	engine    *engine.Engine
	loops     []*loop     // bound: none, fixed by New
	listeners []*listener // bound: none, fixed by New
	inner     *workerPort
	keys      maphash.Seed         // of the hashes of messages' keys
	complain  *xrate.Limiter       // of what strangers on the inner port can make us log
	grumble   *xrate.Limiter       // of what clients can
	buffers   *bytebufferpool.Pool // of pages, any goroutine; a pointer, for it has to be aligned
	reserve   int                  // descriptors that clients leave for workers
	staff     chan struct{}        // of one: a loop has got its first worker, or lost its last
	pages     chan struct{}        // one token a plain HTTP request being answered

	pageCtx   context.Context // of all requests for pages
	stopPages context.CancelFunc

	peerCtx   context.Context // of all links to other gateways
	stopPeers context.CancelFunc
	keepers   sync.WaitGroup

	authFailures atomic.Uint64
	served       atomic.Bool // Serve has been called
	leaving      atomic.Bool // the context of Serve has ended: nobody else should come
	yields       atomic.Bool // and a successor may have the inner port
	pagesWG      sync.WaitGroup
}

// New starts a gateway: when it returns, clients and workers can connect. Serve must be called to end it.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname()
	}
	e, err := engine.New(engine.Config{Loops: cfg.Loops, PinCPUs: cfg.PinCPUs, MaxBuffered: cfg.MaxBuffered, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{
		cfg: cfg, log: cfg.Logger, epoch: rand.Uint64(), started: time.Now(), engine: e, keys: maphash.MakeSeed(), buffers: new(bytebufferpool.Pool),
		complain: xrate.NewLimiter(1, 5), grumble: xrate.NewLimiter(1, 5), reserve: reserve(), staff: make(chan struct{}, 1), pages: make(chan struct{}, maxPages),
	}
	g.pageCtx, g.stopPages = context.WithCancel(context.Background())
	g.peerCtx, g.stopPeers = context.WithCancel(context.Background())
	for i, el := range e.Loops() {
		g.loops = append(g.loops, newLoop(g, el, uint8(i)))
	}
	if err := g.listen(); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// listen starts the loops' ticks, then opens the listeners and the inner port. That comes last: who
// fails to start must not have taken it from a gateway that drains.
func (g *Gateway) listen() (err error) {
	for _, l := range g.loops {
		if err := l.el.Post(func() { l.el.Schedule(&l.tick, tickEvery) }); err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
	}
	for i, cfg := range g.cfg.Listeners {
		l, err := g.listenClients(cfg, uint8(encodings+owns(g.cfg.Listeners[:i])))
		if err != nil {
			return listenError(fmt.Sprintf("Listeners[%d].URL", i), cfg.URL, err)
		}
		g.listeners = append(g.listeners, l)
	}
	if g.inner, err = g.listenInner(); err != nil {
		return err
	}
	if len(g.cfg.Key) == 0 {
		g.log.Info("no key: workers are accepted from this machine only", "inner", g.WorkerAddr())
	}
	return nil
}

// Addrs are the listeners' URLs with the ports that are open, in the order of Config.Listeners.
func (g *Gateway) Addrs() []string {
	addrs := make([]string, len(g.listeners))
	for i, l := range g.listeners {
		addrs[i] = l.URL
	}
	return addrs
}

// WorkerAddr is the host:port where workers connect.
func (g *Gateway) WorkerAddr() string { return g.inner.ln.Addr().String() }

// stop ends everything that New started.
func (g *Gateway) stop() {
	for _, l := range g.listeners {
		_ = l.ln.Close()
	}
	if g.inner != nil {
		g.inner.close()
	}
	g.stopPages()
	g.stopPeers()
	_ = g.engine.Stop(context.Background()) // cuts whoever is still there, so it waits for nobody
	g.pagesWG.Wait()
	g.keepers.Wait()
}

// readRandom fills b from the system's generator, which never fails.
func readRandom(b []byte) { _, _ = crand.Read(b) }
