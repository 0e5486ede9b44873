package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

type onRefresh = func(context.Context, string) (gateway.Identity, error)

// identified is a gateway of one loop whose clients are user, until expires.
func identified(expires func() time.Time, refresh onRefresh) gateway.Config {
	return ws(gateway.ListenerConfig{
		OnUpgrade: func(context.Context, *http.Request) (gateway.Identity, error) {
			return gateway.Identity{UID: "user", Attrs: map[string]string{"a": "1", "b": "1"}, Expires: expires()}, nil
		},
		OnRefresh: refresh,
	})
}

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

// sayAndHear sends a text and returns the next message.
func sayAndHear(t *testing.T, ws *websocket.Conn, text string) string {
	t.Helper()
	if err := ws.Write(within(t), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, b, err := ws.Read(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// When its identity expires, a client is closed with a code of its own, and its worker knows why.
func TestExpiry(t *testing.T) {
	t.Parallel()
	g, _ := start(t, identified(func() time.Time { return time.Now().Add(300 * time.Millisecond) }, nil))
	reasons := make(chan worker.Reason, 1)
	runWorker(t, g, worker.Handler{Close: func(_ context.Context, _ worker.Call, r worker.Reason) error {
		reasons <- r
		return nil
	}})
	ws := openWebSocket(t, "ws://"+hostport(g.Addrs()[0]), nil)
	_, _, err := ws.Read(within(t))
	if closed, ok := errors.AsType[websocket.CloseError](err); !ok || closed.Code != 4015 || closed.Reason != "expired" {
		t.Error(err)
	}
	if r := <-reasons; r != worker.ReasonExpired {
		t.Error(r)
	}
	if s := g.Stats(); s.Expired != 1 || s.ClosesByReason["expired"] != 1 {
		t.Errorf("%d expired, %v", s.Expired, s.ClosesByReason)
	}
}

// An identity that has expired before the WebSocket opens is refused.
func TestExpiredAtOnce(t *testing.T) {
	t.Parallel()
	g, _ := start(t, identified(time.Now, nil))
	if status, body := answerOf(t, askUpgrade(t, g, "x")); status != "401" || !strings.Contains(body, "expired") {
		t.Error(status, body)
	}
	if s := g.Stats(); s.UpgradesRejectedByReason["expired"] != 1 {
		t.Errorf("%v", s.UpgradesRejectedByReason)
	}
}

// A new token puts the end off and changes attributes. One that is refused changes nothing. No
// worker receives the message.
func TestRefresh(t *testing.T) {
	t.Parallel()
	until := inAnHour().Truncate(time.Second)
	g, _ := start(t, identified(inAnHour, func(ctx context.Context, token string) (gateway.Identity, error) {
		switch token {
		case "good":
			return gateway.Identity{UID: "user", Attrs: map[string]string{"b": "2", "c": "2"}, Expires: until}, nil
		case "endless":
			return gateway.Identity{UID: "user"}, nil
		case "soon":
			return gateway.Identity{UID: "user", Expires: time.Now().Add(200 * time.Millisecond)}, nil
		case "other":
			return gateway.Identity{UID: "other"}, nil
		case "fault":
			return gateway.Identity{}, errors.New("a fault")
		case "past":
			return gateway.Identity{UID: "user", Expires: time.Now().Add(-time.Second)}, nil
		case "panic":
			panic("a bug")
		}
		return gateway.Identity{}, gateway.RefuseFor("bad", http.StatusUnauthorized, "a \"bad\" token")
	}))
	runWorker(t, g, worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		if string(m.Data) != "attributes" {
			c.Send(m)
			return nil
		}
		var all []string
		for k, v := range c.Attrs() {
			all = append(all, k+v)
		}
		c.Send(worker.Text(c.UID() + " " + strings.Join(all, " ")))
		return nil
	}})
	ws := openWebSocket(t, "ws://"+hostport(g.Addrs()[0]), nil)
	rejected := func(detail string) string { return `{"type":"sluice.refresh_rejected","detail":` + detail + `}` }
	for _, c := range []struct{ message, want string }{
		{"attributes", "user a1 b1"},
		{`{"type":"sluice.refresh","token":"bad"}`, rejected(`"a \"bad\" token"`)},
		{`{"type":"sluice.refresh","token":"other"}`, rejected(`"the token is of another user"`)},
		{`{"type":"sluice.refresh","token":"fault"}`, rejected(`"internal error"`)},
		{`{"type":"sluice.refresh","token":"panic"}`, rejected(`"internal error"`)},
		{`{"type":"sluice.refresh","token":"past"}`, rejected(`"expired"`)},
		{`{"type":"sluice.refresh"}`, rejected(`"a \"bad\" token"`)},
		{"attributes", "user a1 b1"},
		{` { "token" : "good", "more": [], "type": "sluice.refresh" } `,
			fmt.Sprintf(`{"type":"sluice.refreshed","expires":%d}`, until.Unix())},
		{"attributes", "user a1 b2 c2"},
		{`{"type":"sluice.refresh","token":"endless"}`, `{"type":"sluice.refreshed"}`},
		{`{"type":"sluice.refreshing","token":"good"}`, `{"type":"sluice.refreshing","token":"good"}`}, // for the worker
		{`{"type":"x","say":"\"sluice.refresh\" is a type"}`, `{"type":"x","say":"\"sluice.refresh\" is a type"}`},
		{`{"type":"x","say":"sluice.refresh"}`, `{"type":"x","say":"sluice.refresh"}`},
		{`"sluice.refresh"`, `"sluice.refresh"`},
	} {
		if got := sayAndHear(t, ws, c.message); got != c.want {
			t.Errorf("%s: %s, want %s", c.message, got, c.want)
		}
	}
	s := g.Stats()
	if s.Refreshed != 2 || s.RefreshesRejected != 6 || s.UpgradesRejectedByReason["bad"] != 2 || s.UpgradeErrors != 2 {
		t.Errorf("%d refreshed, %d rejected, %v, %d errors", s.Refreshed, s.RefreshesRejected,
			s.UpgradesRejectedByReason, s.UpgradeErrors)
	}
	if got := sayAndHear(t, ws, `{"type":"sluice.refresh","token":"soon"}`); !strings.Contains(got, "sluice.refreshed") {
		t.Error(got)
	}
	if _, _, err := ws.Read(within(t)); websocket.CloseStatus(err) != 4015 {
		t.Error(err)
	}
}

// One token is checked at a time. The call ends with its client, and the drain does not wait for it
// for ever.
func TestRefreshWhileOneIsChecked(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan string, 8), make(chan error, 8)
	g, stop := start(t, identified(inAnHour, func(ctx context.Context, token string) (gateway.Identity, error) {
		asked <- token
		<-ctx.Done()
		ended <- ctx.Err()
		return gateway.Identity{}, ctx.Err()
	}))
	runWorker(t, g, echo)
	first := openWebSocket(t, "ws://"+hostport(g.Addrs()[0]), nil)
	const message = `{"type":"sluice.refresh","token":"a"}`
	if err := first.Write(within(t), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	<-asked
	if got := sayAndHear(t, first, message); !strings.Contains(got, "the token before is being checked") {
		t.Error(got)
	}
	if got := sayAndHear(t, first, "still here"); got != "still here" {
		t.Error(got)
	}
	_ = first.CloseNow()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	second := openWebSocket(t, "ws://"+hostport(g.Addrs()[0]), nil)
	if err := second.Write(within(t), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	<-asked
	go func() { _, _, _ = second.Read(context.Background()) }() // it answers the close frame
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Values of query parameters that are masked are in no request of a worker and in no log.
func TestMaskQuery(t *testing.T) {
	t.Parallel()
	var log logbook
	cfg := ws(gateway.ListenerConfig{MaskQuery: []string{"token"},
		OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
			if got := r.URL.Query().Get("token"); got == "secret-error" {
				return gateway.Identity{}, errors.New("fault")
			}
			return gateway.Identity{}, nil
		}})
	cfg.Logger = log.logger()
	g, _ := start(t, cfg)
	targets := make(chan string, 8)
	runWorker(t, g, worker.Handler{Connect: func(_ context.Context, c worker.Call) error {
		targets <- c.Request().Target
		return nil
	}})
	for query, want := range map[string]string{
		"a=b&token=secret&c=d": "/p?a=b&token=***&c=d", "%74oken=secret": "/p?%74oken=***", "token": "/p?token=***",
		"tokens=public": "/p?tokens=public", "a=b": "/p?a=b", "%zz=secret": "/p?%zz=***",
	} {
		openWebSocket(t, "ws://"+hostport(g.Addrs()[0])+"/p?"+query, nil)
		if got := <-targets; got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if status, _ := answerOf(t, askUpgrade(t, g, "token=secret-error")); status != "500" {
		t.Error(status)
	}
	all := strings.Join(log.lines(), "\n")
	if strings.Contains(all, "secret") || !strings.Contains(all, "OnUpgrade failed") {
		t.Error(all)
	}
}

// The name before the token is agreed to only if there is no better subprotocol.
func TestTokenSubprotocol(t *testing.T) {
	t.Parallel()
	seen := make(chan []string, 1)
	g, _ := start(t, ws(gateway.ListenerConfig{Subprotocols: []string{"v2"}, TokenSubprotocol: "bearer",
		OnUpgrade: func(_ context.Context, r *http.Request) (gateway.Identity, error) {
			seen <- r.Header["Sec-Websocket-Protocol"]
			return gateway.Identity{}, nil
		}}))
	for offers, want := range map[string]string{
		"bearer a.b.c": "bearer", "bearer a.b.c v2": "v2", "v2": "v2", "v3": "",
	} {
		ws := openWebSocket(t, "ws://"+hostport(g.Addrs()[0]),
			&websocket.DialOptions{Subprotocols: strings.Fields(offers)})
		if got := ws.Subprotocol(); got != want {
			t.Errorf("%s: %q, want %q", offers, got, want)
		}
		<-seen
	}
}
