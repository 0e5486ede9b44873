package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// whereAmI answers each message with the address of its client.
var whereAmI = onMessage(func(c worker.Call, _ worker.Message) { c.Send(worker.Text(c.RemoteAddr().String())) })

const (
	proxyV1 = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n"
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x12\x67\x00\x50"
	local   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	unknown = "PROXY UNKNOWN\r\n"
)

// behindProxy is a connection by a proxy that sends the header first.
func behindProxy(t *testing.T, url, header string) *fakeClient {
	t.Helper()
	c := &fakeClient{t: t, conn: dial(t, hostport(url)), received: make(chan string, 16)}
	c.write([]byte(header))
	var in []byte
	if c.codec = plainCodec(url); c.codec == nil {
		in = c.upgrade(hostport(url), "/")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read(in)
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-done
	})
	return c
}

// A worker sees the address that a trusted proxy names, in any version of the PROXY protocol and
// for any format.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{false, true} {
		g, _ := start(t, everyProtocol(gateway.ListenerConfig{TrustProxies: []string{"127.0.0.0/8"}, RequireProxy: required}))
		runWorker(t, g, onMessage(func(c worker.Call, _ worker.Message) {
			c.Send(worker.Text(strconv.Quote(c.RemoteAddr().String()))) // a JSON document
		}))
		for scheme, url := range listeners(g) {
			if scheme == "json" {
				continue // fakeClient has no codec for it; the header is read before the codec
			}
			for _, header := range []string{proxyV1, proxyV2, unknown, local, ""} {
				if header == "" && required {
					continue
				}
				c := behindProxy(t, url, header)
				want := "203.0.113.9:4711"
				if header != proxyV1 && header != proxyV2 {
					want = c.conn.LocalAddr().String()
				}
				c.say(`"where am I?"`)
				if got := c.receive(); got != strconv.Quote(want) {
					t.Errorf("%s, %q: %q, want %q", scheme, header, got, want)
				}
			}
		}
	}
}

// A PROXY header of a peer that is not trusted has no effect, and is counted and logged.
func TestProxyProtocolOfStranger(t *testing.T) {
	t.Parallel()
	var log logbook
	cfg := everyProtocol(gateway.ListenerConfig{TrustProxies: []string{"192.0.2.1"}})
	cfg.Logger = log.logger()
	g, _ := start(t, cfg)
	runWorker(t, g, whereAmI)
	for _, scheme := range []string{"ws", "text", "frame"} {
		for _, header := range []string{proxyV1, proxyV2} {
			c := behindProxy(t, listeners(g)[scheme], header)
			c.say("where am I?")
			if got := c.receive(); got != c.conn.LocalAddr().String() {
				t.Errorf("%s, %q: %q", scheme, header, got)
			}
		}
	}
	for _, l := range g.Stats().Listeners[:2] {
		if l.ProxyHeadersIgnored != 2 || l.ProxyHeaders+l.ProxyHeadersInvalid > 0 {
			t.Errorf("%+v", l)
		}
	}
	if !strings.Contains(strings.Join(log.lines(), "\n"), "PROXY header ignored: not a trusted proxy") {
		t.Errorf("the log: %s", strings.Join(log.lines(), "\n"))
	}
}

