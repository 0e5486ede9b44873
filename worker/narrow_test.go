package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/internal/suite"
	"github.com/seed-7410fe32/sluice/worker"
)

// shaky is a directory in memory that gateways share, and that can fail and lose its data.
type shaky struct {
	*directory.Memory // for rows
	mu                sync.Mutex
	lost              int // times that the data was lost
	inner             directory.Directory
	down              atomic.Bool
	slow              atomic.Int64 // how long a call takes
}

func newShaky(t *testing.T) *shaky {
	t.Helper()
	s := &shaky{}
	s.Memory = s.lose(t)
	s.lose(t)
	return s
}

// lose loses all data.
func (s *shaky) lose(t *testing.T) *directory.Memory {
	t.Helper()
	m, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inner, s.lost = m, s.lost+1
	return m
}

func (s *shaky) now() (directory.Directory, error) {
	time.Sleep(time.Duration(s.slow.Load()))
	if s.down.Load() {
		return nil, directory.ErrUnavailable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner, nil
}

func (s *shaky) Enter(
	ctx context.Context, m directory.Member, sets []directory.Set,
) ([][]directory.Reader, error) {
	d, err := s.now()
	if err != nil {
		return nil, err
	}
	return d.Enter(ctx, m, sets)
}

func (s *shaky) Leave(ctx context.Context, m directory.Member, sets []directory.Set) error {
	d, err := s.now()
	if err != nil {
		return err
	}
	return d.Leave(ctx, m, sets)
}

func (s *shaky) Locate(
	ctx context.Context, r directory.Reader, lease time.Duration, sets []directory.Set,
) ([][]directory.Member, error) {
	d, err := s.now()
	if err != nil {
		return nil, err
	}
	return d.Locate(ctx, r, lease, sets)
}

func (s *shaky) State() directory.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return directory.State{Up: !s.down.Load(), Generation: fmt.Sprint(s.lost)}
}

func (s *shaky) Generation(context.Context) (string, error) {
	if _, err := s.now(); err != nil {
		return "", err
	}
	return s.State().Generation, nil
}

func (s *shaky) Changed() <-chan struct{} { return nil }

// rooms is a handler of rooms.
var rooms = onMessage(func(c worker.Call, m worker.Message) {
	words := strings.SplitN(string(m.Data), " ", 3)
	switch words[0] {
	case "join":
		c.Join(words[1])
	case "leave":
		c.Leave(words[1])
	case "bind":
		c.Bind(words[1])
	case "say":
		c.Publish(worker.Group(words[1]), worker.Text(words[2]))
		return
	case "tell":
		c.Publish(worker.UID(words[1]), worker.Text(words[2]))
		return
	}
	c.Send(worker.Text("ok"))
})

// narrowGateways starts gateways that share a directory.
func narrowGateways(t *testing.T, directories ...directory.Directory) (all []*gateway.Gateway) {
	t.Helper()
	for i, d := range directories {
		all = append(all, serve(t, gateway.Config{
			ID: uint32(i + 1), Loops: 2, Logger: slog.New(slog.DiscardHandler), Directory: d,
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		}))
	}
	return all
}

// faultTime is how long faults are made.
func faultTime(t *testing.T) time.Duration {
	t.Helper()
	return time.Duration(suite.Of(t, 4, 12, "seconds of faults")) * time.Second
}

// eventually waits until ok reports true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// A message to a group goes only to the gateways that hold it, as soon as they know each other.
func TestNarrowPublish(t *testing.T) {
	t.Parallel()
	g := narrowGateways(t, slices.Repeat([]directory.Directory{newShaky(t)}, 4)...)
	var addrs []string
	for _, g := range g {
		addrs = append(addrs, g.WorkerAddr())
	}
	w := run(t, worker.Config{Gateways: addrs}, rooms)
	<-w.Ready()
	hearer, speaker := dial(t, g[2]), dial(t, g[0])
	hearer.say("join r")
	hearer.receives("ok")
	n := 0
	say := func() (relayed uint64) {
		before := g[0].Stats().Relayed
		n++
		speaker.say(fmt.Sprint("say r ", n))
		hearer.receives(fmt.Sprint(n))
		return g[0].Stats().Relayed - before
	}
	eventually(t, "one command", func() bool { return say() == 1 })
	for range 10 {
		if relayed := say(); relayed != 1 {
			t.Errorf("%d commands for a group at one gateway", relayed)
		}
	}
	late := dial(t, g[3])
	late.say("join r")
	late.receives("ok")
	for range 10 {
		say()
		late.receives(fmt.Sprint(n))
	}
	eventually(t, "two commands", func() bool { r := say(); late.receives(fmt.Sprint(n)); return r == 2 })
}

