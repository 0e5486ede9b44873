package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
)

// generator makes the load of one process: an engine with a shard of clients on each loop.
type generator struct {
	// Static after newGenerator.
	opts       Options
	first, end uint32 // its connections
	engine     *engine.Engine
	shards     []*shard
	clients    []*client      // by id, from first on; none if connections are short-lived
	began      time.Time      // of the run
	deflate    *codec.Deflate // shared by all WebSockets
	plan       *plan
	control    func(network, address string, c syscall.RawConn) error // of sockets before they connect
	patience   time.Duration                                          // openWithin
	dials      chan *client
	ctx        context.Context // of its goroutines
	cancel     context.CancelFunc

	// Written before the loops start, read by them.
	from, until int64 // the measured window, in microseconds since began
	loaded      int64 // when the load begins, likewise

	ready    chan struct{} // has one for each client that is ready
	failure  chan error    // the first failure of a client
	dialDue  schedule      // open loop of connections
	attempts atomic.Int64  // of those, the ones that had their turn
	halted   atomic.Bool
	underway atomic.Int64 // dials and TLS handshakes of dialOn
	dialling sync.WaitGroup
}

const (
	// thinkTick is the resolution of think times.
	thinkTick = 10 * time.Millisecond
	// diallers is how many connections are dialled at once.
	diallers = 32
	// openWithin bounds a dial, and how long the opening may make no progress.
	openWithin = 10 * time.Second
	// redialAfter is the pause of a dialler after a failure.
	redialAfter = 100 * time.Millisecond
)

// errNoAnswer is returned by Run if connections are open and nothing arrives.
var errNoAnswer = errors.New("bench: connections are open, but the server does not answer on them: " +
	"check its codec, the mode, and its limit of connections")

// newGenerator returns the generator of the connections from first to
// before end. Times count from began.
func newGenerator(o Options, first, end uint32, began time.Time) (*generator, error) {
	cfg := engine.Config{Loops: o.Loops}
	if o.Mode == Chat {
		cfg.Tick = thinkTick
	}
	p, err := newPlan(&o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	g := &generator{
		opts: o, first: first, end: end, plan: p, engine: e, began: began, dials: make(chan *client, end-first),
		ready: make(chan struct{}, end-first), failure: make(chan error, 1), patience: openWithin,
		deflate: codec.NewDeflate(), control: latePort,
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, l := range e.Loops() {
		g.shards = append(g.shards, newShard(g, l))
	}
	return g, nil
}

// open opens all connections that live on, and returns when each is
// ready. None has sent anything yet.
func (g *generator) open(ctx context.Context) error {
	if g.opts.shortLived() {
		return nil
	}
	for i := g.first + uint32(len(g.clients)); i < g.end; i++ {
		g.clients = append(g.clients, g.newClient(i))
	}
	if g.opts.Mode == Chat {
		fillRooms(g.clients)
	}
	dials, dialCtx := errgroup.WithContext(ctx) // the first failure ends all
	dials.SetLimit(diallers)
	for _, c := range g.clients {
		dials.Go(func() error {
			if dialCtx.Err() != nil {
				return dialCtx.Err()
			}
			if err := g.dial(dialCtx, c); err != nil {
				return err
			}
			return c.shard.loop.Post(func() { c.shard.enter(c) })
		})
	}
	if err := dials.Wait(); err != nil {
		return err
	}
	progress := time.NewTimer(g.patience)
	defer progress.Stop()
	for left := len(g.clients); left > 0; left-- {
		select {
		case <-g.ready:
			progress.Reset(g.patience)
		case err := <-g.failure:
			return fmt.Errorf("bench: while the connections opened: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("bench: %d connections are not ready: %w", left, ctx.Err())
		case <-progress.C:
			return fmt.Errorf("%w: %d of %d", errNoAnswer, left, len(g.clients))
		}
	}
	return nil
}

// opened tells open that a client is ready, or why it never will be. Later it has no effect.
func (g *generator) opened(err error) {
	if err == nil {
		select {
		case g.ready <- struct{}{}:
		default:
		}
		return
	}
	select {
	case g.failure <- err:
	default:
	}
}

// dial connects c. It waits for the loop, so it must not be called on one.
func (g *generator) dial(ctx context.Context, c *client) error {
	i := int(c.id)
	if g.opts.Mode == Connect && g.opts.Rate == 0 {
		c.dialled = max(time.Since(g.began).Microseconds(), 1)
	}
	c.values = g.plan.values(c.id)
	nc, err := g.connect(ctx, i)
	if err == nil {
		var h engine.Handler = c
		if c.slow != nil {
			h = c.slow
		}
		err = g.engine.Register(c.shard.loop, nc, h, engine.ConnOptions{MaxOutput: maxQueued})
	}
	if err != nil {
		return fmt.Errorf("bench: connection %d: %w", i, err)
	}
	return nil
}

// newClient returns client i, as its mode needs it.
func (g *generator) newClient(i uint32) *client {
	n, room := uint32(g.opts.Conns), uint32(g.opts.RoomSize)
	sh := g.shards[int(i)/g.opts.group()%len(g.shards)]
	c := &client{shard: sh, id: i, from: i, sender: g.opts.sends(i)}
	streams := 1
	switch g.opts.Mode {
	case Connect:
		c.life = 1
	case Churn:
		c.life = g.opts.PerConn
	case Push: // to the next client
		c.from = (i + n - 1) % n
		c.name, c.target, c.receives = nameOf(i), nameOf((i+1)%n), nameOf(i)
	case Rooms:
		c.from = i / room * room
		c.name = nameOf(c.from)
		c.target, c.receives = c.name, c.name
	case Chat:
		c.from = i / room * room
		streams = int(min(room, n-c.from))
		c.name, c.target = nameOf(i), nameOf(c.from)
	case Broadcast:
		c.from, streams = 0, g.opts.Senders
	}
	c.accounts = make([]account, streams)
	return c
}

// nameOf returns the name of client or room i for the bench worker.
func nameOf(i uint32) (name [targetLen]byte) {
	copy(name[:], strconv.FormatUint(uint64(i)+1<<26, 36)) // always six digits
	return name
}

// enter adds a client whose account is open.
func (sh *shard) enter(c *client) {
	c.slot = len(sh.clients)
	sh.clients = append(sh.clients, c)
	if c.sender && !sh.opts.shortLived() {
		sh.senders = append(sh.senders, c)
	}
}

// start starts the load. The window to measure is in microseconds since the start of the run.
func (g *generator) start(from, until int64) {
	g.from, g.until, g.loaded = from, until, from-g.opts.Warmup.Microseconds()
	var schedules []schedule
	if g.opts.Rate > 0 {
		schedules = schedulesOf(&g.opts, g.opts.process(g.first), g.loaded)
		g.dialDue = schedules[0]
	}
	g.each(func(sh *shard) {
		sh.tick()
		sh.running = true
		for _, c := range sh.senders {
			sh.fill(c)
		}
	})
	if g.opts.shortLived() || g.opts.Mode == Chat {
		for range diallers {
			g.dialling.Go(g.dialOn)
		}
	}
	switch {
	case g.opts.shortLived():
		for i := g.first; i < g.end; i++ {
			g.dials <- g.newClient(i)
		}
	case g.opts.Rate > 0:
		for i, s := range schedules {
			if len(s.slots) > 0 {
				g.dialling.Go(func() { g.pace(g.shards[i], s) })
			}
		}
	}
}

// dialOn dials short-lived connections, and those that come back, until the generator is closed.
func (g *generator) dialOn() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case c := <-g.dials:
			g.awaitTurn(c)
			if g.opts.shortLived() && g.halted.Load() {
				continue
			}
			g.underway.Add(1)
			err := g.dial(g.ctx, c)
			g.underway.Add(-1)
			if err != nil && g.ctx.Err() == nil {
				// Post fails only if the engine has stopped.
				_ = c.shard.loop.Post(func() { c.shard.failed(kindOf(err), err) })
				pause(g.ctx, redialAfter)
				g.dials <- c
			}
		}
	}
}