// A trusted proxy with an invalid header, and a peer without the header that is required, are
// closed, counted and logged.
func TestProxyProtocolRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lis    gateway.ListenerConfig
		in     string
		count  func(gateway.ListenerStats) uint64
		logged string
	}{
		"invalid": {gateway.ListenerConfig{TrustProxies: []string{"127.0.0.1"}}, "PROXY TCP4 a b c d\r\n",
			func(s gateway.ListenerStats) uint64 { return s.ProxyHeadersInvalid }, "invalid PROXY header"},
		"missing": {gateway.ListenerConfig{URL: "?proxy=required", TrustProxies: []string{"127.0.0.1"}}, "hello\n",
			func(s gateway.ListenerStats) uint64 { return s.ProxyHeadersInvalid }, "invalid or missing proxy header"},
		"late": {gateway.ListenerConfig{URL: "?proxy=required", TrustProxies: []string{"127.0.0.1"},
			HandshakeTimeout: 10 * time.Millisecond}, "PROXY ",
			func(s gateway.ListenerStats) uint64 { return s.ProxyHeadersInvalid }, "invalid or missing proxy header"},
		"direct": {gateway.ListenerConfig{URL: "?proxy=required", TrustProxies: []string{"192.0.2.1"}}, proxyV1,
			func(s gateway.ListenerStats) uint64 { return s.ProxiesUntrusted }, "not a trusted proxy"},
	} {
		var log logbook
		c.lis.URL = "text://127.0.0.1:0" + c.lis.URL
		g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{c.lis}, Logger: log.logger()})
		conn := dial(t, hostport(g.Addrs()[0]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, c.in)
		if n, err := conn.Read(make([]byte, 1)); n > 0 || !ended(err) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if s := g.Stats(); c.count(s.Listeners[0]) != 1 || s.Accepted != 0 {
			t.Errorf("%s: %+v", name, s.Listeners[0])
		}
		if !strings.Contains(strings.Join(log.lines(), "\n"), c.logged) {
			t.Errorf("%s: the log: %s", name, strings.Join(log.lines(), "\n"))
		}
	}
}

// The address in a request of a trusted proxy counts for OnUpgrade, pages and workers. That of
// another peer does not, also where the proxy itself is named by a PROXY header.
func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	upgraded, paged := make(chan string, 1), make(chan string, 1)
	g, _ := start(t, ws(gateway.ListenerConfig{
		TrustProxies: []string{"127.0.0.1", "10.0.0.0/8"},
		OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
			upgraded <- r.RemoteAddr
			return gateway.Identity{}, nil
		},
		Page: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paged <- r.RemoteAddr }),
	}))
	runWorker(t, g, whereAmI)
	for _, c := range []struct{ header, fields, want string }{
		{"", "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n", "203.0.113.9:0"},
		{"", "Forwarded: for=\"[2001:db8::7]:80\"\r\n", "[2001:db8::7]:80"},
		{"", "X-Real-IP: 203.0.113.9\r\n", "203.0.113.9:0"},
		{proxyV1, "", "203.0.113.9:4711"},
		{proxyV1, "X-Forwarded-For: 198.51.100.1\r\n", "203.0.113.9:4711"}, // a client's own
		{"PROXY TCP4 10.1.2.3 127.0.0.1 4711 80\r\n", "X-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9:0"},
	} {
		conn := dial(t, hostport(g.Addrs()[0]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, c.header+upgradeHead(c.fields))
		if status, _ := answerOf(t, conn); status != "101" {
			t.Fatalf("%+v: status %s", c, status)
		}
		if got := <-upgraded; got != c.want {
			t.Errorf("%+v: OnUpgrade sees %q", c, got)
		}
		_, _ = io.WriteString(conn, masked(0x81, "x"))
		b := make([]byte, 2+len(c.want))
		if _, err := io.ReadFull(conn, b); err != nil || string(b[2:]) != c.want {
			t.Errorf("%+v: the worker sees %q, %v", c, b, err)
		}
		conn = dial(t, hostport(g.Addrs()[0]))
		_, _ = io.WriteString(conn, c.header+"GET / HTTP/1.1\r\nHost: localhost\r\n"+c.fields+"\r\n")
		if got := <-paged; got != c.want {
			t.Errorf("%+v: a page sees %q", c, got)
		}
	}
	if n := g.Stats().ForwardedIgnored; n != 2 {
		t.Errorf("%d requests had an address of an untrusted peer, want 2", n)
	}
}

