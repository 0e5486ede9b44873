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

// generator is the load of one process: an engine whose loops each drive a shard of clients. It is a part of the run.
type generator struct {
	// Static after newGenerator.
	opts       Options
	first, end uint32 // the connections of the run that are its own
	engine     *engine.Engine
	shards     []*shard
	clients    []*client      // by id, from first on; of connections that come and go there are none
	began      time.Time      // of the run
	deflate    *codec.Deflate // of all WebSockets that compress
	plan       *plan
	control    func(network, address string, c syscall.RawConn) error // of sockets before they are connected
	patience   time.Duration                                          // openWithin
	dials      chan *client
	ctx        context.Context // of everything it runs beside its loops
	cancel     context.CancelFunc

	// Written before the loops are told to run, read by them.
	from, until int64 // the measured window, microseconds since began
	loaded      int64 // when the load was to begin, likewise

	pending  atomic.Int64  // clients that are not ready yet
	all      chan struct{} // closed when pending reaches 0
	failure  chan error    // of a client while the others open
	opening  atomic.Bool
	dialDue  schedule     // open loop of connections
	attempts atomic.Int64 // of those, the ones that have had their turn
	halted   atomic.Bool
	underway atomic.Int64 // dials, with the TLS handshake, of connections that come and go or come back
	dialling sync.WaitGroup
}

// thinkTick is the resolution of the times that people think.
const thinkTick = 10 * time.Millisecond

