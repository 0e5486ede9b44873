package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

type onUpgrade = func(context.Context, *http.Request) (gateway.Identity, error)

// upgrading is a gateway of one loop whose WebSockets ask a hook.
func upgrading(hook onUpgrade) gateway.Config {
	return gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", OnUpgrade: hook},
		{URL: "text://127.0.0.1:0"}}}
}

// askUpgrade connects and asks for a WebSocket, with a query to know it by.
func askUpgrade(t *testing.T, g *gateway.Gateway, query string) net.Conn {
	t.Helper()
	conn := dial(t, hostport(g.Addrs()[0]))
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.Replace(upgradeHead(""), "?a=b", "?"+query, 1)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answerOf is the first line of the response, and the body of one that ends the connection.
func answerOf(t *testing.T, conn net.Conn) (status, body string) {
	t.Helper()
	b := make([]byte, 0, 4096)
	for !strings.Contains(string(b), "\r\n\r\n") {
		n, err := conn.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; err != nil {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if strings.HasPrefix(string(b), "HTTP/1.1 101 ") {
		return "101", ""
	}
	rest, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ = strings.Cut(string(append(b, rest...)), "\r\n\r\n")
	return strings.Split(string(b), " ")[1], body
}

// pickers is a Router that notes the uids of the clients that it is asked about.
type pickers chan string

func (p pickers) Pick(r gateway.RouteRequest, _ []gateway.Candidate) int {
	p <- r.UID
	return 0
}

// A worker has the identity before it receives the client, a Router sees the uid, and what is
// published to it arrives.
func TestUpgradeIdentity(t *testing.T) {
	t.Parallel()
	cfg := upgrading(func(_ context.Context, r *http.Request) (gateway.Identity, error) {
		name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			return gateway.Identity{}, gateway.Refuse(http.StatusUnauthorized, "a token is needed")
		}
		if name == "nobody" {
			return gateway.Identity{}, nil
		}
		return gateway.Identity{UID: name, Attrs: map[string]string{"role": "admin", "path": r.URL.Path,
			"from": r.RemoteAddr}}, nil
	})
	picked := make(pickers, 2)
	cfg.Router = func() gateway.Router { return picked }
	g, _ := start(t, cfg)
	seen := make(chan string, 1)
	w := runWorker(t, g, worker.Handler{
		Connect: func(_ context.Context, c worker.Call) error {
			role, _ := c.Attr("role")
			path, _ := c.Attr("path")
			from, _ := c.Attr("from")
			seen <- fmt.Sprint(c.UID(), " ", role, " ", path, " ", from == c.RemoteAddr().String())
			return nil
		},
		Message: func(_ context.Context, c worker.Call, _ worker.Message) error {
			c.Publish(worker.UID("alice"), worker.Text("for alice"))
			return nil
		},
	})
	for _, c := range []struct{ token, want string }{{"alice", "alice admin /room true"}, {"nobody", "   false"}} {
		o := &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + c.token}}}
		ws, _, err := websocket.Dial(within(t), "ws://"+hostport(g.Addrs()[0])+"/room", o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ws.CloseNow() }()
		uid, _, _ := strings.Cut(c.want, " ")
		if got := <-picked; got != uid {
			t.Errorf("the router sees uid %q of %s", got, c.token)
		}
		if got := <-seen; got != c.want {
			t.Errorf("Connect of %s sees %q, want %q", c.token, got, c.want)
		}
		if c.token != "alice" {
			continue
		}
		if err := ws.Write(within(t), websocket.MessageText, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := ws.Read(within(t)); err != nil || string(b) != "for alice" {
			t.Errorf("alice receives %q, %v", b, err)
		}
		if n, err := w.Count(within(t), worker.UID("alice")); err != nil || n != 1 {
			t.Errorf("%d clients have the uid, %v", n, err)
		}
	}
}

