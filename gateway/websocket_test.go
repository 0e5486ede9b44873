package gateway_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// onMessage is a handler that only receives messages, and does not fail.
func onMessage(f func(worker.Call, worker.Message)) worker.Handler {
	return worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		f(c, m)
		return nil
	}}
}

// echo sends every message back.
var echo = onMessage(func(c worker.Call, m worker.Message) { c.Send(m) })

// runWorker runs a real worker until the test ends.
func runWorker(t testing.TB, g *gateway.Gateway, h worker.Handler) *worker.Worker {
	t.Helper()
	return runWorkerWith(t, worker.Config{Gateways: []string{g.WorkerAddr()}}, h)
}

// runWorkerWith is runWorker with a configuration.
func runWorkerWith(t testing.TB, cfg worker.Config, h worker.Handler) *worker.Worker {
	t.Helper()
	cfg.DrainTimeout, cfg.Logger = time.Second, slog.New(slog.DiscardHandler)
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
			t.Errorf("worker: %v", err)
		}
	})
	<-w.Ready()
	return w
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openWebSocket(t testing.TB, url string, o *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(within(t), url, o)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func ws(l gateway.ListenerConfig) gateway.Config {
	if l.URL == "" {
		l.URL = "ws://127.0.0.1:0"
	}
	return gateway.Config{Listeners: []gateway.ListenerConfig{l}}
}

func TestWebSocketEchoesThroughARealWorker(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0/plain"}, {URL: "ws://127.0.0.1:0/small", Compress: true},
	}})
	runWorker(t, g, echo)
	messages := []string{"", "hi", strings.Repeat("long and longer ", 10_000), "żółw 🐢"}
	for i, url := range g.Addrs() {
		o := &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover}
		ws, response, err := websocket.Dial(within(t), url, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ws.CloseNow() }()
		ws.SetReadLimit(-1)
		if got := response.Header.Get("Sec-WebSocket-Extensions"); strings.HasPrefix(got, "permessage-deflate") != (i == 1) {
			t.Errorf("%s: extensions %q", url, got)
		}
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			for _, m := range messages {
				if err := ws.Write(within(t), kind, []byte(m)); err != nil {
					t.Fatal(err)
				}
				got, b, err := ws.Read(within(t))
				if err != nil || got != kind || string(b) != m {
					t.Fatalf("%s: echo of %d bytes: %v %d bytes %v", url, len(m), got, len(b), err)
				}
			}
		}
		if err := ws.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	wait(t, "all clients gone", func() bool { return g.Stats().Clients == 0 })
}

func TestUpgradesAndTheirRefusals(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{
		URL: "ws://127.0.0.1:0/chat", Subprotocols: []string{"v2", "v1"}, Origins: []string{"*.example.org"},
		OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
			if r.Header.Get("X-Banned") != "" {
				return gateway.Identity{}, gateway.Refuse(http.StatusForbidden, "")
			}
			return gateway.Identity{}, nil
		},
	}))
	base := "ws://" + hostport(g.Addrs()[0])
	for _, c := range []struct {
		name, target, origin, banned string
		offers                       []string
		status                       int
		subprotocol                  string
	}{
		{name: "plain", target: "/chat", status: 101},
		{name: "query", target: "/chat?x=1", status: 101},
		{name: "subprotocol", target: "/chat", offers: []string{"v1", "v2"}, status: 101, subprotocol: "v2"},
		{name: "none in common", target: "/chat", offers: []string{"v9"}, status: 101},
		{name: "own origin", target: "/chat", origin: "http://" + hostport(base), status: 101},
		{name: "listed origin", target: "/chat", origin: "https://www.example.org", status: 101},
		{name: "foreign origin", target: "/chat", origin: "https://evil.example.com", status: 403},
		{name: "example.org itself", target: "/chat", origin: "https://example.org", status: 403},
		{name: "null origin", target: "/chat", origin: "null", status: 403},
		{name: "another path", target: "/else", status: 404},
		{name: "longer path", target: "/chat/x", status: 404},
		{name: "a slash behind", target: "/chat/", status: 101},
		{name: "OnUpgrade", target: "/chat", banned: "yes", status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := &websocket.DialOptions{Subprotocols: c.offers, HTTPHeader: http.Header{}}
			if c.origin != "" {
				o.HTTPHeader.Set("Origin", c.origin)
			}
			if c.banned != "" {
				o.HTTPHeader.Set("X-Banned", c.banned)
			}
			conn, response, err := websocket.Dial(within(t), base+c.target, o)
			if response == nil || response.StatusCode != c.status {
				t.Fatalf("%v %v, want %d", response, err, c.status)
			}
			if conn != nil {
				if conn.Subprotocol() != c.subprotocol {
					t.Errorf("subprotocol %q", conn.Subprotocol())
				}
				_ = conn.CloseNow()
			}
		})
	}
}

// agreed returns the client's selected subprotocol, and those that it offered.
var agreed = worker.Handler{Connect: func(_ context.Context, c worker.Call) error {
	r := c.Request()
	c.Send(worker.Text(r.Subprotocol() + " of " + r.Header("Sec-WebSocket-Protocol")))
	return nil
}}

