package gateway_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// secured is a gateway with TLS, whose certificate is of 127.0.0.1.
type secured struct {
	*gateway.Gateway
	authority *certstest.Authority
	stop      func()
}

// startSecured starts a gateway and a worker that echoes.
func startSecured(t *testing.T, cfg gateway.Config) *secured {
	t.Helper()
	return startSecuredWith(t, cfg, echo)
}

// startSecuredWith is startSecured with a handler.
func startSecuredWith(t *testing.T, cfg gateway.Config, h worker.Handler) *secured {
	t.Helper()
	s := &secured{authority: certstest.New(t)}
	server := &tls.Config{
		Certificates: []tls.Certificate{s.authority.Pair(t, "127.0.0.1")}, NextProtos: []string{"http/1.1"},
	}
	for i := range cfg.Listeners {
		cfg.Listeners[i].TLS = server
	}
	s.Gateway, s.stop = start(t, cfg)
	runWorker(t, s.Gateway, h)
	return s
}

// client is the configuration of a client that trusts the gateway's certificate.
func (s *secured) client() *tls.Config {
	return &tls.Config{RootCAs: s.authority.Pool(), ServerName: "127.0.0.1"}
}

// dial connects a client to a listener over TLS.
func (s *secured) dial(t *testing.T, url string) (*fakeClient, *tls.Conn) {
	t.Helper()
	conn := tls.Client(dial(t, hostport(url)), s.client())
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return newClient(t, url, conn), conn
}

// Each protocol works over TLS as without it: messages of all sizes, and the end.
func TestTLSListeners(t *testing.T) {
	t.Parallel()
	s := startSecured(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "wss://127.0.0.1:0", Compress: true}, {URL: "tls+text://127.0.0.1:0"},
		{URL: "tls+jsonl://127.0.0.1:0"},
		{URL: "tls+frame://127.0.0.1:0"},
	}})
	clients := make([]*fakeClient, 0, 4)
	for _, url := range s.Addrs() {
		c, _ := s.dial(t, url)
		for _, n := range []int{1, 100, 20_000, 1_000_000} {
			text := `"` + strings.Repeat("x", n) + `"`
			c.say(text)
			if got := c.receive(); got != text {
				t.Errorf("%s: %d bytes came of %d", url, len(got), len(text))
			}
		}
		clients = append(clients, c)
	}
	if stats := s.Stats(); stats.TLSConns != 4 || stats.Clients != 4 || stats.Listeners[0].TLS.Completed != 1 {
		t.Errorf("%d connections with TLS, %d clients, %+v", stats.TLSConns, stats.Clients, stats.Listeners[0])
	}
	s.stop()
	for i, c := range clients {
		if got := c.receive(); !strings.Contains(got, "draining") && !strings.Contains(got, "1012") {
			t.Errorf("%s: %q at the end", s.Addrs()[i], got)
		}
	}
	if stats := s.Stats(); stats.TLSConns != 0 || stats.TLSErrors != 0 {
		t.Errorf("%d connections with TLS, %d errors at the end", stats.TLSConns, stats.TLSErrors)
	}
}

// Pages and OnUpgrade know that the request came over TLS, and browsers' origins match.
func TestTLSRequests(t *testing.T) {
	t.Parallel()
	upgraded := make(chan *http.Request, 1)
	s := startSecured(t, gateway.Config{Listeners: []gateway.ListenerConfig{{
		URL: "wss://127.0.0.1:0/chat",
		Page: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || r.TLS.NegotiatedProtocol != "http/1.1" {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(w, "the page")
		}),
		OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
			upgraded <- r
			return gateway.Identity{}, nil
		},
	}}})
	addr := hostport(s.Addrs()[0])
	transport := &http.Transport{TLSClientConfig: s.client(), ForceAttemptHTTP2: true}
	browser := &http.Client{Transport: transport}
	response, err := browser.Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || string(text) != "the page" || err != nil {
		t.Errorf("%s, %q, %v", response.Status, text, err)
	}
	conn := openWebSocket(t, "wss://"+addr+"/chat", &websocket.DialOptions{
		HTTPClient: browser, HTTPHeader: http.Header{"Origin": {"https://" + addr}},
	})
	if r := <-upgraded; r.TLS == nil || r.TLS.ServerName != "" && r.TLS.ServerName != "127.0.0.1" {
		t.Errorf("OnUpgrade received %+v", r.TLS)
	}
	if err := conn.Write(within(t), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(within(t)); string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	transport.CloseIdleConnections()
}

