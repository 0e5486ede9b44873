package worker_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/leak"
	"sluice/internal/suite"
	"sluice/worker"
	"sluice/worker/workertest"
)

func TestMain(m *testing.M) {
	suite.Beside(4)
	leak.Main(m)
}

// A handler that blocks holds up its own client and nobody else; what comes for that client meanwhile is handled afterwards, in order.
func TestBlockedHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		if string(m.Data) == "block" {
			<-release
		}
		_ = c.Send(m)
	}))
	t.Cleanup(let) // the worker does not end before its handler
	stuck, free := g.Dial(workertest.Request{}), g.Dial(workertest.Request{})
	stuck.Send("block")
	for i := range 100 {
		stuck.Send(fmt.Sprint(i))
		free.Send(fmt.Sprint(i))
		free.Expect(fmt.Sprint(i))
	}
	if n := stuck.Heard(); n != 0 {
		t.Errorf("%d messages were handled beside the one that blocks", n)
	}
	let()
	stuck.Expect("block")
	for i := range 100 {
		stuck.Expect(fmt.Sprint(i))
	}
	if n := g.Worker().Stats().Takeovers; n == 0 {
		t.Error("no takeover was counted")
	}
}

// Handlers that all block run side by side: a hundred clients with handlers of 5 ms must not take a hundred times that.
func TestManyBlockingHandlers(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		n := running.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond) // what is tested: a handler that waits for something
		running.Add(-1)
		_ = c.Send(m)
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

// A thousand handlers that wait for something wait together: none returns before all have begun, so that a thousand of 5 ms take about 5 ms and not 5 s.
func TestThousandHandlersAtOnce(t *testing.T) {
	t.Parallel()
	const clients = 1000
	var running atomic.Int32
	all := make(chan struct{})
	let := sync.OnceFunc(func() { close(all) })
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		if running.Add(1) == clients {
			let()
		}
		<-all
		_ = c.Send(m)
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
	if n := g.Worker().Stats().Takeovers; n > clients/10 { // each takes a tick of the watch
		t.Errorf("%d of %d calls held the link up before they were found to block", n, clients)
	}
}

// Whatever blocks and whatever does not, each client's messages are handled one after the other and in order, and answers come in that order.
func TestOrderUnderTakeovers(t *testing.T) {
	t.Parallel()
	var overlaps atomic.Int32
	var busy sync.Map
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		if _, already := busy.LoadOrStore(c.ID(), true); already {
			overlaps.Add(1)
		}
		switch rand.IntN(40) {
		case 0:
			time.Sleep(4 * time.Millisecond) // long enough to be taken over
		case 1:
			if _, err := c.Count(context.Background()); err != nil {
				t.Error(err)
			}
		case 2:
			_, _ = c.After(0, func(c *worker.Client) { _ = c.Client(c.ID()) })
		}
		_ = c.Send(m)
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

// What a timer does comes after what the handler that set it did, and a client that goes takes its timers with it.
func TestTimers(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		switch string(m.Data) {
		case "now":
			_, _ = c.After(0, func(c *worker.Client) { _ = c.Send(worker.Text("timer")) })
			_ = c.Send(worker.Text("handler"))
		case "login within":
			_, _ = c.After(20*time.Millisecond, func(c *worker.Client) {
				if c.UID() == "" {
					_ = c.CloseWith(worker.Text("too late"))
				}
			})
		case "stopped":
			timer, _ := c.After(0, func(c *worker.Client) { _ = c.Send(worker.Text("must not come")) })
			timer.Stop()
			_ = c.Send(worker.Text("stopped"))
		}
	}))
	a := g.Dial(workertest.Request{})
	for range 50 {
		a.Send("now")
		a.Expect("handler")
		a.Expect("timer")
	}
	a.Send("login within")
	a.Expect("too late")
	b := g.Dial(workertest.Request{})
	b.Send("login within")
	b.Drop()
}

