package chat_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/worker"
)

// server is a gateway and a worker with the chat, in this process.
type server struct {
	web  string // ws://host:port, and a path if there is one
	text string // host:port
	json string // host:port

	inner string // host:port
	store store.Client
	stop  func()
}

// page returns the address of the web page.
func (s *server) page() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(s.web, "ws://"), "/")
	return "http://" + host + "/"
}

func startServer(t *testing.T, web string) *server {
	t.Helper()
	s := startGateway(t, gateway.Config{}, web)
	stopGateway, stopWorker := s.stop, startWorker(t, s.inner)
	s.stop = func() {
		var both sync.WaitGroup
		both.Go(stopGateway)
		both.Go(stopWorker)
		both.Wait()
	}
	return s
}

var quiet = slog.New(slog.DiscardHandler)

// startGateway starts a gateway without a worker.
func startGateway(t *testing.T, cfg gateway.Config, web string) *server {
	t.Helper()
	cfg.Loops, cfg.Logger, cfg.DrainTimeout = 2, quiet, 200*time.Millisecond
	path := strings.TrimLeft(web, "0123456789.:")
	cfg.Listeners = []gateway.ListenerConfig{
		{URL: "ws://" + web, Page: chat.Page(path)}, {URL: "text://127.0.0.1:0"}, {URL: "json://127.0.0.1:0"},
	}
	kept := store.Client{Invoke: newStore(t, store.Config{}).Serve}
	cfg.OnInvoke = kept.Invoke
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan struct{})
	stop := start(t, func(ctx context.Context) error {
		defer close(failed)
		if err := g.Run(ctx); !errors.Is(err, gateway.ErrCut) { // a browser may take its time
			return err
		}
		return nil
	})
	select {
	case <-g.Ready():
	case <-failed:
		t.FailNow()
	}
	return &server{
		web: g.Addrs()[0], text: strings.TrimPrefix(g.Addrs()[1], "text://"),
		json: strings.TrimPrefix(g.Addrs()[2], "json://"), inner: g.WorkerAddr(), store: kept, stop: stop,
	}
}

// startWorker starts a worker with the chat and waits until it is connected.
func startWorker(t *testing.T, inner string) (stop func()) {
	t.Helper()
	h, err := chat.New(chat.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(worker.Config{Gateways: []string{inner}, Logger: quiet, DrainTimeout: time.Second}, h)
	if err != nil {
		t.Fatal(err)
	}
	stop = start(t, w.Run)
	<-w.Ready()
	return stop
}

// start runs a function until the test ends or stop is called.
func start(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// textClient is a client with a plain socket.
type textClient struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dialText(t *testing.T, addr string) *textClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &textClient{t, conn, bufio.NewReader(conn)}
}

func (c *textClient) send(lines ...string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next event of any type.
func (c *textClient) next() map[string]any {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(browsertest.Patience)); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(line, &e); err != nil {
		c.t.Fatalf("%q: %v", line, err)
	}
	return e
}

// expect returns the next event of the type and skips others.
func (c *textClient) expect(kind string) map[string]any {
	c.t.Helper()
	for {
		if e := c.next(); e["type"] == kind {
			return e
		}
	}
}

// TestJSONSocket lets a client with length-prefixed documents talk to one with text lines.
func TestJSONSocket(t *testing.T) {
	t.Parallel()
	s := startServer(t, "127.0.0.1:0")
	conn, err := net.Dial("tcp", s.json)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(browsertest.Patience)); err != nil {
		t.Fatal(err)
	}
	format := codec.JSON{}
	say := func(doc string) {
		if _, err := conn.Write(format.Append(nil, []byte(doc), true)); err != nil {
			t.Fatal(err)
		}
	}
	var in []byte
	receive := func(kind string) (e map[string]any) {
		for e["type"] != kind {
			_, doc, n, _, err := format.Decode(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				e = nil
				if err := json.Unmarshal(doc, &e); err != nil {
					t.Fatal(err)
				}
				in = in[n:]
				continue
			}
			more := make([]byte, 4096)
			n, err = conn.Read(more)
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, more[:n]...)
		}
		return e
	}
	say(`{"type":"login","name":"Jo"}`)
	say(`{"type":"join","room":"lobby"}`)
	receive("users")
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	grace.send("/say lobby from lines")
	if e := receive("message"); e["text"] != "from lines" || e["from"] != "Grace" {
		t.Errorf("Jo got %v", e)
	}
	say(`{"type":"say","room":"lobby","text":"from documents"}`)
	grace.expect("message")
	if e := grace.expect("message"); e["text"] != "from documents" {
		t.Errorf("Grace got %v", e)
	}
}
