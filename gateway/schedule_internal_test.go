package gateway

import (
	"context"
	"hash/fnv"
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	xrate "golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// The gateway's guarantees hold whatever clients, workers, links and time do, and in whichever
// order loops run. A schedule depends only on its seed: clock and network are simulated
// (enginetest.Sim), workers follow the protocol (scheduleworker_internal_test.go), and everything
// runs on one goroutine. schedulecheck_internal_test.go checks the guarantees.
//
// By default some are tried, with SLUICE_TEST=full 2,000. SLUICE_SCHEDULES=100000 tries so many;
// -run 'TestSchedules/^4711$' plays one.
func TestSchedules(t *testing.T) {
	t.Parallel()
	schedules, err := strconv.Atoi(os.Getenv("SLUICE_SCHEDULES"))
	if err != nil {
		schedules = suite.OfModel(t, 300, 2000, "schedules")
	}
	var seen coverage
	played := 0
	for seed := range schedules {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			played++
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, uint64(seed))
				w.play()
				seen.add(w)
			})
		})
		if t.Failed() {
			t.Fatalf("play it again: SLUICE_SCHEDULES=%d go test ./gateway -run 'TestSchedules/^%d$'", schedules, seed)
		}
	}
	if missed := seen.missed(); played >= 200 && missed != "" {
		t.Errorf("the schedules missed what they are for: %s; %+v", missed, seen)
	}
	t.Logf("%d schedules: %+v", played, seen)
}

// The same seed produces the same schedule, to the last byte on every wire.
func TestASeedIsASchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		var traces [2]uint64
		for i := range traces {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed)
				w.play()
				traces[i] = w.trace.Sum64()
			})
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d went two ways", seed)
		}
	}
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 2)), deadLetters: map[string]int{}, trace: fnv.New64a()}
	gates := 1 + w.rng.IntN(2)
	w.loops = 1 + w.rng.IntN(3)
	w.bold, w.tight = w.rng.IntN(3) > 0, w.rng.IntN(8) == 0
	for id := range gates {
		w.addGateway(uint32(id + 1))
	}
	w.meet()
	return w
}

// addGateway makes a gateway with limits so small that they are reached.
func (w *world) addGateway(id uint32) {
	cfg := Config{
		ID: id, Loops: w.loops, Logger: slog.New(asideLog{w}), MaxDeliveries: 3 + w.rng.IntN(3),
		QueueTimeout: time.Duration(1+w.rng.IntN(4)) * time.Second, MaxUnroutedBytes: 500 + w.rng.IntN(8000),
		MaxUnacked:    200 + w.rng.IntN(3000),
		MaxQueueBytes: 200 + w.rng.IntN(4000),
	}
	if w.rng.IntN(2) == 0 {
		cfg.Router = RoundRobin
	}
	g := newGate(w.t, cfg)
	for _, l := range g.g.loops {
		var seed [32]byte
		seed[0], seed[1] = byte(w.rng.Uint32()), byte(w.rng.Uint32())
		l.tokens = rand.NewChaCha8(seed)
		l.book.MaxLeaving = 1 + w.rng.IntN(3)
		if w.tight {
			l.book.MaxDeparted = 1 + w.rng.IntN(4)
		}
	}
	w.gates = append(w.gates, g)
}

// newGate makes a gateway on a simulated engine with one listener of format frame.
func newGate(t testing.TB, cfg Config) gate {
	t.Helper()
	cfg.Listeners = []ListenerConfig{{URL: "frame://127.0.0.1:0", Heartbeat: -1}}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	sim, err := enginetest.New(engine.Config{Loops: cfg.Loops, Logger: cfg.Logger})
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{cfg: cfg, log: cfg.Logger, epoch: 1, engine: sim.Engine(), keys: maphash.MakeSeed(),
		clientLogs: xrate.NewLimiter(1, 5), ready: make(chan struct{})}
	close(g.ready)
	g.SetAccessLog(nil, 0)
	g.peerCtx, g.stopPeers = context.WithCancel(t.Context())
	g.stopPeers() // no peer is dialled
	if cfg.Directory != nil {
		g.started, g.interest = time.Now(), newInterest(g, cfg.Loops)
		g.arbiter = newArbiter(g, g.interest, cfg.Loops)
	}
	for i, el := range sim.Engine().Loops() {
		l := newLoop(g, el, uint8(i))
		el.Schedule(&l.tick, tickEvery)
		g.loops = append(g.loops, l)
	}
	return gate{g: g, sim: sim, lis: &listener{ListenerConfig: cfg.Listeners[0], g: g,
		codec: codec.Frame{MaxMessage: 1 << 20}}}
}

// play is a schedule: faults of all kinds in any order, then a time without faults, after which
// everything must be finished.
func (w *world) play() {
	for range 1 + w.rng.IntN(3) {
		w.addWorker()
	}
	for range 1 + w.rng.IntN(4) {
		w.addClient()
	}
	for range 20 + w.rng.IntN(180) {
		w.step()
		w.check()
	}
	w.calm()
	w.checkAccounts()
	for _, c := range w.clients {
		c.leave(false)
	}
	w.calm()
	w.checkAnswered()
	w.checkNothingLeft()
}

