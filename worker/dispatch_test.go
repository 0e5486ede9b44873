package worker_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/suite"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

func TestMain(m *testing.M) {
	suite.Beside(4)
	leaktest.Main(m)
}

// A handler that blocks delays its own client only. Later messages of that client are handled
// afterwards, in order.
func TestBlockedHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		if string(m.Data) == "block" {
			<-release
		}
		c.Send(m)
	}))
	t.Cleanup(let) // the worker does not end before its handler
	stuck, free := g.Dial(workertest.Request{}), g.Dial(workertest.Request{})
	stuck.Send("block")
	for i := range 100 {
		stuck.Send(fmt.Sprint(i))
		free.Send(fmt.Sprint(i))
		free.Expect(fmt.Sprint(i))
	}
	if n := stuck.Pending(); n != 0 {
		t.Errorf("%d messages were handled beside the one that blocks", n)
	}
	let()
	stuck.Expect("block")
	for i := range 100 {
		stuck.Expect(fmt.Sprint(i))
	}
	if n := g.Worker().Stats().LeaderHandoffs; n == 0 {
		t.Error("no takeover was counted")
	}
}

// Handlers that block run concurrently: a hundred clients with handlers of 5 ms must not take a
// hundred times 5 ms.
func TestManyBlockingHandlers(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		n := running.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond) // what is tested: a handler that waits for something
		running.Add(-1)
		c.Send(m)
	}))
	clients := make([]*workertest.Client, 100)
	for i := range clients {
		clients[i] = g.Dial(workertest.Request{})
	}
	for round := range 4 {
		for _, c := range clients {
			c.Send(fmt.Sprint(round))
		}
	}
	for _, c := range clients {
		for round := range 4 {
			c.Expect(fmt.Sprint(round))
		}
	}
	if n := most.Load(); n < 10 {
		t.Errorf("at most %d handlers ran side by side", n)
	}
}

// A thousand handlers that wait run concurrently: none returns before all have begun. So a thousand
// of 5 ms take about 5 ms and not 5 s.
func TestThousandHandlersAtOnce(t *testing.T) {
	t.Parallel()
	const clients = 1000
	var running atomic.Int32
	all := make(chan struct{})
	let := sync.OnceFunc(func() { close(all) })
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		if running.Add(1) == clients {
			let()
		}
		<-all
		c.Send(m)
	}))
	t.Cleanup(let) // the worker does not end before its handlers
	list := make([]*workertest.Client, clients)
	for i := range list {
		list[i] = g.Dial(workertest.Request{})
	}
	for _, c := range list {
		c.Send("x")
	}
	for _, c := range list {
		c.Expect("x")
	}
	if n := g.Worker().Stats().LeaderHandoffs; n > clients/10 { // each takes a tick of the watch
		t.Errorf("%d of %d calls held the link up before they were found to block", n, clients)
	}
}

// Whether handlers block or not, the messages of each client are handled one after the other and in
// order, and the answers come in that order.
func TestOrderUnderTakeovers(t *testing.T) {
	t.Parallel()
	var overlaps atomic.Int32
	var busy sync.Map
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		if _, already := busy.LoadOrStore(c.ID(), true); already {
			overlaps.Add(1)
		}
		switch rand.IntN(40) {
		case 0:
			time.Sleep(4 * time.Millisecond) // long enough to be taken over
		case 1:
			if _, err := c.Worker().Count(context.Background(), worker.Everyone()); err != nil {
				t.Error(err)
			}
		case 2:
			c.After(0, func(context.Context, worker.Call) error { return nil })
		}
		c.Send(m)
		busy.Delete(c.ID())
	}))
	const clients, messages = 20, 300
	all := make([]*workertest.Client, clients)
	for i := range all {
		all[i] = g.Dial(workertest.Request{})
	}
	for n := range messages {
		for _, c := range all {
			c.SendMessage(worker.Bytes(binary.BigEndian.AppendUint32(nil, uint32(n))))
		}
	}
	for i, c := range all {
		for n := range messages {
			if got := binary.BigEndian.Uint32(c.Next().Data); got != uint32(n) {
				t.Fatalf("client %d: message %d came when %d was due", i, got, n)
			}
		}
	}
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d calls for one client overlapped", n)
	}
}