// With many gateways the first message to a uid goes only to the gateway that holds it: the worker
// asks before it sends. Messages of one goroutine stay in order, and a directory that does not
// answer delays one for a moment only.
func TestTheFirstMessageIsNarrow(t *testing.T) {
	t.Parallel()
	const gateways = 10
	d := newShaky(t)
	g := narrowGateways(t, slices.Repeat([]directory.Directory{d}, gateways)...)
	var addrs []string
	for _, g := range g {
		addrs = append(addrs, g.WorkerAddr())
	}
	w := run(t, worker.Config{Gateways: addrs}, rooms)
	<-w.Ready()
	fresh := 0
	tell := func(uid, text string) (spared, widened uint64) {
		before := w.Stats()
		if err := w.Publish(t.Context(), worker.UID(uid), worker.Text(text)); err != nil {
			t.Error(err)
		}
		after := w.Stats()
		return after.GatewaysSpared - before.GatewaysSpared, after.SendsWidened - before.SendsWidened
	}
	eventually(t, "all gateways permit it", func() bool {
		fresh++
		spared, _ := tell(fmt.Sprint("nobody", fresh), "x")
		return spared == gateways
	})
	slow := 0 // messages for which the directory took too long, on a busy machine
	for i := range 20 {
		uid := fmt.Sprint("user", i)
		c := dial(t, g[i%gateways])
		c.say("bind " + uid)
		c.receives("ok")
		for n := range 3 {
			spared, widened := tell(uid, fmt.Sprint(n))
			if slow += int(widened); widened == 0 && spared != gateways-1 || widened > 0 && n > 0 {
				t.Errorf("message %d left out %d of %d gateways, %d went to all", n, spared, gateways, widened)
			}
		}
		for n := range 3 {
			c.receives(fmt.Sprint(n))
		}
	}
	if slow > 10 {
		t.Errorf("%d of 20 first messages went to all gateways", slow)
	}
	d.slow.Store(int64(3 * time.Second))
	if spared, widened := tell("late", "x"); spared != 0 || widened != 1 {
		t.Errorf("left out %d gateways, %d went to all", spared, widened)
	}
	d.slow.Store(0)
}

// So is the first one of a handler: the gateway of its client asks before it passes it on. What the
// client sends stays in order.
func TestTheFirstEffectIsNarrow(t *testing.T) {
	t.Parallel()
	const gateways = 10
	g := narrowGateways(t, slices.Repeat([]directory.Directory{newShaky(t)}, gateways)...)
	var addrs []string
	for _, g := range g {
		addrs = append(addrs, g.WorkerAddr())
	}
	w := run(t, worker.Config{Gateways: addrs}, rooms)
	<-w.Ready()
	speaker := dial(t, g[0])
	tell := func(uid, text string) (relayed, widened uint64) {
		before := g[0].Stats()
		speaker.say("tell " + uid + " " + text)
		speaker.say("leave nothing")
		speaker.receives("ok")
		after := g[0].Stats()
		widened = after.SendsWidenedUnknown + after.SendsWidenedDoubt - before.SendsWidenedUnknown - before.SendsWidenedDoubt
		return after.Relayed - before.Relayed, widened
	}
	fresh := 0
	eventually(t, "all gateways permit it", func() bool {
		fresh++
		relayed, _ := tell(fmt.Sprint("nobody", fresh), "x")
		return relayed == 0
	})
	slow := 0 // messages for which the directory took too long, on a busy machine
	for i := range 20 {
		uid := fmt.Sprint("user", i)
		c := dial(t, g[1+i%(gateways-1)])
		c.say("bind " + uid)
		c.receives("ok")
		relayed, widened := tell(uid, fmt.Sprint(i))
		if slow += int(widened); widened == 0 && relayed != 1 {
			t.Errorf("message %d was passed on to %d gateways", i, relayed)
		}
		c.receives(fmt.Sprint(i))
	}
	if slow > 10 {
		t.Errorf("%d of 20 first messages went to all gateways", slow)
	}
}