// awaitTurn waits until the dial of c is due, in an open loop of connections.
// Its latency counts from that time.
func (g *generator) awaitTurn(c *client) {
	if g.opts.Mode != Connect || g.opts.Rate == 0 {
		return
	}
	due := int64(g.dialDue.due(int(g.attempts.Add(1) - 1)))
	g.await(time.Duration(due) * time.Microsecond)
	c.dialled = max(due, 1)
	if late := time.Since(g.began).Microseconds() - due; due >= g.from && due < g.until && g.ctx.Err() == nil {
		_ = c.shard.loop.Post(func() { c.shard.late(late) }) // fails only if the engine has stopped
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// redial queues a client to be dialled. There is room: each is in the queue at most once.
func (g *generator) redial(c *client) {
	select {
	case g.dials <- c:
	default:
	}
}

// pace wakes a shard whenever one of its messages is due, in an open loop. At most one wake-up is
// in the mailbox of the loop.
func (g *generator) pace(sh *shard, s schedule) {
	woken := make(chan float64, 1)
	_ = sh.loop.Post(func() { sh.schedule, sh.due = s, s.due(0) }) // fails only if the engine has stopped
	for {
		if sh.loop.Post(func() { sh.pace(); woken <- sh.due }) != nil {
			return
		}
		select {
		case due := <-woken:
			g.await(time.Duration(due * 1e3))
		case <-g.ctx.Done():
			return
		}
	}
}

// timerSlack is how late Go's timers may be: an idle program rounds them up to the
// millisecond that epoll_wait(2) counts in.
const timerSlack = 2 * time.Millisecond

// await returns at a time since the start of the run, or when the
// generator is closed. It is never early.
func (g *generator) await(at time.Duration) {
	if left := at - time.Since(g.began); left > timerSlack {
		pause(g.ctx, left-timerSlack)
	}
	if left := at - time.Since(g.began); left > 0 && g.ctx.Err() == nil {
		nap(left)
	}
}

// each runs f on every loop and waits for all. It must not be called on a loop.
func (g *generator) each(f func(*shard)) {
	var done sync.WaitGroup
	for _, sh := range g.shards {
		done.Add(1)
		if sh.loop.Post(func() { defer done.Done(); f(sh) }) != nil {
			done.Done() // the engine has stopped
		}
	}
	done.Wait()
}