// Effects of a timer come after those of the handler that has set it. The timers of a client end
// with it. A call that fails cancels the timers that it has set, and a timer that fails discards
// its effects.
func TestTimers(t *testing.T) {
	t.Parallel()
	mustNotCome := func(_ context.Context, c worker.Call) error { c.Send(worker.Text("must not come")); return nil }
	h := onMessage(func(c worker.Call, m worker.Message) {
		switch string(m.Data) {
		case "now":
			c.After(0, func(_ context.Context, c worker.Call) error { c.Send(worker.Text("timer")); return nil })
			c.Send(worker.Text("handler"))
		case "login within":
			c.After(20*time.Millisecond, func(_ context.Context, c worker.Call) error {
				if c.UID() == "" {
					c.Send(worker.Text("too late"))
					c.Close()
				}
				return nil
			})
		case "stopped":
			timer := c.After(0, mustNotCome)
			timer.Stop()
			c.Send(worker.Text("stopped"))
		case "fails":
			c.After(0, mustNotCome)
			panic("on purpose")
		case "timer that fails":
			c.After(0, func(_ context.Context, c worker.Call) error {
				c.Bind("ghost")
				c.Send(worker.Text("must not come"))
				return errors.New("on purpose")
			})
		case "timer that is impossible":
			c.After(0, func(ctx context.Context, c worker.Call) error {
				c.Send(worker.Text("must not come"))
				c.Join("")
				return nil
			})
		}
	})
	h.Error = func(_ context.Context, c worker.Call, err error) { c.Send(worker.Text(c.UID() + "failed")) }
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	a := g.Dial(workertest.Request{})
	for range 50 {
		a.Send("now")
		a.Expect("handler")
		a.Expect("timer")
	}
	for _, fails := range []string{"fails", "timer that fails", "timer that is impossible"} {
		a.Send(fails)
		a.Expect("failed")
	}
	a.Send("stopped")
	a.Expect("stopped")
	a.Send("login within")
	a.Expect("too late")
	a.ExpectClosed(worker.ReasonKicked)
	b := g.Dial(workertest.Request{})
	b.Send("login within")
	b.Drop()
}

// The number of pending timers of a client is bounded, including those that are due while a handler
// runs. One too many fails the call.
func TestTimersAreBounded(t *testing.T) {
	t.Parallel()
	var ran atomic.Int32
	failed := make(chan error, 1)
	h := onMessage(func(c worker.Call, m worker.Message) {
		for i := range worker.MaxTimers {
			d := time.Duration(0)
			if i%2 == 0 {
				d = time.Hour
			}
			c.After(d, func(context.Context, worker.Call) error { ran.Add(1); return nil })
		}
		if string(m.Data) == "one too many" {
			c.After(0, func(context.Context, worker.Call) error { t.Error("one too many ran"); return nil }).Stop()
		}
		c.Send(worker.Text("set"))
	})
	h.Error = func(_ context.Context, c worker.Call, err error) {
		failed <- err
		c.Send(worker.Text("failed"))
	}
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	a := g.Dial(workertest.Request{})
	tooMany := func() {
		t.Helper()
		if err := <-failed; !errors.Is(err, worker.ErrTooMany) {
			t.Errorf("one too many: %v", err)
		}
	}
	a.Send("one too many")
	a.Expect("failed")
	tooMany()
	await(t, func() bool { // those of the call that has failed make room, those that were due when their turn has come
		a.Send("as many as may be")
		set := string(a.Next().Data) == "set"
		if !set {
			tooMany()
		}
		return set
	})
	await(t, func() bool { return ran.Load() == worker.MaxTimers/2 })
}