// step does one random thing.
func (w *world) step() {
	switch n := w.rng.IntN(1000); {
	case n < 30:
		w.addClient()
	case n < 250:
		w.someClient(func(c *simClient) { c.say(1 + w.rng.IntN(4)) })
	case n < 275:
		w.someClient(func(c *simClient) { c.leave(w.rng.IntN(3) == 0) })
	case n < 285:
		w.someClient(func(c *simClient) { c.peer.Limit(w.rng.IntN(400)) })
	case n < 305:
		w.someClient((*simClient).receive)
	case n < 360:
		for _, x := range w.peerings {
			if w.rng.IntN(3) > 0 {
				x.tend(1 + w.rng.IntN(100))
			}
		}
	case n < 380:
		if w.bold {
			w.somePeering((*simPeering).cut)
		}
	case n < 480:
		w.somePeerRead()
	case n < 600:
		w.turn()
	case n < 700:
		w.someLink((*simLink).receive)
	case n < 850:
		w.someLink((*simLink).handle)
	case n < 920:
		w.someLink(func(l *simLink) { l.flush(w.rng.IntN(len(l.out) + 1)) })
	case n < 940:
		w.someLink(func(l *simLink) { l.peer.Limit(w.rng.IntN(2000)) })
	case n < 960:
		time.Sleep(time.Duration(w.rng.IntN(700)) * time.Millisecond)
	case n < 965:
		time.Sleep(time.Duration(w.rng.IntN(6)) * time.Second)
	case n < 974:
		w.addWorker()
	case n < 975:
		w.drainGateway()
	case n < 982:
		w.someClient(func(c *simClient) {
			if s := c.session; s.loop != nil && s.loop.book.Move(&s.delivery, delivery.Moved) {
				w.seen.Moves++
			}
		})
	default:
		if w.bold {
			w.fault()
		}
	}
}

func (w *world) fault() {
	switch w.rng.IntN(8) {
	case 0, 1:
		w.someWorker((*simWorker).die)
	case 2:
		w.someLink(func(l *simLink) { l.cut() })
	case 3:
		w.someWorker((*simWorker).drain)
	case 4:
		w.someWorker((*simWorker).reopen) // with the same id, while its old links are still open
	case 5:
		w.someWorker(func(v *simWorker) { v.die(); v.reopen() })
	case 6:
		for _, v := range w.workers {
			v.die()
		}
	case 7:
		w.someLink((*simLink).garble)
	}
}

// calm lets everything finish: workers are there and handle their messages, clients read, links and
// clients have space.
func (w *world) calm() {
	for _, c := range w.clients {
		c.peer.Limit(1 << 20)
	}
	for round := range 400 {
		if w.healthy() == nil {
			w.addWorker()
		}
		for _, l := range w.links {
			l.serve()
		}
		for _, v := range w.workers {
			v.leaveIfDrained()
		}
		if w.bold && round < 20 && w.rng.IntN(4) == 0 {
			w.somePeering((*simPeering).cut) // most commands for other gateways are applied now
		}
		for _, x := range w.peerings {
			x.dial()
			x.carry(1 << 20)
		}
		for _, g := range w.gates {
			for i := range w.loops {
				g.bid(i, 1000)
			}
			g.sim.Settle()
		}
		for _, c := range w.clients {
			c.receive()
		}
		w.check()
		if w.unrest() == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.fail("not at rest after 40 s: %s", w.unrest())
}

// turn lets a loop end its turn.
func (w *world) turn() {
	g, i := w.gates[w.rng.IntN(len(w.gates))], w.rng.IntN(w.loops)
	g.bid(i, 1)
	g.sim.Turn(i)
}

// somePeerRead makes a loop read something, split anywhere.
func (w *world) somePeerRead() {
	n := 1 + w.rng.IntN(200)
	if w.rng.IntN(2) == 0 {
		n = 64 << 10
	}
	if w.rng.IntN(2) == 0 {
		w.someClient(func(c *simClient) { c.peer.Read(n) })
	} else {
		w.someLink(func(l *simLink) { l.peer.Read(n) })
	}
}

func (w *world) someClient(f func(*simClient)) {
	if n := len(w.clients); n > 0 {
		f(w.clients[w.rng.IntN(n)])
	}
}

func (w *world) someWorker(f func(*simWorker)) {
	if n := len(w.workers); n > 0 {
		f(w.workers[w.rng.IntN(n)])
	}
}

// someLink picks one of the present and former links: what a dead worker has sent may still be in
// transit.
func (w *world) someLink(f func(*simLink)) {
	if n := len(w.links); n > 0 {
		f(w.links[w.rng.IntN(n)])
	}
}

// healthy is a worker with links to all loops that takes clients, nil if there is none.
func (w *world) healthy() *simWorker {
	for _, v := range w.workers {
		if !v.draining && len(v.open()) == len(w.gates)*w.loops {
			return v
		}
	}
	return nil
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf(format, args...)
}

// asideLog counts dead letters, which the gateway logs.
type asideLog struct{ w *world }

func (asideLog) Enabled(context.Context, slog.Level) bool { return true }
func (h asideLog) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h asideLog) WithGroup(string) slog.Handler          { return h }
func (h asideLog) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" {
			h.w.deadLetters[a.Value.String()]++
		}
		if a.Key == "stack" {
			h.w.t.Errorf("%s: %s", r.Message, a.Value)
		}
		return true
	})
	return nil
}