// The timers of a client are bounded, those that are due and wait for a handler to return among them.
func TestTimersAreBounded(t *testing.T) {
	t.Parallel()
	var ran atomic.Int32
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		for i := range worker.MaxTimers {
			d := time.Duration(0)
			if i%2 == 0 {
				d = time.Hour
			}
			if _, err := c.After(d, func(*worker.Client) { ran.Add(1) }); err != nil {
				t.Errorf("timer %d: %v", i, err)
			}
		}
		if timer, err := c.After(0, func(*worker.Client) { t.Error("one too many ran") }); err != worker.ErrTooMany {
			t.Errorf("one too many: %v", err)
		} else {
			timer.Stop()
		}
		_ = c.Send(worker.Text("set"))
	}))
	a := g.Dial(workertest.Request{})
	a.Send("go on")
	a.Expect("set")
	await(t, func() bool { return ran.Load() == worker.MaxTimers/2 })
	if _, err := g.Worker().Client(a.ID()).After(0, func(*worker.Client) {}); err != worker.ErrGone {
		t.Errorf("for a client by its id: %v", err)
	}
}

// What is stopped makes room when it had time to go, and counts until its turn when it was due; what has run makes room.
func TestTimersMakeRoom(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		var timers []*worker.Timer
		for range worker.MaxTimers {
			timer, err := c.After(time.Hour, func(*worker.Client) {})
			if err != nil {
				t.Error(err)
			}
			timers = append(timers, timer)
		}
		for _, timer := range timers {
			timer.Stop()
			timer.Stop()
		}
		var chain func(*worker.Client)
		left := 2 * worker.MaxTimers
		chain = func(c *worker.Client) {
			if left--; left == 0 {
				_ = c.Send(worker.Text("done"))
			} else if _, err := c.After(0, chain); err != nil {
				t.Errorf("%d left: %v", left, err)
			}
		}
		if _, err := c.After(0, chain); err != nil {
			t.Error(err)
		}
	}))
	a := g.Dial(workertest.Request{})
	a.Send("go on")
	a.Expect("done")
}

// A handler that is slow is named with its stack, once.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	g := workertest.NewConfig(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) { slowBusiness(release) }), worker.Config{
		SlowAfter: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	t.Cleanup(let) // the worker does not end before its handler
	g.Dial(workertest.Request{}).Send("x")
	for deadline := time.Now().Add(workertest.Patience); !strings.Contains(logs.String(), "slowBusiness"); time.Sleep(time.Millisecond) {
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

// A client may be used from other goroutines, while its handler runs and afterwards.
func TestOtherGoroutines(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { _ = c.Send(worker.Text("x")) })
		}
		if string(m.Data) == "wait" {
			all.Wait()
		}
	}))
	c := g.Dial(workertest.Request{})
	for i := range 40 {
		c.Send([]string{"wait", "go"}[i%2])
		for range 8 {
			c.Expect("x")
		}
	}
}

// What one call does has a bound, and a call that fails has no effect.
func TestUnitBound(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		big := worker.Bytes(make([]byte, 1<<20))
		n := 0
		for c.Send(big) == nil {
			n++
		}
		_ = c.Send(worker.Text(fmt.Sprint(n)))
	}))
	c := g.Dial(workertest.Request{})
	c.Send("x")
	for range 3 {
		c.Next()
	}
	c.Expect("3")
}

// What a handler changes at another client of the same worker, that client's handler sees.
func TestOtherClientChanged(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		if id, err := worker.ParseClientID(string(m.Data)); err == nil {
			other := c.Client(id)
			if err := other.MergeAttrs(map[string]string{"k": "v"}); err != nil {
				t.Error(err)
			}
			if err := other.Bind("u"); err != nil {
				t.Error(err)
			}
			_ = other.Send(worker.Text("changed"))
			return
		}
		v, _ := c.Attr("k")
		_ = c.Send(worker.Text(c.UID() + v))
	}))
	a, b := g.Dial(workertest.Request{}), g.Dial(workertest.Request{})
	a.Send(b.ID().String())
	b.Expect("changed")
	b.Send("what am I?")
	b.Expect("uv")
}