// Whatever OnUpgrade does, the client has an answer, and what is a fault is in the log.
func TestUpgradeRefusals(t *testing.T) {
	t.Parallel()
	none := gateway.Identity{}
	for name, c := range map[string]struct {
		hook         onUpgrade
		status, body string
		logged       string // empty: nothing
	}{
		"refused": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return none, fmt.Errorf("wrapped: %w", gateway.Refuse(401, "no token"))
			}, "401", "Unauthorized: no token\n", "",
		},
		"an error": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return none, errors.New("the database is away")
			}, "500", "Internal Server Error\n", "the database is away",
		},
		"a status that is no refusal": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return none, gateway.Refuse(200, "x")
			}, "500", "Internal Server Error\n", "refused (200)",
		},
		"a panic": {
			func(context.Context, *http.Request) (gateway.Identity, error) { panic("oh no") }, "500", "Internal Server Error\n",
			"panic: oh no",
		},
		"an ended goroutine": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				runtime.Goexit()
				return none, nil
			}, "500", "Internal Server Error\n", "has not returned",
		},
		"a long uid": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return gateway.Identity{UID: strings.Repeat("u", 1025)}, nil
			}, "500", "Internal Server Error\n", "1025 bytes: must be at most 1024",
		},
		"an attribute without a key": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return gateway.Identity{Attrs: map[string]string{"": "x"}}, nil
			}, "500", "Internal Server Error\n", "key of 0 bytes",
		},
		"attributes too large": {
			func(context.Context, *http.Request) (gateway.Identity, error) {
				return gateway.Identity{Attrs: map[string]string{"a": strings.Repeat("x", 1<<20)}}, nil
			}, "500", "Internal Server Error\n", "Identity.Attrs: 1048593 bytes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logbook
			cfg := upgrading(c.hook)
			cfg.Logger = log.logger()
			g, _ := start(t, cfg)
			if status, body := answerOf(t, askUpgrade(t, g, "")); status != c.status || body != c.body {
				t.Errorf("the client gets %s %q", status, body)
			}
			logged := strings.Join(log.lines(), "\n")
			if c.logged == "" == strings.Contains(logged, "OnUpgrade") || !strings.Contains(logged, c.logged) {
				t.Errorf("the log has %s", logged)
			}
			s := g.Stats()
			if rejected := c.logged == ""; s.UpgradesRejected != count(rejected) || s.UpgradeErrors != count(!rejected) ||
				s.UpgradesPending != 0 || s.Opened != 0 {
				t.Errorf("%+v", s.LoopStats)
			}
		})
	}
}

func count(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

// Hooks that block hold up nobody but those who wait for them: so many run at a time, the others
// wait, and a client that goes is forgotten.
func TestUpgradesAreBounded(t *testing.T) {
	t.Parallel()
	const bound, more = 256, 8
	var running, most atomic.Int32
	entered, release := make(chan string, bound+more), make(chan struct{})
	g, _ := start(t, upgrading(func(ctx context.Context, r *http.Request) (gateway.Identity, error) {
		for n := running.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		defer running.Add(-1)
		entered <- r.URL.RawQuery
		select {
		case <-release:
		case <-ctx.Done():
		}
		return gateway.Identity{}, nil
	}))
	runWorker(t, g, echo)
	var conns []net.Conn
	for i := range bound {
		conns = append(conns, askUpgrade(t, g, fmt.Sprint(i)))
	}
	for range bound {
		<-entered
	}
	for i := range more {
		conns = append(conns, askUpgrade(t, g, fmt.Sprint("more", i)))
		wait(t, "its place", func() bool { // one after the other: they have their turns in this order
			s := g.Stats()
			return s.UpgradesPending == bound+i+1 && s.UpgradesQueued == uint64(i+1)
		})
	}
	quick := dialClient(t, g.Addrs()[1])
	quick.say("is the loop free?")
	if got := quick.receive(); got != "is the loop free?" {
		t.Errorf("another client receives %q", got)
	}
	if s := g.Stats(); s.PartialBytes == 0 {
		t.Error("the requests that wait count nothing")
	}
	for _, i := range []int{bound, bound + 2, bound + 3, bound + 4, bound + 5, bound + 6} { // most of those that wait
		_ = conns[i].Close()
	}
	wait(t, "the ones that have gone", func() bool { return g.Stats().UpgradesPending == bound+2 })
	_ = conns[7].Close() // its call ends, and the oldest that waits has its turn
	if got := <-entered; got != "more1" {
		t.Errorf("next is %q", got)
	}
	close(release)
	if got := <-entered; got != "more7" {
		t.Errorf("next is %q", got)
	}
	for i, conn := range conns {
		if i == 7 || i >= bound && i != bound+1 && i != bound+7 {
			continue
		}
		if status, body := answerOf(t, conn); status != "101" {
			t.Fatalf("client %d gets %s %s", i, status, body)
		}
	}
	if s := g.Stats(); len(entered) > 0 || most.Load() != bound || s.UpgradesPending != 0 || s.PartialBytes != 0 ||
		s.Opened != bound+2 {
		t.Errorf("%d more calls, %d at a time, %+v", len(entered), most.Load(), s.LoopStats)
	}
}

// A client that goes, one whose time is over and a drain cancel the context of the call. Those who
// are there yet get 503.
func TestUpgradeIsCanceled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout time.Duration
		do      func(conn net.Conn, stop func())
		status  string // empty: nobody is there to get one
	}{
		"gone":        {0, func(conn net.Conn, _ func()) { _ = conn.Close() }, ""},
		"half closed": {0, func(conn net.Conn, _ func()) { _ = conn.(*net.TCPConn).CloseWrite() }, ""},
		"timed out":   {50 * time.Millisecond, func(net.Conn, func()) {}, "503"},
		"drain":       {0, func(_ net.Conn, stop func()) { stop() }, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inside, canceled := make(chan struct{}), make(chan error, 1)
			cfg := upgrading(func(ctx context.Context, r *http.Request) (gateway.Identity, error) {
				close(inside)
				<-ctx.Done()
				canceled <- r.Context().Err()
				return gateway.Identity{UID: "late"}, nil
			})
			cfg.Listeners[0].HandshakeTimeout = c.timeout
			g, stop := start(t, cfg)
			conn := askUpgrade(t, g, "")
			<-inside
			c.do(conn, stop)
			if c.status != "" {
				if status, body := answerOf(t, conn); status != c.status {
					t.Errorf("the client gets %s %s", status, body)
				}
			}
			if err := <-canceled; err == nil {
				t.Error("the request's context is another one")
			}
			wait(t, "the end", func() bool { return g.Stats().UpgradesPending == 0 })
			if s := g.Stats(); s.Opened != 0 || s.UpgradeErrors != 0 || s.UpgradeTimeouts != count(name == "timed out") {
				t.Errorf("%+v", s.LoopStats)
			}
		})
	}
}