// The listener's best subprotocol that a client offers is selected. The response has it, and the
// worker sees it and the client's offer.
func TestSubprotocols(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0/chat?subprotocol=v2,v1.json", Subprotocols: []string{"v9"}},
		{URL: "ws://127.0.0.1:0?subprotocol=v2&subprotocol=v1.json"}, {URL: "ws://127.0.0.1:0", KeepHeaders: []string{}},
	}})
	runWorker(t, g, agreed)
	if url := g.Addrs()[0]; strings.Contains(url, "?") {
		t.Errorf("clients are to connect to %s", url)
	}
	for _, c := range []struct {
		listener int
		offers   []string
		want     string // as the worker sees it; up to the space as in the response
	}{
		{0, []string{"v1.json", "v2"}, "v2 of v1.json,v2"},
		{1, []string{"token.abc", "v1.json"}, "v1.json of token.abc,v1.json"},
		{0, []string{"v9", "V2"}, " of v9,V2"},
		{0, nil, " of "},
		{2, []string{"v2"}, " of "},
	} {
		ws := openWebSocket(t, g.Addrs()[c.listener], &websocket.DialOptions{Subprotocols: c.offers})
		_, got, err := ws.Read(within(t))
		if err != nil || string(got) != c.want || ws.Subprotocol()+" "+strings.SplitN(c.want, " ", 2)[1] != c.want {
			t.Errorf("listener %d, offered %q: the worker sees %q, the client is notified %q, %v", c.listener, c.offers, got,
				ws.Subprotocol(), err)
		}
	}
}

// A client that is refused because of its path gets the reason, and the log has it, a few times.
func TestTheWrongPathIsLogged(t *testing.T) {
	t.Parallel()
	var log logbook
	g, stop := start(t, gateway.Config{Logger: log.logger(),
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0/chat"}}})
	url, _, _ := strings.Cut(g.Addrs()[0], "/chat")
	for range 30 {
		conn := dial(t, hostport(url))
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, strings.Replace(upgradeHead(""), "/?a=b", "/room", 1))
		if answer, err := readAll(conn); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 404 ") ||
			!strings.HasSuffix(answer, "Not Found: no WebSocket on this path\n") {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	stop()
	lines := 0
	for _, line := range log.lines() {
		if strings.Contains(line, "path=/room") && strings.Contains(line, "listener="+g.Addrs()[0]) {
			lines++
		}
	}
	if lines == 0 || lines > 15 {
		t.Errorf("%d lines for 30 refusals:\n%s", lines, strings.Join(log.lines(), "\n"))
	}
}

func TestTheWorkerSeesTheRequest(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{}))
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20})
	openWebSocket(t, g.Addrs()[0]+"/room/7?as=ann",
		&websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {"session=1"}}, Subprotocols: []string{"chat"}})
	_, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	c := link.Read(f.Payload)
	a := c.Attachment()
	headers := make(http.Header)
	for name, value := range link.RequestHeaders(a.Request) {
		headers.Add(name, value)
	}
	if a.Target != "/room/7?as=ann" || headers.Get("Cookie") != "session=1" ||
		headers.Get("Sec-WebSocket-Protocol") != "chat" || a.Listener != g.Addrs()[0] || c.Bad() {
		t.Errorf("attachment %+v", a)
	}
	for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
		"Sec-WebSocket-Extensions"} {
		if headers.Get(name) != "" {
			t.Errorf("the worker is told of %s, which was for the gateway", name)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	page := http.NewServeMux()
	page.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("X-Sent")+" "+r.Host+" "+r.URL.RawQuery)
		_, _ = io.WriteString(w, "hello")
	})
	page.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oh") })
	page.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "600000")
		_, _ = w.Write(make([]byte, 600_000))
	})
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0/ws", Page: page}, {URL: "ws://127.0.0.1:0"},
	}})
	with, without := "http://"+hostport(g.Addrs()[0]), "http://"+hostport(g.Addrs()[1])
	for _, c := range []struct {
		method, url string
		status      int
		body        string
	}{
		{"GET", with + "/hello?q", 200, "hello"},
		{"HEAD", with + "/hello?q", 200, ""},
		{"GET", with + "/none", 404, "404 page not found\n"},
		{"GET", with + "/panic", 500, ""},
		{"GET", with + "/large", 500, ""},
		{"POST", with + "/hello", 405, ""},
		{"GET", without + "/hello", 426, ""},
		{"HEAD", without + "/", 426, ""},
	} {
		r, err := http.NewRequestWithContext(within(t), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Sent", "yes")
		response, err := new(http.Transport).RoundTrip(r)
		if err != nil {
			t.Errorf("%s %s: %v", c.method, c.url, err)
			continue
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.status || string(body) != c.body && c.status == 200 {
			t.Errorf("%s %s: %d %q", c.method, c.url, response.StatusCode, body)
		}
		if want := "yes " + r.URL.Host + " q"; c.status == 200 && response.Header.Get("X-Seen") != want {
			t.Errorf("the handler saw %q", response.Header.Get("X-Seen"))
		}
		if c.status == 200 && response.ContentLength != 5 {
			t.Errorf("%s: length %d", c.method, response.ContentLength)
		}
	}
	if s := g.Stats(); s.Pages != 5 || s.Opened != 0 {
		t.Errorf("%d pages, %d clients", s.Pages, s.Opened)
	}
}

// Nothing follows a WebSocket's close frame, whichever side has sent it.
func TestNothingFollowsACloseFrame(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{}))
	for sent, told := range map[string]string{
		"\x81\x02hi":             "\x88\x2e\x03\xeaa client masks its frames, a server does not", // 1002
		masked(0x81, "\xff"):     "\x88\x13\x03\xeftext is not UTF-8",                            // 1007
		masked(0x88, "\x03\xe8"): "\x88\x02\x03\xe8",                                             // a close frame
	} {
		conn := dial(t, hostport(g.Addrs()[0]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		hello := codec.AppendUpgrade(nil, "h", "/", codec.NewKey(), &codec.DialOptions{})
		if _, err := conn.Write(append(hello, sent...)); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(conn)
		_, frames, _ := strings.Cut(string(all), "\r\n\r\n")
		if err != nil || frames != told {
			t.Errorf("%q is answered by %q, %v, want %q", sent, frames, err, told)
		}
	}
}
