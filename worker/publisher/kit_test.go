package publisher_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/publisher"
)

// patience is the timeout of a test's waits.
const patience = 30 * time.Second

var silent = slog.New(slog.DiscardHandler)

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// serve runs a gateway with two loops and text clients until the test ends or stop is called.
func serve(t *testing.T, cfg gateway.Config) (g *gateway.Gateway, stop func()) {
	t.Helper()
	cfg.Loops, cfg.DrainTimeout, cfg.Logger = 2, 100*time.Millisecond, silent
	cfg.Listeners = []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, gateway.ErrCut) { // clients here do not go by themselves
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-g.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return g, stop
}

// work runs a worker of the gateways. Clients join a group, bind a uid or ask for an attribute.
func work(t *testing.T, cfg worker.Config) {
	t.Helper()
	cfg.Logger = silent
	w, err := worker.New(cfg, worker.Handler{
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			switch verb, rest, _ := strings.Cut(string(m.Data), " "); verb {
			case "join":
				c.Join(rest)
			case "uid":
				c.Bind(rest)
			case "attr":
				value, _ := c.Attr(rest)
				c.Send(worker.Text(value))
				return nil
			}
			c.Send(m)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, w.Run)
	<-w.Ready()
}

// background runs a function until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// connect runs a publisher until the test ends.
func connect(t *testing.T, cfg publisher.Config) *publisher.Publisher {
	t.Helper()
	cfg.Logger = silent
	p, err := publisher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	background(t, p.Run)
	<-p.Ready()
	return p
}

// client is a client that writes and reads lines.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dial connects a client, and writes lines that the worker has handled when it returns.
func dial(t *testing.T, g *gateway.Gateway, lines ...string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.Addrs()[0], "text://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t, conn, bufio.NewReader(conn)}
	for _, line := range append(lines, "hello") {
		c.say(line)
		c.expect(line)
	}
	return c
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads a line. An empty one means the end of the connection.
func (c *client) expect(line string) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	got, err := c.in.ReadString('\n')
	if strings.TrimSuffix(got, "\n") != line || line == "" && !errors.Is(err, io.EOF) {
		c.t.Fatalf("received %q, %v; want %q", got, err, line)
	}
}
