package gateway_test

import (
	"bufio"
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// attached waits for the attachment of the only client, and returns a frame that names it.
func attached(w *fakeWorker) link.Frame {
	w.t.Helper()
	_, f := w.take("an attachment", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
	return link.Frame{Slot: f.Slot, Token: f.Token}
}

// detached waits for the client's end and returns the reason.
func detached(w *fakeWorker) link.Reason {
	w.t.Helper()
	_, f := w.take("a detachment", func(_ int, f *link.Frame) bool { return f.Type == link.Detach })
	return link.Reason(f.Code)
}

var oneWorker = link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20, ID: [16]byte{1}}

func TestClientsAndWorkersReceiveTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lis    gateway.ListenerConfig
		do     func(w *fakeWorker, ws *websocket.Conn, client link.Frame, stop func())
		code   websocket.StatusCode
		reason link.Reason
	}{
		{name: "kick", code: 1000, reason: link.ReasonKicked,
			do: func(w *fakeWorker, _ *websocket.Conn, f link.Frame, _ func()) {
				f.Type = link.Kick
				w.links[0].write(&f)
			}},
		{name: "idle", code: 4003, reason: link.ReasonIdle,
			lis: gateway.ListenerConfig{Heartbeat: 100 * time.Millisecond, MaxMissedPings: 1}},
		{name: "too big", code: 1009, reason: link.ReasonTooBig, lis: gateway.ListenerConfig{MaxMessage: 10},
			do: func(w *fakeWorker, ws *websocket.Conn, _ link.Frame, _ func()) {
				_ = ws.Write(within(w.t), websocket.MessageText, []byte("more than ten bytes"))
			}},
		{name: "draining", code: 1012, reason: link.ReasonDraining,
			do: func(_ *fakeWorker, _ *websocket.Conn, _ link.Frame, stop func()) {
				go stop()
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, stop := start(t, ws(c.lis))
			w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
			// The client does not answer pings until it reads.
			ws := openWebSocket(t, g.Addrs()[0], nil)
			f := attached(w)
			if c.do != nil {
				c.do(w, ws, f, stop)
			}
			if got := detachedWhile(w, ws, c.code); got != c.reason {
				t.Errorf("the worker receives %v", got)
			}
		})
	}
}

// detachedWhile reads the client's end, after the worker's DETACH if the client must not read
// before. It returns the worker's reason.
func detachedWhile(w *fakeWorker, ws *websocket.Conn, code websocket.StatusCode) link.Reason {
	w.t.Helper()
	var reason link.Reason
	if code == 4003 {
		reason = detached(w)
	}
	if _, _, err := ws.Read(within(w.t)); websocket.CloseStatus(err) != code {
		w.t.Errorf("the client receives %v, want %d", err, code)
	}
	if reason == 0 {
		reason = detached(w)
	}
	return reason
}

func TestAClientThatAnswersPingsStays(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{Heartbeat: 100 * time.Millisecond, MaxMissedPings: 1}))
	pings := make(chan struct{}, 100)
	ws := openWebSocket(t, g.Addrs()[0], &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
		pings <- struct{}{}
		return true
	}})
	ctx := ws.CloseRead(within(t))
	for range 5 {
		select {
		case <-pings:
		case <-ctx.Done():
			t.Fatal("closed although it answers")
		}
	}
	if g.Stats().Clients != 1 {
		t.Error("the client is gone")
	}
}

func TestASilentTextClientIsPingedThenClosed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		lis  gateway.ListenerConfig
		want []string
	}{
		{"ping", gateway.ListenerConfig{Ping: `{"type":"ping"}`, Heartbeat: 100 * time.Millisecond, MaxMissedPings: 2},
			[]string{`{"type":"ping"}`, `{"type":"ping"}`, closedFor("idle")}},
		{"timed only", gateway.ListenerConfig{Heartbeat: 100 * time.Millisecond, MaxMissedPings: 1},
			[]string{closedFor("idle")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.lis.URL = "text://127.0.0.1:0"
			g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{c.lis}})
			w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
			conn := dial(t, hostport(g.Addrs()[0]))
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			var received []string
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				received = append(received, lines.Text())
			}
			if lines.Err() != nil || !slices.Equal(received, c.want) {
				t.Errorf("received %q, then %v", received, lines.Err())
			}
			_ = conn.Close()
			if got := detached(w); got != link.ReasonIdle {
				t.Errorf("the worker receives %v", got)
			}
		})
	}
}

// A client that is not read because its worker is slow is not idle.
func TestAPausedClientIsNotIdle(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{Heartbeat: 100 * time.Millisecond, MaxMissedPings: 1})
	cfg.MaxUnacked = 10
	g, _ := start(t, cfg)
	dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	dialClient(t, g.Addrs()[0]).say("more than ten bytes")
	wait(t, "the pause", func() bool { return g.Stats().ReadPauses == 1 })
	for range 2 { // clients that become idle show that the time has passed
		if got := dialClient(t, g.Addrs()[0]).receive(); got != closedFor("idle") {
			t.Errorf("receives %q", got)
		}
	}
	wait(t, "the paused one alone", func() bool { return g.Stats().Clients == 1 })
}

func TestNoHeartbeat(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "text://127.0.0.1:0", Heartbeat: -1, Ping: "ping"},
	}})
	conn := dial(t, hostport(g.Addrs()[0]))
	_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); ended(err) || err == nil {
		t.Errorf("the client receives something: %v", err)
	}
}

func TestAHandshakeThatTakesTooLongIsCut(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{HandshakeTimeout: 100 * time.Millisecond}))
	for _, said := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n"} {
		conn := dial(t, hostport(g.Addrs()[0]))
		if _, err := conn.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 100)); n > 0 || !ended(err) {
			t.Errorf("after %q: %d bytes, %v", said, n, err)
		}
	}
}

func TestBrokenHandshakes(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{}))
	const (
		get     = "GET / HTTP/1.1\r\nHost: x\r\n"
		upgrade = get + "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		key     = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
	)
	for request, status := range map[string]string{
		"hello\r\n\r\n": "400",
		"PROXY TCP4 203.0.113.7 203.0.113.8 4711 80\r\n" + get + "\r\n": "400",
		// PROXY, version 2
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xcb\x00\x71\x08\x12\x67\x00\x50" + get + "\r\n": "400",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":                                                          "400", // TLS
		get + "X: " + strings.Repeat("x", 20_000) + "\r\n\r\n":                                                  "431",
		upgrade + "Sec-WebSocket-Version: 13\r\n\r\n":                                                           "400",
		upgrade + "Sec-WebSocket-Version: 8\r\n" + key + "\r\n\r\n":                                             "426",
	} {
		conn := dial(t, hostport(g.Addrs()[0]))
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		answer, err := readAll(conn)
		if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 "+status) {
			t.Errorf("%.60q is answered %.60q, %v", request, answer, err)
		}
	}
	wait(t, "refusals", func() bool { return g.Stats().HandshakesRejected == 7 })
}

func readAll(conn net.Conn) (string, error) {
	var b strings.Builder
	_, err := bufio.NewReader(conn).WriteTo(&b)
	return b.String(), err
}
