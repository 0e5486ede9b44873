package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/logs"
	"github.com/seed-7410fe32/sluice/worker"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is the timeout of a test's waits.
const patience = 30 * time.Second

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-poll.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %v: %s", patience, what)
}

// secret is the token of the tests.
const secret = "a-token-of-at-least-sixteen-characters"

// fixture is a gateway with an admin listener, and a worker that does what clients write.
type fixture struct {
	t       testing.TB
	g       *gateway.Gateway
	server  *admin.Server
	url     string // of the admin listener
	text    string // host:port of text clients
	log     *logText
	level   *slog.LevelVar
	drained chan struct{}
	worker  func(gateways ...string) // starts a worker of this gateway and others
	client  *http.Client
}

// business joins and binds clients as they write it, and sends everything back.
var business = worker.Handler{
	Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		switch word, rest, _ := strings.Cut(string(m.Data), " "); word {
		case "join":
			c.Join(rest)
		case "leave":
			c.Leave(rest)
		case "uid":
			c.Bind(rest)
		case "attr":
			c.MergeAttrs(map[string]string{"key": rest})
		}
		c.Send(m)
		return nil
	},
}

// start starts a gateway with two loops, a worker and an admin listener. change may change the
// configuration of the listener.
func start(t testing.TB, change func(*admin.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(logText), drained: make(chan struct{}),
		client: &http.Client{Transport: &http.Transport{}}}
	handler := logs.NewHandler(f.log) // the one of the program, which masks secrets
	handler.SetRate(-1)
	f.level = handler.Level()
	log := slog.New(handler)
	var err error
	f.g, err = gateway.New(gateway.Config{Loops: 2, DrainTimeout: 200 * time.Millisecond, Logger: log,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"},
			{URL: "ws://127.0.0.1:0", OnUpgrade: refuseOnRequest}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		cancel()
		all.Wait()
	})
	tokens := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokens, []byte("ops "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := admin.Config{Gateway: f.g, Addr: "127.0.0.1:0", TokenFile: tokens, Version: "test", LogLevel: f.level,
		Drain: sync.OnceFunc(func() { close(f.drained) }), Logger: log}
	if change != nil {
		change(&cfg)
	}
	if f.server, err = admin.New(cfg); err != nil {
		t.Fatal(err)
	}
	all.Go(func() { _ = f.g.Run(ctx) })
	all.Go(func() {
		if err := f.server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-f.g.Ready()
	f.url, f.text = "http://"+f.server.Addr(), strings.TrimPrefix(f.g.Addrs()[0], "text://")
	f.worker = func(others ...string) {
		cfg := worker.Config{Gateways: append(others, f.g.WorkerAddr()), Name: "w", Logger: log}
		w, err := worker.New(cfg, business)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { _ = w.Run(ctx) })
		wait(t, "the worker", func() bool { return f.g.Readiness() == nil })
	}
	return f
}

// ready is start with a worker.
func ready(t testing.TB) *fixture {
	t.Helper()
	f := start(t, nil)
	f.worker()
	return f
}

// request sends a request with the token, and returns the status and the body.
func (f *fixture) request(method, path, body string) (status int, answer string) {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	status, _, answer = f.do(r)
	return status, answer
}

func (f *fixture) do(r *http.Request) (status int, header http.Header, body string) {
	f.t.Helper()
	response, err := f.client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		f.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(b)
}

// get reads the JSON that a path answers with status 200.
func (f *fixture) get(path string, into any) {
	f.t.Helper()
	status, body := f.request("GET", path, "")
	if status != http.StatusOK {
		f.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		f.t.Fatalf("GET %s: %v: %s", path, err, body)
	}
}

// person is a client that writes and reads lines.
type person struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dial connects a client, which the worker has admitted when it returns, and writes lines that the
// worker has handled then.
func (f *fixture) dial(lines ...string) *person {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.text)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	p := &person{f.t, conn, bufio.NewReader(conn)}
	for _, line := range append(lines, "hello") {
		p.write(line)
		p.expect(line)
	}
	return p
}

func (p *person) write(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *person) expect(line string) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	got, err := p.in.ReadString('\n')
	if got != line+"\n" {
		p.t.Fatalf("received %q, %v; want %q", got, err, line)
	}
}

// expectEnd reads until the connection ends.
func (p *person) expectEnd() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, p.in); err != nil {
		p.t.Fatalf("the connection does not end: %v", err)
	}
}

// addr is the address of the client as the gateway sees it.
func (p *person) addr() string { return p.conn.LocalAddr().String() }

// logText collects a log.
type logText struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// refuseOnRequest refuses the WebSockets that ask for it.
func refuseOnRequest(_ context.Context, r *http.Request) (gateway.Identity, error) {
	if r.URL.Path == "/refuse" {
		return gateway.Identity{}, gateway.RefuseFor("asked", http.StatusForbidden, "")
	}
	return gateway.Identity{}, nil
}
