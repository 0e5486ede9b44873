package worker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// realGateway starts a gateway with a text listener. stop ends it.
func realGateway(t *testing.T, id uint32, inner string, key []byte) (g *gateway.Gateway, stop func()) {
	t.Helper()
	return serveUntil(t, gateway.Config{
		ID: id, WorkerAddr: inner, Key: key, Loops: 2, Logger: slog.New(slog.DiscardHandler),
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
}

// serve starts a gateway. It ends with the test.
func serve(t *testing.T, cfg gateway.Config) *gateway.Gateway {
	t.Helper()
	g, _ := serveUntil(t, cfg)
	return g
}

func serveUntil(t *testing.T, cfg gateway.Config) (g *gateway.Gateway, stop func()) {
	t.Helper()
	cfg.DrainTimeout = 100 * time.Millisecond
	cfg.LinkHeartbeat = time.Minute // a busy machine loses no link
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, gateway.ErrCut) { // clients here do not go by themselves
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-g.Ready():
	case err := <-done:
		done <- nil
		t.Fatal(err)
	}
	return g, stop
}

// run starts a worker. It ends with the test.
func run(t *testing.T, cfg worker.Config, h worker.Handler) *worker.Worker {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	w, err := worker.New(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

type line struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, g *gateway.Gateway) *line {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.Addrs()[0], "text://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &line{t, conn, bufio.NewReader(conn)}
}

func (l *line) say(text string) {
	l.t.Helper()
	if _, err := io.WriteString(l.conn, text+"\n"); err != nil {
		l.t.Fatal(err)
	}
}

func (l *line) receives(text string) {
	l.t.Helper()
	if got := l.next(); got != text {
		l.t.Fatalf("got %q, not %q", got, text)
	}
}

// next returns the next line that the client receives.
func (l *line) next() string {
	l.t.Helper()
	_ = l.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	text, err := l.in.ReadString('\n')
	if err != nil {
		l.t.Fatalf("got %q, %v", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

// across is a handler that uses several gateways.
var across = onMessage(func(c worker.Call, m worker.Message) {
	verb, rest, _ := strings.Cut(string(m.Data), " ")
	switch verb {
	case "join":
		c.Join(rest)
	case "bind":
		c.BindExclusive(rest)
	case "say":
		c.Publish(worker.Group("room"), worker.Text(rest))
		return
	}
	c.Send(worker.Text("ok"))
})

// Publishes, uids, counts and lists span two gateways, and report when one does not answer.
func TestTwoGateways(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, stop2 := realGateway(t, 2, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, across)
	<-w.Ready()
	ctx := t.Context()
	var all []*line
	for i, g := range []*gateway.Gateway{g1, g2, g1, g2} {
		c := dial(t, g)
		c.say("join room")
		c.receives("ok")
		if i < 2 {
			c.say("bind u")
			c.receives("ok")
		}
		all = append(all, c)
	}
	// The newest connection of the uid is at the other gateway.
	all[0].receives(`{"type":"sluice.closed","reason":"replaced"}`)
	all[0].ends()
	all[2].say("say to all")
	for _, c := range all[1:] {
		c.receives("to all")
	}
	if n, err := w.Count(ctx, worker.Everyone()); n != 3 || err != nil {
		t.Errorf("Count: %d, %v", n, err)
	}
	groups := []worker.Target{worker.Group("room"), worker.Group("nobody")}
	if n, err := w.Counts(ctx, groups); n[0] != 3 || n[1] != 0 || err != nil {
		t.Errorf("Counts: %v, %v", n, err)
	}
	var ids []worker.ClientID
	for row, err := range w.Select(ctx, worker.Group("room"), worker.FieldUID|worker.FieldGroups) {
		if err != nil || !slices.Equal(row.Groups, []string{"room"}) {
			t.Errorf("Select: %+v, %v", row, err)
		}
		ids = append(ids, row.ID)
	}
	if len(ids) != 3 {
		t.Errorf("Select: %d rows", len(ids))
	}
	n, err := w.Counts(ctx, []worker.Target{worker.Client(ids[0]), worker.Client(worker.ClientID{9})})
	if err != nil || n[0] != 1 || n[1] != 0 {
		t.Errorf("Counts of clients: %v, %v", n, err)
	}
	if d, err := w.Deliver(ctx, ids[0], worker.Text("for you")); d != worker.Delivered || err != nil {
		t.Errorf("Deliver: %v, %v", d, err)
	}

	stop2()
	await(t, func() bool { return w.Stats().Links == 2 })
	if n, err := w.Count(ctx, worker.Everyone()); n != 1 || !errors.Is(err, worker.ErrPartial) {
		t.Errorf("Count with a gateway down: %d, %v", n, err)
	}
}

// A gateway that comes back is used again at once.
func TestGatewayComesBack(t *testing.T) {
	t.Parallel()
	g, stop := realGateway(t, 1, "127.0.0.1:0", nil)
	inner := g.WorkerAddr()
	w := run(t, worker.Config{Gateways: []string{inner}}, across)
	<-w.Ready()
	stop()
	await(t, func() bool { return w.Stats().Links == 0 })
	g, _ = realGateway(t, 1, inner, nil)
	c := dial(t, g) // is held until the worker is there
	c.say("x")
	c.receives("ok")
	if w.Stats().Reconnects == 0 {
		t.Error("no redial was counted")
	}
}

// A worker without the key gets no link. A worker with the key gets one.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	key := []byte("a key that both sides share")
	g, _ := realGateway(t, 1, "127.0.0.1:0", key)
	stranger := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Key: []byte("another key than theirs")}, across)
	await(t, func() bool { return g.Stats().WorkerAuthFailures > 0 })
	friend := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Key: key}, across)
	<-friend.Ready()
	select {
	case <-stranger.Ready():
		t.Error("a worker without the key was let in")
	default:
	}
}

// A worker that drains hands its clients over. None of their messages is lost or out of order, and
// no client is disconnected.
func TestDrain(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	echo := onMessage(func(c worker.Call, m worker.Message) { c.Send(m) })
	start := func() (stop func()) {
		w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()}, Logger: slog.New(slog.DiscardHandler)}, echo)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		<-w.Ready()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := w.Stats().Reconnects; n > 0 {
				t.Errorf("%d links are said to have been dialled again", n)
			}
		}
	}
	stop := start()
	var clients []*line
	for range 8 {
		clients = append(clients, dial(t, g))
	}
	var talk sync.WaitGroup
	for _, c := range clients {
		talk.Go(func() {
			for i := range 400 {
				c.say(strings.Repeat("x", i))
			}
		})
	}
	for range 4 {
		next := start()
		stop()
		stop = next
	}
	for _, c := range clients {
		for i := range 400 {
			c.receives(strings.Repeat("x", i))
		}
	}
	talk.Wait()
	stop()
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}
