package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// tokenKeys are a file with a secret, and what makes tokens of the one that is in it.
type tokenKeys struct {
	t      *testing.T
	path   string
	secret []byte
}

// renew puts another secret into the file.
func (k *tokenKeys) renew(secret string) {
	k.t.Helper()
	k.secret = []byte(secret)
	if err := os.WriteFile(k.path+".new", k.secret, 0o600); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Rename(k.path+".new", k.path); err != nil {
		k.t.Fatal(err)
	}
}

func (k *tokenKeys) token(uid string, life time.Duration) string {
	k.t.Helper()
	claims := jwt.MapClaims{"sub": uid, "exp": time.Now().Add(life).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(k.secret)
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// Clients of the program need a token, wherever they can put it. It may be renewed, its end ends
// the client, and keys are exchanged without a restart. No token is in the log.
func TestTokens(t *testing.T) {
	t.Parallel()
	keys := &tokenKeys{t: t, path: filepath.Join(t.TempDir(), "secret")}
	keys.renew(strings.Repeat("first-", 10))
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--inner", "127.0.0.1:0", "--listen", "ws://127.0.0.1:0",
		"--jwt-secret-file", keys.path, "--jwt-from", "header,query:access_token,cookie:jwt,subprotocol:bearer",
		"--jwt-leeway=-1s")
	ctx, cancel := context.WithTimeout(t.Context(), clientWithin)
	defer cancel()
	open := func(query string, o *websocket.DialOptions) (*websocket.Conn, int) {
		ws, response, err := websocket.Dial(ctx, "ws://"+server.Addrs["ws"]+"/"+query, o)
		if response == nil {
			t.Fatal(err)
		}
		if err == nil {
			t.Cleanup(func() { _ = ws.CloseNow() })
		}
		return ws, response.StatusCode
	}
	header := func(name, value string) *websocket.DialOptions {
		return &websocket.DialOptions{HTTPHeader: http.Header{name: {value}}}
	}
	ada := keys.token("ada", time.Hour)
	for name, c := range map[string]struct {
		query  string
		o      *websocket.DialOptions
		status int
	}{
		"none":        {"", nil, 401},
		"header":      {"", header("Authorization", "Bearer "+ada), 101},
		"query":       {"?access_token=" + ada, nil, 101},
		"cookie":      {"", header("Cookie", "jwt="+ada), 101},
		"subprotocol": {"", &websocket.DialOptions{Subprotocols: []string{"bearer", ada}}, 101},
		"expired":     {"", header("Authorization", "Bearer "+keys.token("ada", -time.Minute)), 401},
		"changed":     {"?access_token=" + ada[:len(ada)-4], nil, 401},
	} {
		ws, status := open(c.query, c.o)
		if status != c.status {
			t.Errorf("%s: %d, want %d", name, status, c.status)
		}
		if want := map[bool]string{true: "bearer"}[name == "subprotocol"]; ws != nil && ws.Subprotocol() != want {
			t.Errorf("%s: the subprotocol is %q", name, ws.Subprotocol())
		}
	}

	ws, status := open("", header("Authorization", "Bearer "+keys.token("bob", time.Hour)))
	if status != 101 {
		t.Fatal(status)
	}
	for token, want := range map[string]string{
		ada:                              `{"type":"sluice.refresh_rejected"`,
		keys.token("bob", 2*time.Second): `{"type":"sluice.refreshed","expires":`,
	} {
		message := fmt.Appendf(nil, `{"type":"sluice.refresh","token":%q}`, token)
		if err := ws.Write(ctx, websocket.MessageText, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := ws.Read(ctx); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	if _, got, err := ws.Read(ctx); websocket.CloseStatus(err) != 4015 {
		t.Errorf("%s, %v", got, err)
	}

	keys.renew(strings.Repeat("second-", 10))
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("keys of tokens read again", 1)
	if _, status := open("?access_token="+ada, nil); status != 401 {
		t.Errorf("a token of the old key: %d", status)
	}
	if _, status := open("?access_token="+keys.token("ada", time.Hour), nil); status != 101 {
		t.Errorf("a token of the new key: %d", status)
	}
	keys.renew("short")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("configuration not reloaded, the old one stays", 1)
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if log := server.Log(); strings.Contains(log, ada[:30]) || strings.Contains(log, "access_token") {
		t.Errorf("the log has a token: %s", log)
	}
}