// What a client sends behind its request waits for the answer, and is handled then.
func TestUpgradeKeepsWhatComesBehind(t *testing.T) {
	t.Parallel()
	inside, release := make(chan struct{}), make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	defer let() // also when the test fails
	g, _ := start(t, upgrading(func(context.Context, *http.Request) (gateway.Identity, error) {
		close(inside)
		<-release
		return gateway.Identity{}, nil
	}))
	runWorker(t, g, echo)
	key, o := codec.NewKey(), &codec.DialOptions{}
	conn := dial(t, hostport(g.Addrs()[0]))
	_ = conn.SetDeadline(time.Now().Add(patience))
	b := codec.AppendUpgrade(nil, "localhost", "/", key, o)
	if _, err := conn.Write(append(b, masked(0x81, "one")...)); err != nil {
		t.Fatal(err)
	}
	<-inside
	if _, err := conn.Write([]byte(masked(0x81, "two"))); err != nil {
		t.Fatal(err)
	}
	wait(t, "the second one", func() bool {
		return g.Stats().PartialBytes >= len(b)+len(masked(0x81, "one"))+len(masked(0x81, "two"))
	})
	let()
	in := make([]byte, 0, 4096)
	for !strings.Contains(string(in), "one") || !strings.Contains(string(in), "two") {
		n, err := conn.Read(in[len(in):cap(in)])
		if in = in[:len(in)+n]; err != nil {
			t.Fatalf("%q, %v", in, err)
		}
	}
}

// faultyRouter is a Router that panics.
type faultyRouter struct{}

func (faultyRouter) Pick(gateway.RouteRequest, []gateway.Candidate) int {
	panic("no worker is good enough")
}

// A panic of the Router ends the connection, whether or not OnUpgrade was called before.
func TestRouterPanicsInUpgrade(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]onUpgrade{
		"without a hook": nil,
		"with a hook": func(context.Context, *http.Request) (gateway.Identity, error) {
			return gateway.Identity{UID: "u"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := upgrading(hook)
			cfg.Logger = new(logbook).logger()
			cfg.Router = func() gateway.Router { return faultyRouter{} }
			g, _ := start(t, cfg)
			runWorker(t, g, echo)
			wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
			if _, err := io.ReadAll(askUpgrade(t, g, "")); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
			if s := g.Stats(); s.Clients != 0 || s.Pending != 0 || s.Panics != 1 {
				t.Errorf("%+v", s.LoopStats)
			}
		})
	}
}
