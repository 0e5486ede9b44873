package gateway_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// The gateway keeps the target and the configured fields of a request. OnUpgrade sees all fields.
func TestKeptHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		keep []string
		want string // those of X-Key, Cookie, X-Padding and Connection that the worker sees
	}{
		{nil, "Cookie"},
		{[]string{}, ""},
		{[]string{"x-key"}, "X-Key"},
		{append(gateway.KeptHeaders(), "X-KEY"), "X-Key Cookie"},
		{[]string{"*"}, "X-Key Cookie X-Padding"},
	} {
		seen := make(chan string, 1)
		g, _ := start(t, ws(gateway.ListenerConfig{KeepHeaders: c.keep, MaxRequest: 16 << 10,
			OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
				seen <- r.Header.Get("X-Padding")
				return gateway.Identity{}, nil
			}}))
		w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
		padding := strings.Repeat("x", 10_000)
		conn := dial(t, hostport(g.Addrs()[0]))
		_, _ = io.WriteString(conn, upgradeHead("X-Key: k\r\nCookie: c=d\r\nX-Padding: "+padding+"\r\n"))
		if got := <-seen; got != padding {
			t.Errorf("OnUpgrade sees %d bytes of %d", len(got), len(padding))
		}
		_, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		p := link.Read(f.Payload)
		a := p.Attachment()
		var got []string
		for name, value := range link.RequestHeaders(a.Request) {
			if strings.Contains("X-Key Cookie X-Padding Connection", name) && value != "" {
				got = append(got, name)
			}
		}
		if a.Target != "/?a=b" || strings.Join(got, " ") != c.want {
			t.Errorf("keeping %q the worker sees %s and %q, want %q", c.keep, a.Target, got, c.want)
		}
	}
}

func upgradeHead(headers string) string {
	return "GET /?a=b HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + headers + "\r\n"
}

// Beyond MaxRequest the WebSocket is refused, counted and logged. Fields that are not kept do not
// count. Many small fields do.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	var log logbook
	cfg := ws(gateway.ListenerConfig{MaxRequest: 1000})
	cfg.Logger = log.logger()
	g, stop := start(t, cfg)
	kept := len(link.AppendRequest(nil, "/?a=b", []link.Header{{Name: "Host", Value: "localhost"}, {Name: "Cookie"}}))
	refused := uint64(0)
	for _, c := range []struct{ head, status string }{
		{upgradeHead("Cookie: " + strings.Repeat("x", 1000-kept) + "\r\n"), "101"},
		{upgradeHead("Cookie: " + strings.Repeat("x", 1001-kept) + "\r\n"), "431"},
		{upgradeHead("X-Padding: " + strings.Repeat("x", 15_000) + "\r\n"), "101"},
		{upgradeHead(strings.Repeat("cookie:\r\n", 200)), "431"},
		{strings.Replace(upgradeHead(""), "a=b", strings.Repeat("x", 1000), 1), "431"},
	} {
		if got := ask(t, g.Addrs()[0], c.head); got != c.status {
			t.Errorf("%.60q is answered %s, want %s", c.head, got, c.status)
		}
		if c.status == "431" {
			refused++
		}
	}
	wait(t, "counted", func() bool {
		s := g.Stats()
		return s.RequestsTooLarge == refused && s.HandshakesRejected == refused
	})
	stop()
	told := strings.Join(log.lines(), "\n")
	for _, want := range []string{"bytes=1001 max=1000", "--max-request", "requests-too-large=3"} {
		if !strings.Contains(told, want) {
			t.Errorf("the log lacks %s:\n%s", want, told)
		}
	}
}

