package gateway_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// While it drains, a gateway is not ready. Workers are told of the drain first, then of each
// client's end, and last of the gateway's end.
func TestRunSendsTheDrain(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{Loops: 2,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}, {URL: "ws://127.0.0.1:0"}}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return workerLinks(g) == 2 })
	var clients []*fakeClient
	for i := range 10 {
		clients = append(clients, dialClient(t, g.Addrs()[i%2]))
	}
	dial(t, hostport(g.Addrs()[1])) // never sends anything
	wait(t, "the clients", func() bool { return g.Stats().Clients == 10 })
	if g.Draining() {
		t.Error("it drains, and serves")
	}
	stop()
	if !g.Draining() {
		t.Error("it does not drain, and has closed down")
	}
	for i, c := range clients {
		if got, want := c.receive(), []string{`{"type":"sluice.draining"}`, "close 1012 draining"}[i%2]; got != want {
			t.Errorf("client %d receives %q", i, got)
		}
	}
	detached := 0
	for i, l := range w.links {
		wait(t, "the link's end", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.over
		})
		drained := false
		for j, f := range l.frames {
			switch f.Type {
			case link.Drain:
				drained = true
			case link.Detach:
				detached++
				if !drained || link.Reason(f.Code) != link.ReasonDraining {
					t.Errorf("link %d: a client ends by %v", i, link.Reason(f.Code))
				}
			case link.GoAway:
				if j != len(l.frames)-1 || f.Code != uint16(link.Draining) {
					t.Errorf("link %d: frame %d of %d is GOAWAY %v", i, j, len(l.frames), link.Status(f.Code))
				}
			}
		}
		if last := l.frames[len(l.frames)-1]; last.Type != link.GoAway {
			t.Errorf("link %d ends with %v", i, last.Type)
		}
	}
	if detached != 10 {
		t.Errorf("%d ends of 10", detached)
	}
}

// A client that reads nothing does not delay Run beyond DrainTimeout and the last steps. Its worker
// is told of its end.
func TestRunDoesNotWaitForClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{MaxOutput: 64 << 20})
	cfg.DrainTimeout = 100 * time.Millisecond
	g, stop := start(t, cfg)
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	dial(t, hostport(g.Addrs()[0]))
	f := attached(w)
	f.Type, f.Payload = link.Send, []byte(strings.Repeat("x", 15<<20))
	w.links[0].write(&f, &f, &f) // more than kernels buffer for one connection
	wait(t, "the message", func() bool { return g.Stats().MessagesOut == 3 })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if got := detached(w); got != link.ReasonDraining {
		t.Errorf("the worker receives %v", got)
	}
}

// A client that has not finished its handshake when the drain begins is told so.
func TestNoClientIsAcceptedDuringTheDrain(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{DrainTimeout: patience, Listeners: []gateway.ListenerConfig{
		{URL: "text://127.0.0.1:0", MaxOutput: 64 << 20}, {URL: "ws://127.0.0.1:0"},
	}})
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	stuck := dial(t, hostport(g.Addrs()[0]))                             // reads nothing, and so delays the end
	if err := stuck.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil { // its kernel buffers little too
		t.Fatal(err)
	}
	f := attached(w)
	f.Type, f.Payload = link.Send, []byte(strings.Repeat("x", 15<<20))
	w.links[0].write(&f, &f, &f) // more than kernels buffer for one connection
	late := dial(t, hostport(g.Addrs()[1]))
	request := codec.AppendUpgrade(nil, "x", "/", codec.NewKey(), &codec.DialOptions{})
	_, _ = late.Write(request[:10])
	wait(t, "both", func() bool { s := g.Stats(); return s.Accepted == 2 && s.MessagesOut == 3 })
	go stop()
	w.take("drain", func(_ int, f *link.Frame) bool { return f.Type == link.Drain })
	_, _ = late.Write(request[10:])
	_ = late.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(late); !strings.HasPrefix(string(b), "HTTP/1.1 503") {
		t.Errorf("receives %.30q, %v", b, err)
	}
	_ = stuck.Close()
}

// A client that requests a page, closes its side and waits, gets the page.
func TestAHalfClosedClientHasItsPage(t *testing.T) {
	t.Parallel()
	asked, seen := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(seen) })
	defer let() // also when the test fails
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", Page: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			close(asked)
			<-seen
			_, _ = io.WriteString(w, "hello")
		})}}})
	conn := dial(t, hostport(g.Addrs()[0]))
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.Stats() // a turn of each loop: one of them has noticed the end
	}
	let()
	if b, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(b), "\r\n\r\nhello") {
		t.Errorf("receives %q, %v", b, err)
	}
}