// A client that closes its side gets its answers, with close_notify or without.
func TestTLSHalfClosedClients(t *testing.T) {
	t.Parallel()
	half := make(chan struct{}) // a value for each message, when its client has closed its side
	defer close(half)
	s := startSecuredWith(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "tls+text://127.0.0.1:0"}}},
		onMessage(func(c worker.Call, m worker.Message) { <-half; c.Send(m) }))
	closed := uint64(0)
	for name, end := range map[string]func(*tls.Conn) error{
		"close_notify": (*tls.Conn).CloseWrite,
		"FIN":          func(c *tls.Conn) error { return c.NetConn().(*net.TCPConn).CloseWrite() },
	} {
		conn := tls.Client(dial(t, hostport(s.Addrs()[0])), s.client())
		_, _ = io.WriteString(conn, "one\ntwo\n")
		if err := end(conn); err != nil {
			t.Fatal(err)
		}
		closed++
		wait(t, name+" is noticed", func() bool { return s.Stats().HalfClosed == closed })
		half <- struct{}{}
		half <- struct{}{}
		if got, err := io.ReadAll(conn); string(got) != "one\ntwo\n" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// tap is a connection whose writes a test keeps.
type tap struct {
	net.Conn
	kept []byte
	keep bool
}

func (c *tap) Write(p []byte) (int, error) {
	if c.keep {
		c.kept = append(c.kept, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// What is held of a TLS record counts as an incomplete message: it has a deadline and a bound.
func TestTLSIncompleteRecords(t *testing.T) {
	t.Parallel()
	s := startSecured(t, gateway.Config{MaxPartialBytes: 20_000, Listeners: []gateway.ListenerConfig{
		{URL: "tls+text://127.0.0.1:0", MessageTimeout: time.Second}, {URL: "tls+text://127.0.0.1:0"},
	}})
	begin := func(url string, n int) net.Conn {
		raw := &tap{Conn: dial(t, hostport(url))}
		c := s.client()
		c.DynamicRecordSizingDisabled = true // one record
		conn := tls.Client(raw, c)
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		raw.keep = true
		_, _ = conn.Write([]byte(strings.Repeat("x", 16000) + "\n"))
		if _, err := raw.Conn.Write(raw.kept[:n]); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	slow := begin(s.Addrs()[0], 500)
	wait(t, "the record counts", func() bool { return s.Stats().PartialBytes == 500 })
	_, _ = io.Copy(io.Discard, slow) // until it is closed
	wait(t, "the deadline has passed", func() bool {
		stats := s.Stats()
		return stats.MessageTimeouts == 1 && stats.PartialBytes == 0
	})
	for range 3 {
		begin(s.Addrs()[1], 9_000)
	}
	wait(t, "the one that holds most is closed", func() bool {
		stats := s.Stats()
		return stats.PartialEvictions == 2 && stats.PartialBytes == 9_000 ||
			stats.PartialEvictions == 1 && stats.PartialBytes == 18_000
	})
}

// A client that does not read is closed as without TLS.
func TestTLSSlowClients(t *testing.T) {
	t.Parallel()
	s := startSecured(t, gateway.Config{Listeners: []gateway.ListenerConfig{
		{URL: "tls+text://127.0.0.1:0", MaxOutput: 100_000, MaxMessage: 1 << 20},
	}})
	conn := tls.Client(dial(t, hostport(s.Addrs()[0])), s.client())
	go func() {
		line := []byte(strings.Repeat("x", 100_000) + "\n")
		for {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	}()
	wait(t, "it is closed", func() bool { return s.Stats().SlowConsumerCloses == 1 })
	wait(t, "it is gone", func() bool { stats := s.Stats(); return stats.TLSConns == 0 && stats.BufferedBytes == 0 })
	_ = conn.NetConn().Close()
}

// mutual returns the configurations of links for peers whose certificates the authority signs.
func mutual(t *testing.T, a *certstest.Authority) (server, client *tls.Config) {
	t.Helper()
	own := []tls.Certificate{a.Pair(t, "127.0.0.1")}
	return &tls.Config{Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool()},
		&tls.Config{Certificates: own, RootCAs: a.Pool()}
}

// Links have TLS between workers and gateways, and between gateways. Peers without a certificate,
// or without TLS, are refused, with the key or without.
func TestTLSLinks(t *testing.T) {
	t.Parallel()
	a, key := certstest.New(t), []byte("the key of the links")
	server, client := mutual(t, a)
	var gateways []*gateway.Gateway
	var addrs []string
	var log logbook
	for range 2 {
		g, _ := start(t, gateway.Config{
			Key: key, LinkTLS: &gateway.LinkTLS{Server: server, Client: client}, Logger: log.logger(),
			Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		})
		gateways, addrs = append(gateways, g), append(addrs, g.WorkerAddr())
	}
	// The second client's messages go to all clients, also to those of the other gateway.
	all := onMessage(func(c worker.Call, m worker.Message) { c.Publish(worker.Everyone(), m) })
	runWorkerWith(t, worker.Config{Gateways: addrs, Key: key, TLS: client}, all)
	one, two := dialClient(t, gateways[0].Addrs()[0]), dialClient(t, gateways[1].Addrs()[0])
	two.say("to all")
	for _, c := range []*fakeClient{one, two} {
		if got := c.receive(); got != "to all" {
			t.Errorf("received %q", got)
		}
	}
	large := strings.Repeat("x", 900_000)
	two.say(large)
	if got := one.receive(); got != large {
		t.Errorf("received %d bytes", len(got))
	}
	if stats := gateways[0].Stats(); stats.TLSConns == 0 || stats.TLSErrors != 0 {
		t.Errorf("%d connections with TLS, %d errors", stats.TLSConns, stats.TLSErrors)
	}

	stranger := certstest.New(t)
	for name, c := range map[string]*tls.Config{
		"no certificate": {RootCAs: a.Pool(), ServerName: "127.0.0.1"},
		"another authority": {RootCAs: a.Pool(), ServerName: "127.0.0.1",
			Certificates: []tls.Certificate{stranger.Pair(t, "x")}},
	} {
		before := gateways[0].Stats().WorkerAuthFailures
		if _, err := link.Connect(tls.Client(dial(t, addrs[0]), c), key, oneWorker); err == nil {
			t.Errorf("%s: accepted", name)
		}
		wait(t, name+" is counted", func() bool { return gateways[0].Stats().WorkerAuthFailures > before })
	}
	if _, err := link.Connect(dial(t, addrs[0]), key, oneWorker); err == nil {
		t.Error("a peer without TLS was accepted")
	}
	wrongKey := &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1", Certificates: client.Certificates}
	conn := tls.Client(dial(t, addrs[0]), wrongKey)
	if _, err := link.Connect(conn, []byte("a key of others, long"), oneWorker); err == nil {
		t.Error("a peer with a certificate and another key was accepted")
	}
}

// A gateway takes the worker port over from one that drains, over TLS too.
func TestTLSSuccessor(t *testing.T) {
	t.Parallel()
	a, key := certstest.New(t), []byte("the key of the links")
	server, client := mutual(t, a)
	cfg := gateway.Config{
		Key: key, LinkTLS: &gateway.LinkTLS{Server: server, Client: client}, DrainTimeout: 20 * time.Second,
		Logger:    slog.New(slog.DiscardHandler),
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	}
	old, stop := start(t, cfg)
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	runWorkerWith(t, worker.Config{Gateways: []string{old.WorkerAddr()}, Key: key, TLS: client}, onMessage(
		func(c worker.Call, m worker.Message) {
			if string(m.Data) == "hold" {
				<-release
			}
			c.Send(m)
		}))
	held := dialClient(t, old.Addrs()[0])
	held.say("hold")
	wait(t, "the message is taken", func() bool { return old.Stats().MessagesIn == 1 })
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	wait(t, "the drain", old.Draining)
	cfg.WorkerAddr = old.WorkerAddr()
	var next *gateway.Gateway
	wait(t, "the successor listens", func() bool {
		g, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = g.Run(ctx) }()
		select {
		case <-g.Ready():
			next = g
			t.Cleanup(func() { cancel(); <-done })
			return true
		case <-done:
			cancel()
			return false
		}
	})
	c := dialClient(t, next.Addrs()[0])
	c.say("next")
	if got := c.receive(); got != "next" {
		t.Errorf("the successor's client received %q", got)
	}
	let()
	if got := held.receive(); got != "hold" {
		t.Errorf("the client of the old gateway received %q", got)
	}
	<-stopped
}
