package dashboard_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/logs"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
	"github.com/seed-7410fe32/sluice/internal/suite"
	"github.com/seed-7410fe32/sluice/worker"
)

func TestMain(m *testing.M) {
	suite.Beside(4)
	leaktest.Main(m, browsertest.End)
}

const (
	patience     = browsertest.Patience // of a test's waits
	operateToken = "operate-0123456789abcdef"
	readToken    = "read-0123456789abcdef"
	tokenLines   = "ada " + operateToken + "\nviewer " + readToken + " read\n"
)

// fixture is a gateway with a worker, clients and an admin listener.
type fixture struct {
	t         *testing.T
	url       string // of the admin listener
	text      string // host:port of text clients
	tokenFile string
	keeper    *keep.Keeper
	drained   atomic.Bool
	log       *logText
	cfg       admin.Config
	stop      func() // ends the admin listener
}

var business = worker.Handler{
	Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		if name, ok := strings.CutPrefix(string(m.Data), "join "); ok {
			c.Join(name)
		}
		c.Send(m)
		return nil
	},
}

// start starts a gateway with two loops, two workers and an admin listener with tokens. change may
// change the configuration of the listener.
func start(t *testing.T, change func(*admin.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: new(logText), tokenFile: filepath.Join(t.TempDir(), "tokens")}
	handler := logs.NewHandler(f.log)
	handler.SetRate(-1)
	log := slog.New(handler)
	g, err := gateway.New(gateway.Config{Loops: 2, DrainTimeout: 200 * time.Millisecond, Logger: log, Name: "edge-1",
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0", Heartbeat: -1}}}) // some clients are silent
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	f.keeper, err = keep.Open(t.TempDir(), keep.Config{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.keeper.Close() })
	f.writeTokens(tokenLines)
	cfg := admin.Config{Gateway: g, Addr: "127.0.0.1:0", Version: "1.0", TokenFile: f.tokenFile, Stats: f.keeper,
		LogLevel: handler.Level(), Drain: func() { f.drained.Store(true) }, Logger: log}
	if change != nil {
		change(&cfg)
	}
	f.cfg = cfg
	all.Go(func() { _ = g.Run(ctx) })
	f.serve()
	<-g.Ready()
	f.text = strings.TrimPrefix(g.Addrs()[0], "text://")
	for _, name := range []string{"chat", "orders"} {
		w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()}, Name: name, Logger: log}, business)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() { _ = w.Run(ctx) })
	}
	f.wait("the workers", func() bool { return g.Stats().Workers == 2 })
	return f
}

// serve starts the admin listener, at the address that it had before if it had one. stop ends it.
func (f *fixture) serve() {
	f.t.Helper()
	server, err := admin.New(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.cfg.Addr, f.url = server.Addr(), "http://"+server.Addr()+"/"
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Run(ctx); err != nil {
			f.t.Error(err)
		}
	}()
	f.stop = func() {
		cancel()
		<-ended
	}
	f.t.Cleanup(f.stop)
}

func (f *fixture) writeTokens(lines string) {
	f.t.Helper()
	if err := os.WriteFile(f.tokenFile, []byte(lines), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wait(what string, ok func() bool) {
	f.t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-poll.C {
		if ok() {
			return
		}
	}
	f.t.Fatalf("not within %v: %s", patience, what)
}

// dial connects a client that joins groups.
func (f *fixture) dial(groups ...string) {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.text)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	in := bufio.NewReader(conn)
	for _, g := range groups {
		_, _ = io.WriteString(conn, "join "+g+"\n")
		if _, err := in.ReadString('\n'); err != nil {
			f.t.Fatal(err)
		}
	}
}

// chatter connects clients that send messages until the test ends.
func (f *fixture) chatter(clients int) {
	f.t.Helper()
	for i := range clients {
		conn, err := net.Dial("tcp", f.text)
		if err != nil {
			f.t.Fatal(err)
		}
		var both sync.WaitGroup
		end := make(chan struct{})
		f.t.Cleanup(func() {
			close(end)
			_ = conn.Close()
			both.Wait()
		})
		both.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		both.Go(func() {
			every := time.NewTicker(time.Duration(90+7*i) * time.Millisecond)
			defer every.Stop()
			for n := 0; ; n++ {
				_, _ = io.WriteString(conn, strings.Repeat("hello\n", 1+n/20%3))
				select {
				case <-end:
					return
				case <-every.C:
				}
			}
		})
	}
}

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

// step is one action in a window.
type step = chromedp.Action[chromedp.Void]

func run(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 2*browsertest.Patience) // the window is open for longer
	defer cancel()
	if err := chromedp.Do(within, steps...); err != nil {
		const state = `[location.href, document.readyState, document.querySelector("h1")?.textContent, document.activeElement?.outerHTML.slice(0, 200),
			document.querySelector("main")?.textContent.slice(0, 600)].join(" | ")`
		seen, _ := chromedp.Run(ctx, chromedp.Evaluate[string](state))
		t.Fatalf("%v; the page: %s", err, seen)
	}
}

// ask returns the result of a script in the window.
func ask[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until waits until a script is true.
func until(script string, args ...any) step {
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(script, args...),
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience))
}

// shows waits until an element contains the text.
func shows(selector, text string) step {
	return until(`document.querySelector(%q)?.textContent.includes(%q)`, selector, text)
}

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }

// goTo opens a place of the page that is open.
func goTo(fragment string) step {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`location.hash = %q, 0`, fragment))
}

// logIn opens the page and logs in.
func (f *fixture) logIn(ctx context.Context, token string) {
	f.t.Helper()
	run(f.t, ctx, browsertest.Navigate(f.url),
		until(`document.querySelector("#token") && document.fonts.status === "loaded"`),
		chromedp.SetValue(chromedp.CSS("#token"), token), click(".login button"), until(`document.querySelector(".app")`))
}

// shot saves a picture of the window, if the variable DASHBOARD_SHOTS names a folder.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("DASHBOARD_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// request sends a request, with a token if it is not empty.
func (f *fixture) request(method, path, token, body string, headers ...string) *http.Response {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+strings.TrimPrefix(path, "/"), strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}
