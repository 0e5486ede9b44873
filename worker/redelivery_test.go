package worker_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"sluice/worker"
	"sluice/worker/store"
)

// cutter dials for a worker, and cuts what it has dialled.
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

// A link dies while a handler runs. The message comes again, with its number and key, and what the handler did the first time has had no effect.
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
	run(t, worker.Config{Gateways: []string{g.InnerAddr()}, Dial: k.dial}, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		_ = c.Send(worker.Text(fmt.Sprintf("%s again=%v", m.Data, m.Redelivered)))
		calls <- delivery{string(m.Data), m.Key(c), m.Number, m.Redelivered}
		if string(m.Data) == "two" && !m.Redelivered {
			<-release
		}
	}))
	c := dial(t, g)
	c.say("one")
	c.hears("one again=false")
	c.say("two")
	one, two := <-calls, <-calls
	k.cut()
	close(release)
	c.hears("two again=true")
	again := <-calls
	c.say("three")
	c.hears("three again=false")
	if one.number != 1 || two.number != 2 || again.number != 2 || (<-calls).number != 3 {
		t.Errorf("numbers %d, %d, %d", one.number, two.number, again.number)
	}
	if one.key == two.key || two.key != again.key || two.redelivered || !again.redelivered {
		t.Errorf("%+v, then %+v", two, again)
	}
}

// An effect outside of the gateways is made once, though the link dies after it and the message comes again.
func TestAnEffectOutsideIsMadeOnce(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	seen, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var k cutter
	effects, made, release := 0, make(chan struct{}, 8), make(chan struct{})
	run(t, worker.Config{Gateways: []string{g.InnerAddr()}, Dial: k.dial}, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
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
		_ = c.Send(worker.Text(fmt.Sprintf("%d, again=%v", effects, m.Redelivered)))
	}))
	c := dial(t, g)
	c.say("pay")
	<-made
	k.cut()
	close(release)
	c.hears("1, again=true")
}

// A handler that flushes is heard before it has returned, in order, and what it flushed stands when it is called again.
func TestFlush(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	release := make(chan struct{}, 2)
	run(t, worker.Config{Gateways: []string{g.InnerAddr()}, Dial: k.dial}, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		_ = c.Send(worker.Text("before"))
		if string(m.Data) == "quick" {
			return
		}
		_ = c.Send(worker.Text("begun"))
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
		_ = c.Send(worker.Text("done"))
		<-release
	}))
	c := dial(t, g)
	c.say("quick")
	c.hears("before")
	c.say("slow")
	c.hears("before")
	c.hears("begun")
	k.cut()
	release <- struct{}{}
	c.hears("before")
	c.hears("begun")
	release <- struct{}{}
	c.hears("done")
	c.say("quick")
	c.hears("before")
}

// What a handler has done through the *Worker, by another goroutine too, is a plain send: heard before the handler has returned, and again when its message is redelivered.
// What another goroutine does through the handler's *Client while it runs is part of its unit, and heard once; what it does afterwards is a plain send.
func TestSendsFromOtherGoroutines(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	var k cutter
	var w *worker.Worker
	release := make(chan struct{}, 2)
	later := make(chan *worker.Client, 1)
	inAnother := func(f func() error) {
		done := make(chan error)
		go func() { done <- f() }()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w = run(t, worker.Config{Gateways: []string{g.InnerAddr()}, Dial: k.dial}, worker.HandlerFunc(func(c *worker.Client, m worker.Message) {
		_ = c.Send(worker.Text("the call's"))
		inAnother(func() error { return c.Send(worker.Text("the client's")) })
		inAnother(func() error { return w.Client(c.ID()).Send(worker.Text("the worker's")) })
		<-release
		if m.Redelivered {
			later <- c
		}
	}))
	<-w.Ready()
	c := dial(t, g)
	c.say("go")
	c.hears("the worker's")
	k.cut()
	release <- struct{}{}
	c.hears("the worker's")
	release <- struct{}{}
	c.hears("the call's")
	c.hears("the client's")
	afterwards := <-later
	inAnother(func() error { return afterwards.Send(worker.Text("later")) })
	c.hears("later")
}