// No message misses a member whose join was acknowledged, while links break, and the directory is
// slow, fails and loses its data.
func TestNarrowSendsMissNobody(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	missNobody(t, []directory.Directory{d, d, d}, 400*time.Millisecond, func() {
		switch rand.N(7) {
		case 0:
			d.down.Store(true)
		case 1:
			d.lose(t)
		case 2:
			d.slow.Store(rand.Int64N(int64(20 * time.Millisecond)))
		default:
			d.down.Store(false)
			d.slow.Store(0)
		}
	}, func() {
		d.down.Store(false)
		d.slow.Store(0)
	})
}

// The same with Redis, which is killed, stopped and flushed.
func TestNarrowSendsWithRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var directories []directory.Directory
	for range 3 {
		d, err := redisdir.New(redisdir.Config{URL: "redis://" + server.Addr, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		directories = append(directories, d)
	}
	down, paused := false, false
	heal := func() {
		if down {
			server.Restart()
		}
		if paused {
			server.Resume()
		}
		down, paused = false, false
	}
	missNobody(t, directories, 3*time.Second, func() {
		switch n := rand.N(8); {
		case down || paused:
			if n < 4 {
				heal()
			}
		case n == 0:
			server.Kill()
			down = true
		case n == 1:
			server.Pause()
			paused = true
		case n == 2:
			_, _ = server.Try("flushall")
		}
	}, heal)
}

// missNobody checks that no message misses a member whose join was acknowledged, while fault makes
// faults, up to pause apart, and links break. heal ends the faults.
func missNobody(
	t *testing.T, directories []directory.Directory, pause time.Duration, fault, heal func(),
) {
	t.Helper()
	g := narrowGateways(t, directories...)
	var addrs []string
	var proxies []*faultproxy.Proxy
	direct := make(map[string]string)
	for _, g := range g {
		p, err := faultproxy.New(g.WorkerAddr(), faultproxy.Faults{Delay: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		proxies = append(proxies, p)
		addrs = append(addrs, p.Addr())
		direct[p.Addr()] = g.WorkerAddr()
	}
	// The worker tells the gateways the addresses of the proxies, and does not use them: so a
	// message through the worker is faster than what the gateways tell each other.
	w := run(t, worker.Config{Gateways: addrs, Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", direct[addr])
	}}, rooms)
	<-w.Ready()
	over := make(chan struct{})
	var all sync.WaitGroup
	var heard atomic.Int64
	for pair := range 4 {
		all.Go(func() {
			from, to := g[pair%3], g[(pair+1)%3]
			speaker := dial(t, from)
			for round := 0; ; round++ {
				select {
				case <-over:
					return
				default:
				}
				room := fmt.Sprintf("room-%d-%d", pair, round%1000)
				verb := []string{"say", "tell"}[round%2]
				speaker.say(verb + " " + room + " early") // the set gets into memory, without the hearer's gateway
				time.Sleep(20*time.Millisecond + rand.N(20*time.Millisecond))
				hearer := dial(t, to)
				if round%2 == 0 {
					hearer.say("join " + room)
				} else {
					hearer.say("bind " + room)
				}
				for text := hearer.next(); text != "ok"; text = hearer.next() {
					if text != "early" {
						t.Errorf("%q before the join was acknowledged", text)
					}
				}
				for i := range 3 {
					speaker.say(fmt.Sprintf("%s %s %d.%d", verb, room, round, i))
				}
				for i := range 3 {
					text := hearer.next()
					for text == "early" {
						text = hearer.next()
					}
					if text != fmt.Sprintf("%d.%d", round, i) {
						t.Errorf("%q where message %d of round %d was due", text, i, round)
						return
					}
					heard.Add(1)
				}
				_ = hearer.conn.Close()
			}
		})
	}
	for end := time.Now().Add(faultTime(t)); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(rand.N(pause))
		if rand.N(8) == 0 {
			proxies[rand.N(3)].Cut()
		} else {
			fault()
		}
	}
	close(over)
	heal()
	all.Wait()
	t.Logf("%d messages heard", heard.Load())
	for i, g := range g {
		s := g.Stats()
		t.Logf("gateway %d: %d relayed, %d dropped, %d narrowed, %d spared, %d units parked, %d doubts", i+1, s.Relayed,
			s.CommandsDropped, s.SendsNarrowed, s.GatewaysSpared, s.UnitsParked, s.Doubts)
		if s.CommandsDropped > 0 {
			t.Errorf("gateway %d has dropped %d commands", i+1, s.CommandsDropped)
		}
	}
}

// What a worker publishes by itself goes only to the gateways that hold the group or uid, and
// misses no member whose join was acknowledged, while the directory is slow, fails and loses its
// data. The worker's links are slower than those of the worker that joins.
func TestNarrowPublishOfAWorker(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d, d, d)
	var fast, slow []string
	for _, g := range g {
		p, err := faultproxy.New(g.WorkerAddr(), faultproxy.Faults{Delay: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		fast, slow = append(fast, g.WorkerAddr()), append(slow, p.Addr())
	}
	joiner := run(t, worker.Config{Gateways: fast}, rooms)
	<-joiner.Ready()
	clients := make([]*line, 3) // all of the first worker, whatever the other one gets later
	for i := range clients {
		clients[i] = dial(t, g[i])
		clients[i].say("leave nothing")
		clients[i].receives("ok")
	}
	speaker := run(t, worker.Config{Gateways: slow}, rooms)
	<-speaker.Ready()
	publish := func(to worker.Target, text string) {
		if err := speaker.Publish(t.Context(), to, worker.Text(text)); err != nil && !errors.Is(err, worker.ErrLinkDown) {
			t.Error(err)
		}
	}
	lost := func() uint64 { s := speaker.Stats(); return s.Reconnects + s.CommandsDropped } // with a slow link
	over := make(chan struct{})
	var all sync.WaitGroup
	for who, c := range clients {
		all.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-over:
					return
				default:
				}
				room := fmt.Sprintf("room-%d-%d", who, round)
				to := worker.Group(room)
				if round%2 == 1 {
					to = worker.UID(room)
				}
				publish(to, "early")
				time.Sleep(rand.N(120 * time.Millisecond))
				publish(to, "early")
				c.say([]string{"join ", "bind "}[round%2] + room)
				for text := c.next(); text != "ok"; text = c.next() {
				}
				for i := range 3 {
					publish(to, fmt.Sprint(round, i))
				}
				for i := range 3 {
					text := "early"
					for text == "early" {
						_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
						text, _ = c.in.ReadString('\n')
						text = strings.TrimSuffix(text, "\n")
					}
					if lost() > 0 {
						return
					}
					if text != fmt.Sprint(round, i) {
						t.Errorf("%q where message %d of round %d was due", text, i, round)
						return
					}
				}
			}
		})
	}
	for end := time.Now().Add(faultTime(t)); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(rand.N(time.Second))
		switch rand.N(8) {
		case 0:
			d.down.Store(true)
		case 1:
			d.lose(t)
		case 2:
			d.slow.Store(rand.Int64N(int64(20 * time.Millisecond)))
		default:
			d.down.Store(false)
			d.slow.Store(0)
		}
	}
	close(over)
	d.down.Store(false)
	d.slow.Store(0)
	all.Wait()
	s := speaker.Stats()
	t.Logf("%d narrowed, %d gateways spared, %d widened", s.SendsNarrowed, s.GatewaysSpared, s.SendsWidened)
	if s.SendsNarrowed == 0 && lost() == 0 {
		t.Error("no message left anybody out: this proves little")
	}
}