// The context of a page that hangs is canceled.
func TestServeEndsPages(t *testing.T) {
	t.Parallel()
	inside := make(chan struct{})
	g, stop := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0",
		Page: http.HandlerFunc(
			func(_ http.ResponseWriter, r *http.Request) {
				close(inside)
				<-r.Context().Done()
			})}}})
	conn := dial(t, hostport(g.Addrs()[0]))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-inside
	stop()
}

// Beyond the bound pages are refused, and earlier ones are served.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 64
	inside, release := make(chan struct{}, bound), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", Page: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			inside <- struct{}{}
			<-release
			_, _ = io.WriteString(w, "late")
		})}}})
	get := func() io.ReadWriter {
		conn := dial(t, hostport(g.Addrs()[0]))
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return conn
	}
	var waiting []io.ReadWriter
	for range bound {
		waiting = append(waiting, get())
		<-inside
	}
	if b, _ := io.ReadAll(get()); !strings.HasPrefix(string(b), "HTTP/1.1 503") {
		t.Errorf("one more receives %.30q", b)
	}
	let()
	for _, conn := range waiting {
		if b, _ := io.ReadAll(conn); !strings.HasSuffix(string(b), "\r\n\r\nlate") {
			t.Errorf("receives %.30q", b)
		}
	}
	if s := g.Stats(); s.Pages != bound || s.PagesRejected != 1 {
		t.Errorf("%d pages, %d refused", s.Pages, s.PagesRejected)
	}
}

// A Run that fails after it has opened some listeners leaves nothing open. The check at the end of
// the package notices leaks.
func TestRunFailsCleanly(t *testing.T) {
	t.Parallel()
	g, _ := start(t, text(gateway.ListenerConfig{}))
	for _, cfg := range []gateway.Config{
		{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}, {URL: g.Addrs()[0]}}},
		{WorkerAddr: g.WorkerAddr(), Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}},
	} {
		cfg.Logger = slog.New(slog.DiscardHandler)
		g, err := gateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // it must not serve
			select {
			case <-g.Ready():
				cancel()
			case <-ctx.Done():
			}
		}()
		err = g.Run(ctx)
		cancel()
		if bad, ok := errors.AsType[*gateway.ListenError](err); !ok || bad.Field == "" {
			t.Errorf("a port is open twice: %v", err)
		}
		if g.Addrs() != nil || g.WorkerAddr() != "" || g.Stats().Loops != nil {
			t.Errorf("it has addresses: %v, %q", g.Addrs(), g.WorkerAddr())
		}
	}
}

// A gateway that is made and never run has opened nothing: another one can use the same address.
// The check at the end of the package notices goroutines and file descriptors.
func TestNewOpensNothing(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	addr := ln.Addr().String() // in use: opening it would fail
	g, err := gateway.New(gateway.Config{WorkerAddr: addr, Listeners: []gateway.ListenerConfig{{URL: "text://" + addr}}})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-g.Ready():
		t.Error("it is ready, and was not run")
	default:
	}
	if g.Draining() || g.Addrs() != nil || g.WorkerAddr() != "" || g.Stats().Accepted != 0 {
		t.Errorf("before Run: draining %v, %v, %q", g.Draining(), g.Addrs(), g.WorkerAddr())
	}
}

// The figures of a Run can be read after it has returned. A second call returns an error and does
// not hang.
func TestAfterServe(t *testing.T) {
	t.Parallel()
	g, stop := start(t, gateway.Config{Loops: 2, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	runWorker(t, g, echo)
	for range 4 {
		c := dialClient(t, g.Addrs()[0])
		c.say("x")
		if got := c.receive(); got != "x" {
			t.Fatalf("receives %q", got)
		}
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("a second Run beside the first is no error")
	}
	stop()
	s := g.Stats()
	if s.MessagesIn != 4 || s.Opened != 4 || s.Closed != 4 || s.ClosesByReason["draining"] != 4 || s.Clients != 0 ||
		len(s.Loops) != 2 {
		t.Errorf("after Run: %+v", s)
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("a second Run after the first is no error")
	}
}