// However large a request's head is and however it is split, gateway and worker hold no more of it
// than MaxRequest. The test is not parallel, because it measures memory.
func TestRequestsTakeNoMoreMemoryThanIsKept(t *testing.T) {
	for _, c := range []struct {
		name, headers string
		most          int // bytes per client, gateway and worker together
	}{
		{"small", "Cookie: session=0123456789abcdef\r\n", 6 << 10},
		{"not kept", "X-Padding: " + strings.Repeat("x", 15_900) + "\r\n", 6 << 10},
		{"not kept, in small pieces", strings.Repeat("a:\r\n", 3900), 6 << 10},
		{"kept, in small pieces", strings.Repeat("cookie:\r\n", 800), 6<<10 + 2*8<<10},
	} {
		g, stop := start(t, ws(gateway.ListenerConfig{}))
		w := runWorker(t, g, echo)
		before := heap()
		const clients = 300
		head := []byte(upgradeHead(c.headers))
		var conns []net.Conn
		for range clients {
			conn := dial(t, hostport(g.Addrs()[0]))
			conns = append(conns, conn)
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := conn.Write(head); err != nil {
				t.Fatal(err)
			}
			var answer [12]byte
			if _, err := io.ReadFull(conn, answer[:]); err != nil || string(answer[9:]) != "101" {
				t.Fatalf("%s: %s, %v", c.name, answer, err)
			}
		}
		wait(t, "the worker has them", func() bool { return w.Stats().Clients == clients })
		each := (heap() - before) / clients
		t.Logf("%s: a head of %d bytes, %d bytes a client", c.name, len(head), each)
		if each > c.most {
			t.Errorf("%s: %d bytes a client, want at most %d", c.name, each, c.most)
		}
		for _, conn := range conns {
			_ = conn.Close() // so that the drain need not wait
		}
		stop()
	}
}

// heap is the live heap, in bytes.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools released in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// The gateway answers probes itself. They do not count as rejected and are not logged.
func TestProbes(t *testing.T) {
	t.Parallel()
	var log logbook
	g, stop := start(t, gateway.Config{Logger: log.logger(), Listeners: []gateway.ListenerConfig{
		{URL: "ws://127.0.0.1:0"},
		{URL: "ws://127.0.0.1:0/ws", Page: http.NotFoundHandler(), Hosts: []string{"chat.example"}},
		{URL: "ws://127.0.0.1:0/healthz"},
	}})
	probes := uint64(0)
	for i, url := range g.Addrs() {
		url, _, _ := strings.Cut(url, "/ws")
		for _, path := range []string{"/healthz", "/readyz", "/livez", "/healthz?verbose"} {
			want := "200"
			if i == 2 && strings.HasPrefix(path, "/healthz") {
				want = "426" // it is the listener's own
			} else {
				probes += 3
			}
			for _, head := range []string{
				"GET " + path + " HTTP/1.1\r\nHost: 10.1.2.3:7272\r\nUser-Agent: kube-probe/1.34\r\n\r\n",
				"HEAD " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", "GET " + path + " HTTP/1.0\r\n\r\n",
			} {
				if got := ask(t, url, head); got != want {
					t.Errorf("listener %d: %q is answered %s, want %s", i, head, got, want)
				}
			}
		}
	}
	if got := ask(t, g.Addrs()[0], strings.Replace(upgradeHead(""), "/?a=b", "/healthz", 1)); got != "101" {
		t.Errorf("an upgrade on such a path is answered %s", got)
	}
	wait(t, "counted", func() bool {
		s := g.Stats()
		return s.Probes == probes && s.Pages == 0 && s.HandshakesRejected == 6 && s.Opened == 1
	})

	stop()
	for _, line := range log.lines() {
		if strings.Contains(line, "probe") || strings.Contains(line, "livez") || strings.Contains(line, "10.1.2.3") {
			t.Errorf("a probe is logged: %s", line)
		}
	}
}

// A gateway that closes down answers a probe on an existing connection accordingly.
func TestProbesOfAGatewayThatClosesDown(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{DrainTimeout: patience, QueueTimeout: time.Minute,
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0"}, {URL: "text://127.0.0.1:0"}}})
	c := dialClient(t, g.Addrs()[1])
	c.say("with no worker there this is held, and the drain waits for it")
	asked := map[string]string{"/healthz": "503", "/readyz": "503", "/livez": "200"}
	probes := make(map[string]net.Conn)
	for path := range asked {
		probes[path] = dial(t, hostport(g.Addrs()[0]))
	}
	wait(t, "all are in", func() bool { s := g.Stats(); return s.Accepted == 4 && s.QueuedTotal == 1 })
	go stop()
	wait(t, "the drain", func() bool { return g.Draining() })
	for path, conn := range probes {
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		if answer, err := readAll(conn); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 "+asked[path]) {
			t.Errorf("%s is answered %.20q, %v", path, answer, err)
		}
	}
	runWorker(t, g, echo) // handles the message, and the drain ends
	stop()
}