// The effects of a call that joins wait until the join is visible, and so does what follows of the
// same client. Other clients go on. A plain Join returns when it is visible.
func TestAJoinDelaysItsOwnClient(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d, d)
	w := run(t, worker.Config{Gateways: []string{g[0].WorkerAddr(), g[1].WorkerAddr()}}, rooms)
	<-w.Ready()
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt == 0 })
	joiner, other := dial(t, g[0]), dial(t, g[0])
	for _, c := range []*line{joiner, other} {
		c.say("leave nothing")
		c.receives("ok")
	}
	const slow = 400 * time.Millisecond
	d.slow.Store(int64(slow))
	defer d.slow.Store(0)
	began := time.Now()
	for _, text := range []string{"join r", "say r 1", "leave nothing", "say r 2", "bind u", "say r 3"} {
		joiner.say(text)
	}
	answered := 0
	for time.Since(began) < slow/2 {
		other.say("leave nothing")
		other.receives("ok")
		answered++
	}
	for _, text := range []string{"ok", "1", "ok", "2", "ok", "3"} {
		joiner.receives(text)
	}
	if took := time.Since(began); took < slow || answered == 0 {
		t.Errorf("the join took %v; the other client got %d answers meanwhile", took, answered)
	}
	began = time.Now()
	for info, err := range w.Select(t.Context(), worker.UID("u"), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Join(t.Context(), worker.Client(info.ID), "s"); err != nil || time.Since(began) < slow {
			t.Errorf("Join: %v after %v", err, time.Since(began))
		}
	}
	if s := g[0].Stats(); s.UnitsParked < 2 || s.ParkedBytes != 0 {
		t.Errorf("%d streams were parked, %d bytes are", s.UnitsParked, s.ParkedBytes)
	}
}