// What a client says of its address is ignored and counted where it is no trusted proxy.
func TestForgedAddress(t *testing.T) {
	t.Parallel()
	for _, trusted := range [][]string{nil, {"192.0.2.1"}} {
		g, _ := start(t, ws(gateway.ListenerConfig{TrustProxies: trusted}))
		runWorker(t, g, whereAmI)
		for i, field := range []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9",
			"X-Real-IP: 203.0.113.9"} {
			conn := dial(t, hostport(g.Addrs()[0]))
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, upgradeHead(field+"\r\n"))
			_, _ = answerOf(t, conn)
			_, _ = io.WriteString(conn, masked(0x81, "x"))
			b := make([]byte, 2+len(conn.LocalAddr().String()))
			if _, err := io.ReadFull(conn, b); err != nil || string(b[2:]) != conn.LocalAddr().String() {
				t.Errorf("%s: %q, %v", field, b, err)
			}
			if n := g.Stats().ForwardedIgnored; n != uint64(i+1) {
				t.Errorf("%s: counted %d times", field, n)
			}
		}
	}
}

// Limits per address are about the client, whichever way its address comes. A client that they
// refuse after its request gets status 429, and the access log has its address.
func TestLimitsBehindProxy(t *testing.T) {
	t.Parallel()
	var log lineLog
	cfg := ws(gateway.ListenerConfig{TrustProxies: []string{"127.0.0.1"}, MaxPerIP: 2})
	cfg.AccessLog = slog.New(slog.NewTextHandler(&log, nil))
	g, _ := start(t, cfg)
	ask := func(header, field string) (net.Conn, string) {
		conn := dial(t, hostport(g.Addrs()[0]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, header+upgradeHead(field))
		b := make([]byte, 13)
		n, _ := io.ReadFull(conn, b)
		return conn, strings.TrimPrefix(string(b[:n]), "HTTP/1.1 ")
	}
	first, status := ask("", "X-Forwarded-For: 203.0.113.9\r\n")
	if status != "101 " {
		t.Fatal(status)
	}
	if _, status := ask(proxyV1, ""); status != "101 " {
		t.Error(status)
	}
	if _, status := ask("", "X-Forwarded-For: 203.0.113.9\r\n"); status != "429 " {
		t.Error(status)
	}
	if _, status := ask(proxyV2, ""); status != "" {
		t.Error(status)
	}
	for i, want := range []string{"101 ", "101 ", "429 "} { // one network
		if _, status := ask("", fmt.Sprintf("X-Forwarded-For: 2001:db8::%d\r\n", i)); status != want {
			t.Error(i, status)
		}
	}
	for range 5 { // the proxy itself
		if _, status := ask("", ""); status != "101 " {
			t.Error(status)
		}
	}
	wait(t, "the line of the refused client", func() bool {
		return slices.ContainsFunc(log.all(), func(line string) bool {
			return strings.Contains(line, "remote=203.0.113.9:0 ") && strings.Contains(line, "status=429")
		})
	})
	if s := g.Stats(); s.Listeners[0].OverMaxPerIP != 3 || s.HandshakesRejected != 2 {
		t.Errorf("%+v, %d rejected", s.Listeners[0], s.HandshakesRejected)
	}
	_ = first.Close()
	wait(t, "the place is free", func() bool {
		_, status := ask(proxyV1, "")
		return status == "101 "
	})
}

// Trusted proxies may change while the gateway runs, for connections that come from then on.
func TestUpdateTrustProxies(t *testing.T) {
	t.Parallel()
	lis := gateway.ListenerConfig{URL: "text://127.0.0.1:0"}
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{lis}})
	runWorker(t, g, whereAmI)
	for _, c := range []struct {
		trusted []string
		named   bool
	}{{nil, false}, {[]string{"127.0.0.1"}, true}, {[]string{"192.0.2.1"}, false}, {nil, false}} {
		lis.TrustProxies = c.trusted
		if err := g.UpdateListeners([]gateway.ListenerConfig{lis}); err != nil {
			t.Fatal(err)
		}
		client := behindProxy(t, g.Addrs()[0], proxyV1)
		if c.trusted != nil { // otherwise the header is a message, and has an answer
			client.say("where am I?")
		}
		want := client.conn.LocalAddr().String()
		if c.named {
			want = "203.0.113.9:4711"
		}
		if got := client.receive(); got != want {
			t.Errorf("%v: %q, want %q", c.trusted, got, want)
		}
	}
}