// A timer that is stopped before it is due makes room at once. One that is stopped later counts
// until its turn. One that has run makes room.
func TestTimersMakeRoom(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		var timers []*worker.Timer
		for range worker.MaxTimers {
			timers = append(timers, c.After(time.Hour, func(context.Context, worker.Call) error { return nil }))
		}
		for _, timer := range timers {
			timer.Stop()
			timer.Stop()
		}
		var chain func(context.Context, worker.Call) error
		left := 2 * worker.MaxTimers
		chain = func(_ context.Context, c worker.Call) error { //nolint:unparam // After asks for an error
			if left--; left == 0 {
				c.Send(worker.Text("done"))
			} else {
				c.After(0, chain)
			}
			return nil
		}
		c.After(0, chain)
	}))
	a := g.Dial(workertest.Request{})
	a.Send("go on")
	a.Expect("done")
}

// A slow handler is logged once, with its stack.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	slow := onMessage(func(c worker.Call, m worker.Message) { slowBusiness(release) })
	g := workertest.NewWithConfig(t, slow, worker.Config{
		SlowHandlerThreshold: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	t.Cleanup(let) // the worker does not end before its handler
	g.Dial(workertest.Request{}).Send("x")
	deadline := time.Now().Add(workertest.Timeout)
	for ; !strings.Contains(logs.String(), "slowBusiness"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the watchdog did not name the function:\n%s", logs.String())
		}
	}
	let()
	if n := g.Worker().Stats().Slow; n != 1 {
		t.Errorf("%d slow calls counted", n)
	}
}

func slowBusiness(release chan struct{}) { <-release }

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Goroutines of a handler may use its Call until the handler returns. Any goroutine may use the
// Worker at any time.
func TestOtherGoroutines(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	g := workertest.New(t, onMessage(func(c worker.Call, m worker.Message) {
		var mine sync.WaitGroup
		for range 8 {
			if string(m.Data) == "wait" {
				mine.Go(func() { c.Send(worker.Text("x")) })
				continue
			}
			all.Go(func() {
				if err := c.Worker().Publish(t.Context(), worker.Client(c.ID()), worker.Text("x")); err != nil {
					t.Error(err)
				}
			})
		}
		mine.Wait()
	}))
	c := g.Dial(workertest.Request{})
	for i := range 40 {
		c.Send([]string{"wait", "go"}[i%2])
		for range 8 {
			c.Expect("x")
		}
	}
}

// The effects of one call are bounded: a call with more fails and has no effect. A single effect
// may be larger.
func TestUnitBound(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	h := onMessage(func(c worker.Call, m worker.Message) {
		var n, size int
		if _, err := fmt.Sscanf(string(m.Data), "%d of %d", &n, &size); err != nil {
			t.Error(err)
		}
		for range n {
			c.Send(worker.Bytes(make([]byte, size<<20)))
		}
	})
	h.Error = func(_ context.Context, c worker.Call, err error) {
		failed <- err
		c.Send(worker.Text("failed"))
	}
	g := workertest.NewWithConfig(t, h, worker.Config{Logger: slog.New(slog.DiscardHandler)})
	c := g.Dial(workertest.Request{})
	for text, good := range map[string]int{"3 of 1": 3, "5 of 1": 0, "1 of 16": 1, "2 of 4": 0, "1 of 17": 0} {
		c.Send(text)
		for range good {
			if m := c.Next(); len(m.Data) < 1<<20 {
				t.Errorf("%s: %q", text, m.Data)
			}
		}
		if good > 0 {
			continue
		}
		c.Expect("failed")
		want := worker.ErrUnitTooLarge
		if text == "1 of 17" {
			want = worker.ErrTooBig
		}
		if err := <-failed; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// When a handler changes another client of the same worker, the handler of that client sees the
// change.
func TestOtherClientChanged(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		if id, err := worker.ParseClientID(string(m.Data)); err == nil {
			w := c.Worker()
			return errors.Join(
				w.MergeAttrs(ctx, id, map[string]string{"k": "v"}),
				w.Bind(ctx, id, "u"),
				w.Publish(ctx, worker.Client(id), worker.Text("changed")),
			)
		}
		v, _ := c.Attr("k")
		c.Send(worker.Text(c.UID() + v))
		return nil
	}})
	a, b := g.Dial(workertest.Request{}), g.Dial(workertest.Request{})
	a.Send(b.ID().String())
	b.Expect("changed")
	b.Send("what am I?")
	b.Expect("uv")
}