// What is parked when its link ends has no effect: the event is delivered again, and its effects
// happen once.
func TestAParkedUnitIsRedelivered(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d)
	p, err := faultproxy.New(g[0].WorkerAddr(), faultproxy.Faults{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	var calls atomic.Int64
	w := run(t, worker.Config{Gateways: []string{p.Addr()}}, onMessage(func(c worker.Call, m worker.Message) {
		calls.Add(1)
		c.Join("r")
		c.Publish(worker.Group("r"), worker.TextBytes(m.Data))
	}))
	<-w.Ready()
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt == 0 })
	c := dial(t, g[0])
	d.slow.Store(int64(time.Second))
	c.say("1")
	eventually(t, "the join waits", func() bool { return g[0].Stats().ParkedBytes > 0 })
	p.Cut()
	c.say("2")
	c.receives("1")
	d.slow.Store(0)
	c.receives("2")
	c.say("3")
	c.receives("3")
	if n := calls.Load(); n < 4 {
		t.Errorf("the handler ran %d times, want the first message twice", n)
	}
}

// A directory that fails while a join waits delays it no longer than the gateway needs to withdraw
// its permits.
func TestAJoinWithoutADirectory(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d, d)
	w := run(t, worker.Config{Gateways: []string{g[0].WorkerAddr(), g[1].WorkerAddr()}}, rooms)
	<-w.Ready()
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt+g[1].Stats().InDoubt == 0 })
	hearer, speaker := dial(t, g[0]), dial(t, g[1])
	speaker.say("say r nobody hears it")
	eventually(t, "a set in memory", func() bool { return g[1].Stats().SetsKnown > 0 })
	d.down.Store(true)
	began := time.Now()
	hearer.say("join r")
	hearer.receives("ok")
	t.Logf("the join took %v", time.Since(began))
	for i := range 3 {
		speaker.say(fmt.Sprint("say r ", i))
		hearer.receives(fmt.Sprint(i))
	}
	if s := g[0].Stats(); s.InDoubt != 1 || s.Doubts != 1 {
		t.Errorf("in doubt %d, doubts %d", s.InDoubt, s.Doubts)
	}
	d.down.Store(false)
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt == 0 })
	n := 0
	eventually(t, "a narrow message", func() bool {
		before := g[0].Stats().SendsNarrowed
		n++
		hearer.say(fmt.Sprint("say r again ", n))
		hearer.receives(fmt.Sprint("again ", n))
		return g[0].Stats().SendsNarrowed > before
	})
}

// What a call flushes waits behind a join in it, too, and the rest of the call waits behind that.
func TestAFlushedJoinDelaysItsCall(t *testing.T) {
	t.Parallel()
	d := newShaky(t)
	g := narrowGateways(t, d)
	w := run(t, worker.Config{Gateways: []string{g[0].WorkerAddr()}}, worker.Handler{
		Message: func(ctx context.Context, c worker.Call, _ worker.Message) error {
			c.Join("r")
			c.Send(worker.Text("1"))
			if err := c.Flush(ctx); err != nil {
				return err
			}
			c.Publish(worker.Group("r"), worker.Text("2"))
			return nil
		},
	})
	<-w.Ready()
	eventually(t, "no doubt", func() bool { return g[0].Stats().InDoubt == 0 })
	c := dial(t, g[0])
	d.slow.Store(int64(300 * time.Millisecond))
	began := time.Now()
	c.say("join")
	c.receives("1")
	if took := time.Since(began); took < 300*time.Millisecond || g[0].Stats().UnitsParked != 1 {
		t.Errorf("the flushed effects came after %v", took)
	}
	c.receives("2")
	d.slow.Store(0)
}