// newGenerator makes the generator of the connections from first to before end. began is when the run began, and all times count from there.
func newGenerator(o Options, first, end uint32, began time.Time) (*generator, error) {
	cfg := engine.Config{Loops: o.Loops}
	if o.Mode == Chat {
		cfg.Tick = thinkTick
	}
	p, err := o.plan()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	g := &generator{
		opts: o, first: first, end: end, plan: p, engine: e, began: began, dials: make(chan *client, end-first), all: make(chan struct{}), failure: make(chan error, 1),
		patience: openWithin, deflate: codec.NewDeflate(), control: latePort,
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, l := range e.Loops() {
		g.shards = append(g.shards, newShard(g, l))
	}
	return g, nil
}

// diallers is how many connections are dialled at once, and how many short-lived ones per shard at most.
const diallers = 32

// errMute is returned by Run when connections stand and nothing comes.
var errMute = errors.New("bench: connections are open, and the server does not answer on them: does it speak this codec and mode, and has it room for so many?")

// openWithin is how long, or twice as long, connections that open may make no progress.
const openWithin = 10 * time.Second

// open opens all connections and returns when each is ready; none that is to live on has sent anything yet.
func (g *generator) open(ctx context.Context) error {
	if g.opts.shortLived() {
		return nil // they open as they go
	}
	g.opening.Store(true)
	defer g.opening.Store(false)
	g.pending.Store(int64(g.end - g.first))
	for i := g.first + uint32(len(g.clients)); i < g.end; i++ {
		g.clients = append(g.clients, g.newClient(i))
	}
	if g.opts.Mode == Chat {
		settle(g.clients)
	}
	dials, one := errgroup.WithContext(ctx) // the first that fails ends all
	dials.SetLimit(diallers)
	for _, c := range g.clients {
		dials.Go(func() error {
			if one.Err() != nil {
				return one.Err()
			}
			if err := g.dial(one, c); err != nil {
				return err
			}
			return c.shard.loop.Post(func() { c.shard.enter(c) })
		})
	}
	if err := dials.Wait(); err != nil {
		return err
	}
	progress := time.NewTicker(g.patience)
	defer progress.Stop()
	for last := int64(-1); ; {
		select {
		case <-g.all:
			return nil
		case err := <-g.failure:
			return fmt.Errorf("bench: while the connections opened: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("bench: %d connections are not ready: %w", g.pending.Load(), ctx.Err())
		case <-progress.C:
			if n := g.pending.Load(); n != last {
				last = n
				continue
			}
			return fmt.Errorf("%w: %d of %d", errMute, last, g.end-g.first)
		}
	}
}

// opened tells that a client is ready, or why it will not be.
func (g *generator) opened(err error) {
	switch {
	case err != nil && g.opening.Load():
		select {
		case g.failure <- err:
		default:
		}
	case err == nil && g.pending.Add(-1) == 0:
		close(g.all)
	}
}

// dial connects c, which is not connected. It waits for the loop, so it must not be called on one.
func (g *generator) dial(ctx context.Context, c *client) error {
	i := int(c.id)
	if g.opts.Mode == Connect && g.opts.Rate == 0 {
		c.dialled = max(time.Since(g.began).Microseconds(), 1)
	}
	c.who = g.plan.who(c.id)
	nc, err := g.connect(ctx, i)
	if err == nil {
		var h engine.Handler = c
		if c.slow != nil {
			h = c.slow
		}
		err = g.engine.Enroll(c.shard.loop, nc, h, engine.ConnOptions{MaxOutput: maxQueued})
	}
	if err != nil {
		return fmt.Errorf("bench: connection %d: %w", i, err)
	}
	return nil
}

// newClient says what client number i does in this mode.
func (g *generator) newClient(i uint32) *client {
	n, room := uint32(g.opts.Conns), uint32(g.opts.RoomSize)
	c := &client{shard: g.shards[int(i)/g.opts.together()%len(g.shards)], id: i, from: i, sender: g.opts.sends(i)}
	streams := 1
	switch g.opts.Mode {
	case Connect:
		c.life = 1
	case Churn:
		c.life = g.opts.PerConn
	case Push:
		c.from = (i + n - 1) % n
		c.name, c.target, c.hears = nameOf(i), nameOf((i+1)%n), nameOf(i)
	case Rooms:
		c.from = i / room * room
		c.name = nameOf(c.from)
		c.target, c.hears = c.name, c.name
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

// nameOf is what the bench worker calls client or room i.
func nameOf(i uint32) (name [targetLen]byte) {
	copy(name[:], strconv.FormatUint(uint64(i)+1<<26, 36)) // of six digits
	return name
}

// enter opens the accounts of a client.
func (l *shard) enter(c *client) {
	c.slot = len(l.clients)
	l.clients = append(l.clients, c)
	if c.sender && !l.opts.shortLived() {
		l.senders = append(l.senders, c)
	}
}

// start lets the load begin; what is sent in the window given, in microseconds since the run began, is measured.
func (g *generator) start(from, until int64) {
	g.from, g.until, g.loaded = from, until, from-g.opts.Warmup.Microseconds()
	var schedules []schedule
	if g.opts.Rate > 0 {
		schedules = g.opts.schedules(g.opts.process(g.first), g.loaded)
		g.dialDue = schedules[0]
	}
	g.each(func(l *shard) {
		l.tick()
		l.running = true
		for _, c := range l.senders {
			l.fill(c)
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

// dialOn dials for connections that come and go until the generator is closed.
func (g *generator) dialOn() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case c := <-g.dials:
			g.take(c)
			if g.opts.shortLived() && g.halted.Load() {
				continue
			}
			g.underway.Add(1)
			err := g.dial(g.ctx, c)
			g.underway.Add(-1)
			if err != nil && g.ctx.Err() == nil {
				l := c.shard
				_ = l.loop.Post(func() { l.failed(kindOf(err), err) }) // only a stopped engine refuses
				pause(g.ctx, redialAfter)
				g.dials <- c
			}
		}
	}
}

// take has c, whose connection is one of many in an open loop, wait for its turn. Its dial is due then, and its latency counts from there.
func (g *generator) take(c *client) {
	if g.opts.Mode != Connect || g.opts.Rate == 0 {
		return
	}
	due := int64(g.dialDue.due(int(g.attempts.Add(1) - 1)))
	g.await(time.Duration(due) * time.Microsecond)
	c.dialled = max(due, 1)
	if late := time.Since(g.began).Microseconds() - due; due >= g.from && due < g.until && g.ctx.Err() == nil {
		l := c.shard
		_ = l.loop.Post(func() { l.late(late) }) // only a stopped engine refuses
	}
}

// redialAfter is how long a dialler rests after a failure.
const redialAfter = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// redial has a client dialled that follows another, or is to be connected again. There is room: each is in the queue once at most.
func (g *generator) redial(c *client) {
	select {
	case g.dials <- c:
	default:
	}
}

// pace wakes a shard whenever a message of it is due, in an open loop. One wake-up at a time is on its way.
func (g *generator) pace(l *shard, s schedule) {
	woken := make(chan float64, 1)
	_ = l.loop.Post(func() { l.schedule, l.due = s, s.due(0) }) // only a stopped engine refuses
	for {
		if l.loop.Post(func() { l.pace(); woken <- l.due }) != nil {
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

// unpunctual is how late Go's timers may be: those of an idle program are rounded up to the millisecond that epoll_wait(2) counts in.
const unpunctual = 2 * time.Millisecond

// await returns when it is so long since the run began, or when the generator is closed.
func (g *generator) await(moment time.Duration) {
	if left := moment - time.Since(g.began); left > unpunctual {
		pause(g.ctx, left-unpunctual)
	}
	if left := moment - time.Since(g.began); left > 0 && g.ctx.Err() == nil {
		nap(left)
	}
}

// each runs f on every loop and waits for all. It must not be called on a loop.
func (g *generator) each(f func(*shard)) {
	var done sync.WaitGroup
	for _, l := range g.shards {
		done.Add(1)
		if l.loop.Post(func() { defer done.Done(); f(l) }) != nil {
			done.Done() // stopped
		}
	}
	done.Wait()
}
