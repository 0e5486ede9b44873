package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// cutter dials for a worker and can cut the connections.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func (k *cutter) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		k.mu.Lock()
		k.conns = append(k.conns, conn)
		k.mu.Unlock()
	}
	return conn, err
}

func (k *cutter) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, conn := range k.conns {
		_ = conn.Close()
	}
	k.conns = nil
}

// A link ends while a handler runs. The message is delivered again with the same number and key,
// and the first call has had no effect.
func TestEffectsOfAnUnfinishedCallAreNone(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	type delivery struct {
		text, key   string
		number      uint32
		redelivered bool
	}
	calls, release := make(chan delivery, 8), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	cfg := worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial}
	run(t, cfg, onMessage(func(c worker.Call, m worker.Message) {
		c.Send(worker.Text(fmt.Sprintf("%s again=%v", m.Data, m.Redelivered)))
		calls <- delivery{string(m.Data), m.Key(c), m.Number, m.Redelivered}
		if string(m.Data) == "two" && !m.Redelivered {
			<-release
		}
	}))
	c := dial(t, g)
	c.say("one")
	c.receives("one again=false")
	c.say("two")
	one, two := <-calls, <-calls
	k.cut()
	let()
	c.receives("two again=true")
	again := <-calls
	c.say("three")
	c.receives("three again=false")
	if one.number != 1 || two.number != 2 || again.number != 2 || (<-calls).number != 3 {
		t.Errorf("numbers %d, %d, %d", one.number, two.number, again.number)
	}
	if one.key == two.key || two.key != again.key || two.redelivered || !again.redelivered {
		t.Errorf("%+v, then %+v", two, again)
	}
}

// An effect outside of the gateways occurs once, although the link ends after it and the message is
// delivered again.
func TestAnExternalEffectHappensOnce(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	seen, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var k cutter
	effects, made, release := 0, make(chan struct{}, 8), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	cfg := worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial}
	run(t, cfg, onMessage(func(c worker.Call, m worker.Message) {
		if _, err := store.Once(context.Background(), seen, m.Key(c), func() error {
			effects++ // calls for one client do not overlap
			return nil
		}); err != nil {
			t.Error(err)
		}
		made <- struct{}{}
		if !m.Redelivered {
			<-release
		}
		c.Send(worker.Text(fmt.Sprintf("%d, again=%v", effects, m.Redelivered)))
	}))
	c := dial(t, g)
	c.say("pay")
	<-made
	k.cut()
	let()
	c.receives("1, again=true")
}

// Flushed effects reach clients before the handler has returned, in order, and stay when the
// handler is called again.
func TestFlush(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	release := make(chan struct{}, 2)
	defer close(release) // also when the test fails
	cfg := worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial}
	run(t, cfg, onMessage(func(c worker.Call, m worker.Message) {
		c.Send(worker.Text("before"))
		if string(m.Data) == "quick" {
			return
		}
		c.Send(worker.Text("begun"))
		if err := c.Flush(context.Background()); err != nil {
			t.Error(err)
		}
		c.Send(worker.Text("done"))
		<-release
	}))
	c := dial(t, g)
	c.say("quick")
	c.receives("before")
	c.say("slow")
	c.receives("before")
	c.receives("begun")
	k.cut()
	release <- struct{}{}
	c.receives("before")
	c.receives("begun")
	release <- struct{}{}
	c.receives("done")
	c.say("quick")
	c.receives("before")
}

// Effects of a handler through the Worker are not part of its call: clients receive them before the
// handler has returned, and again when the message is delivered again. Effects of the handler's
// goroutines through its Call, while it runs, are part of the call and occur once. Those after it
// has returned are ignored and counted, also while a later call runs.
func TestSendsFromOtherGoroutines(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	release := make(chan struct{}, 2)
	defer close(release) // also when the test fails
	late := make(chan worker.Call, 1)
	inAnother := func(f func()) {
		done := make(chan struct{})
		go func() { defer close(done); f() }()
		<-done
	}
	cfg := worker.Config{Gateways: []string{g.WorkerAddr()}, Dial: k.dial}
	w := run(t, cfg, worker.Handler{Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
		if string(m.Data) == "later" {
			old := <-late
			inAnother(func() {
				old.Send(worker.Text("must not be received"))
				old.Publish(worker.Everyone(), worker.Text("must not be received"))
				old.Bind("nobody")
				old.SetAttrs(map[string]string{"no": "thing"})
				old.After(0, func(context.Context, worker.Call) error { t.Error("a timer of a call that had ended"); return nil })
				if err := old.Flush(ctx); !errors.Is(err, worker.ErrCallEnded) {
					t.Errorf("Flush of a call that has ended: %v", err)
				}
				if old.ID() != c.ID() || old.RemoteAddr() != c.RemoteAddr() || old.UID() != "" {
					t.Error("it does not say whose it was")
				}
			})
			c.Send(worker.Text("the later call's"))
			return nil
		}
		c.Send(worker.Text("the call's"))
		inAnother(func() { c.Send(worker.Text("its goroutine's")) })
		inAnother(func() {
			if err := c.Worker().Publish(context.Background(), worker.Client(c.ID()), worker.Text("the worker's")); err != nil {
				t.Error(err)
			}
		})
		<-release
		if m.Redelivered {
			late <- c
		}
		return nil
	}})
	<-w.Ready()
	c := dial(t, g)
	c.say("go")
	c.receives("the worker's")
	k.cut()
	release <- struct{}{}
	c.receives("the worker's")
	release <- struct{}{}
	c.receives("the call's")
	c.receives("its goroutine's")
	c.say("later")
	c.receives("the later call's")
	if n := w.Stats().LateEffects; n != 6 {
		t.Errorf("%d effects after the end of their call are counted, not 6", n)
	}
	if row := one(t, w, worker.Everyone(), worker.FieldUID|worker.FieldAttrs); row.UID != "" || len(row.Attrs) > 0 {
		t.Errorf("they have had effects: %+v", row)
	}
}
