package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// bearers is a worker whose clients are who their token says. It answers with what it knows of a
// client.
func bearers() worker.Handler {
	return worker.Handler{
		Authenticate: func(_ context.Context, r *worker.Request) (worker.Identity, error) {
			switch name := strings.TrimPrefix(r.Header("Authorization"), "Bearer "); name {
			case "":
				return worker.Identity{}, worker.RefuseStatus(http.StatusUnauthorized, "a token is needed")
			case "fault":
				return worker.Identity{}, errors.New("a fault")
			case "panic":
				panic("a bug")
			case "exit":
				runtime.Goexit()
				return worker.Identity{}, nil
			case "large":
				return worker.Identity{UID: strings.Repeat("x", 2000)}, nil
			case "status":
				return worker.Identity{}, worker.RefuseStatus(200, "")
			case "past":
				return worker.Identity{UID: name, Expires: time.Now().Add(-time.Second)}, nil
			case "soon":
				return worker.Identity{UID: name, Expires: time.Now().Add(200 * time.Millisecond)}, nil
			case "nobody":
				return worker.Identity{}, nil
			default:
				return worker.Identity{UID: name, Attrs: map[string]string{
					"from": r.RemoteAddr().String(), "at": r.Listener(), "path": r.Path(), "sub": r.Subprotocol()}}, nil
			}
		},
		Message: func(_ context.Context, c worker.Call, _ worker.Message) error {
			at, _ := c.Attr("at")
			path, _ := c.Attr("path")
			sub, _ := c.Attr("sub")
			from, _ := c.Attr("from")
			known := at == c.Listener() && from == c.RemoteAddr().String()
			c.Send(worker.Text(fmt.Sprint(c.UID(), " ", known, " ", path, " ", sub)))
			return nil
		},
	}
}

func bearer(token string) *websocket.DialOptions {
	o := &websocket.DialOptions{Subprotocols: []string{"v1"}, HTTPHeader: http.Header{}}
	if token != "" {
		o.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	return o
}

// A worker says who a client is before the WebSocket opens, or refuses it.
func TestWorkerAuthenticates(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{Authenticate: true, Subprotocols: []string{"v1"}}))
	runWorker(t, g, bearers())
	open := func(token string) (*websocket.Conn, int) {
		ws, response, err := websocket.Dial(within(t), "ws://"+hostport(g.Addrs()[0])+"/room", bearer(token))
		if response == nil {
			t.Fatal(err)
		}
		if err == nil {
			t.Cleanup(func() { _ = ws.CloseNow() })
		}
		return ws, response.StatusCode
	}
	for token, want := range map[string]int{
		"": 401, "fault": 500, "panic": 500, "exit": 500, "large": 500, "status": 500, "past": 401, "nobody": 101,
		"ada": 101,
	} {
		if _, got := open(token); got != want {
			t.Errorf("%q: status %d, want %d", token, got, want)
		}
	}
	ada, _ := open("ada")
	if got := sayAndHear(t, ada, "who am I?"); got != "ada true /room v1" {
		t.Error(got)
	}
	soon, _ := open("soon")
	if _, _, err := soon.Read(within(t)); websocket.CloseStatus(err) != 4015 {
		t.Error(err)
	}
	if s := g.Stats(); s.UpgradesRejectedByReason["worker"] != 6 || s.UpgradesPending != 0 {
		t.Errorf("%v, %d pending", s.UpgradesRejectedByReason, s.UpgradesPending)
	}
}

// WebSockets wait for a worker that authenticates them: from the beginning with Authenticate, and
// otherwise from the first one on. A worker without the function does not admit them.
func TestWorkerToAuthenticateIsMissing(t *testing.T) {
	t.Parallel()
	for _, required := range []bool{true, false} {
		g, _ := start(t, ws(gateway.ListenerConfig{Authenticate: required, HandshakeTimeout: time.Second}))
		runWorker(t, g, echo)
		if status, _ := answerOf(t, askUpgrade(t, g, "")); (status == "101") == required {
			t.Errorf("required %v, a worker without it: status %s", required, status)
		}
		ctx, cancel := context.WithCancel(context.Background())
		w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()},
			Logger: slog.New(slog.DiscardHandler)}, bearers())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		wait(t, "a client is refused", func() bool {
			status, _ := answerOf(t, askUpgrade(t, g, ""))
			return status == "401"
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if status, _ := answerOf(t, askUpgrade(t, g, "")); status != "503" {
			t.Errorf("required %v, when it has gone: status %s", required, status)
		}
		if s := g.Stats(); s.UpgradeTimeouts == 0 || s.UpgradesPending != 0 {
			t.Errorf("%d timeouts, %d pending", s.UpgradeTimeouts, s.UpgradesPending)
		}
	}
}

// Many clients are asked about at once, some leave, and a worker that dies is replaced by another
// one that is asked again.
func TestQuestionsOutliveTheirWorker(t *testing.T) {
	t.Parallel()
	g, _ := start(t, ws(gateway.ListenerConfig{Authenticate: true, HandshakeTimeout: time.Minute}))
	asked := make(chan struct{}, 1000)
	stuck := bearers()
	stuck.Authenticate = func(ctx context.Context, _ *worker.Request) (worker.Identity, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return worker.Identity{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(context.Background())
	w, err := worker.New(worker.Config{Gateways: []string{g.WorkerAddr()}, Window: 1 << 20,
		Logger: slog.New(slog.DiscardHandler)}, stuck)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	const clients = 300 // more than run at a time, and than a link of this window may be asked
	statuses := make(chan string, clients)
	for i := range clients {
		conn := askUpgrade(t, g, "")
		if i%10 == 0 {
			go func() { _ = conn.Close() }()
			continue
		}
		go func() {
			b := make([]byte, 12)
			n, _ := conn.Read(b)
			statuses <- string(b[:n])
		}()
	}
	<-asked
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	runWorker(t, g, bearers())
	for range clients * 9 / 10 {
		if got := <-statuses; got != "HTTP/1.1 401" {
			t.Fatalf("%q", got)
		}
	}
	wait(t, "none is left", func() bool { return g.Stats().UpgradesPending == 0 })
}
