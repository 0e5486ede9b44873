package admin_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/admin"
)

func (f *fixture) plain(path string, header ...string) (status int, body string) {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodGet, f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	status, _, body = f.do(r)
	return status, body
}

// The probes need no token. /readyz says why the gateway is not ready.
func TestProbes(t *testing.T) {
	t.Parallel()
	f := start(t, nil)
	if status, body := f.plain("/livez"); status != 200 || body != "ok\n" {
		t.Errorf("/livez: %d %q", status, body)
	}
	if status, body := f.plain("/readyz"); status != 503 || body != "no worker is connected\n" {
		t.Errorf("/readyz without a worker: %d %q", status, body)
	}
	f.worker()
	if status, body := f.plain("/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
}

// Everything but the probes needs a token.
func TestTokens(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for _, path := range []string{"/metrics", "/debug/pprof/", "/api/v1/status", "/api/v1/clients", "/nothing"} {
		if status, body := f.plain(path); status != 401 || !strings.Contains(body, `"status":401`) {
			t.Errorf("%s without a token: %d %s", path, status, body)
		}
	}
	for header, want := range map[string]int{
		"Bearer " + secret: 200, "bearer  " + secret: 200, "Basic " + secret: 401, secret: 401,
		"Bearer " + secret + "x": 401, "Bearer ": 401,
	} {
		if status, body := f.plain("/api/v1/status", "Authorization", header); status != want {
			t.Errorf("%q: %d %s", header, status, body)
		}
	}
	log := f.log.String()
	if strings.Contains(log, secret) || !strings.Contains(log, "admin request without a valid token") {
		t.Errorf("the log: %s", log)
	}
}

// An address that sends wrong tokens has to wait. The right token does not help then.
func TestFailedTokensAreLimited(t *testing.T) {
	t.Parallel()
	f := ready(t)
	refused := 0
	for refused < 100 {
		status, _ := f.plain("/api/v1/status", "Authorization", "Bearer guess")
		if status == http.StatusTooManyRequests {
			break
		}
		refused++
	}
	if refused < 5 || refused == 100 {
		t.Errorf("%d guesses", refused)
	}
	if status, _ := f.plain("/livez"); status != 200 {
		t.Errorf("/livez: %d", status)
	}
}

// A token file is read again when it has changed. One that cannot be used leaves the old tokens.
func TestTokensAreReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# people\n\none first-token-of-the-file\n two  " + secret + " \n")
	f := start(t, func(c *admin.Config) { c.TokenFile = file })
	status := func(token string) int {
		s, _ := f.plain("/api/v1/status", "Authorization", "Bearer "+token)
		return s
	}
	if a, b := status("first-token-of-the-file"), status(secret); a != 200 || b != 200 {
		t.Errorf("%d, %d", a, b)
	}
	write("four words are here\n")
	wait(t, "the error", func() bool {
		status(secret)
		return strings.Contains(f.log.String(), "4 words: must be TOKEN, NAME TOKEN or")
	})
	if s := status(secret); s != 200 {
		t.Errorf("with a bad file: %d", s)
	}
	write(secret + "\n")
	wait(t, "the new file", func() bool {
		status(secret)
		return strings.Contains(f.log.String(), "admin tokens read again")
	})
	if s := status("first-token-of-the-file"); s != 401 {
		t.Errorf("a token that is gone: %d", s)
	}
}

// Without tokens only this machine is served, and no page of another origin.
func TestWithoutTokens(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *admin.Config) { c.TokenFile = "" })
	for _, c := range []struct {
		header []string
		want   int
	}{
		{nil, 200},
		{[]string{"Host", "localhost:9090"}, 200},
		{[]string{"Host", "[::1]:9090"}, 200},
		{[]string{"Host", "attacker.example"}, 421},
		{[]string{"Host", "127.0.0.1.attacker.example"}, 421},
	} {
		if status, body := f.plain("/api/v1/status", c.header...); status != c.want {
			t.Errorf("%v: %d %s", c.header, status, body)
		}
	}
	r, err := http.NewRequest(http.MethodPost, f.url+"/api/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://attacker.example")
	if status, _, body := f.do(r); status != 403 {
		t.Errorf("a foreign page: %d %s", status, body)
	}
}

// New refuses what must not run.
func TestNewRefuses(t *testing.T) {
	t.Parallel()
	g, err := gateway.New(gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]admin.Config{
		"exposed":   {Addr: "0.0.0.0:0"},
		"all":       {Addr: ":0"},
		"no file":   {Addr: "127.0.0.1:0", TokenFile: filepath.Join(t.TempDir(), "none")},
		"empty":     {Addr: "127.0.0.1:0", TokenFile: os.DevNull},
		"directory": {Addr: "127.0.0.1:0", TokenFile: t.TempDir()},
		"address":   {Addr: "127.0.0.1"},
	} {
		cfg.Gateway = g
		s, err := admin.New(cfg)
		if err == nil {
			_ = s.Close()
			t.Errorf("%s: is accepted", name)
		}
		if exposed := name == "exposed" || name == "all"; errors.Is(err, admin.ErrExposed) != exposed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// numbered is a file of n tokens.
func numbered(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "secret%d\n", i)
	}
	return text.String()
}

// The commands send the first token, of a file that New accepts.
func TestFirstToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"secret\n": "secret", "# people\n\n ops  secret \nother x\n": "secret", "caf\u00e9 secret\r\n": "secret",
		"ops secret read,publish\n": "secret", "ops secret report,operate # all": "",
		"": "", "# none\n": "", "secret\nthree words here\n": "", "\ufeffsecret\n": "", "ops se\x01cret": "",
		"ops secret write": "", "ops secret read,": "", "ops secret READ": "", "ops publish": "", "ops read,publish": "",
		"ops secret publish:group=": "", "ops secret publish:all=*": "", "ops secret read:group=x": "",
		"ops secret publish,publish:uid=a": "", "ops secret publish:uid=a*b": "", "ops secret publish:uid": "",
		"ops secret operate,publish:uid=a": "", "ops secret publish:group=a*,read": "secret",
		"one secret read\ntwo secret\n": "", numbered(100): "secret0", numbered(101): "",
		strings.Repeat("#\n", 33<<10) + "secret": "",
	} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := admin.FirstToken(file); got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	if _, err := admin.FirstToken(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Paths and methods that do not exist are problems too.
func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{{"GET", "/nothing", 404}, {"POST", "/metrics", 405}, {"DELETE", "/api/v1/status", 405}, {"GET", "/api/v1/", 404}} {
		status, body := f.request(c.method, c.path, "")
		if status != c.want || !strings.HasPrefix(body, `{"type":"about:blank","title":`) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
}

// The profiles are there.
func TestProfiles(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for _, path := range []string{"", "goroutine?debug=1", "heap", "cmdline"} {
		if status, body := f.request("GET", "/debug/pprof/"+path, ""); status != 200 || body == "" {
			t.Errorf("%s: %d %.100s", path, status, body)
		}
	}
}

// The status has the figures of the gateway.
func TestStatus(t *testing.T) {
	t.Parallel()
	f := ready(t)
	f.dial()
	var s admin.Status
	f.get("/api/v1/status", &s)
	if !s.Ready || s.Reason != "" || s.Draining || s.Clients != 1 || s.Workers != 1 || len(s.Loops) != 2 ||
		len(s.Listen) != 2 || s.Totals.MessagesIn != 1 || s.Totals.MessagesOut != 1 || s.Version != "test" ||
		s.Listen[0].URL != f.g.Addrs()[0] || s.Listen[0].Connections != 1 || s.Inner != f.g.WorkerAddr() {
		t.Errorf("%+v", s)
	}
}

// A token does what its scopes allow, and a request beyond them is a problem, counted and logged.
func TestScopes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	text := "ops " + secret + " read\nsite " + secret + "-2 publish\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *admin.Config) { c.TokenFile = file })
	f.worker()
	status, body := f.request("POST", "/api/v1/drain", "")
	if status != 403 || !strings.Contains(body, `"status":403,"detail":"this needs a token with the scope operate`) {
		t.Errorf("drain with the scope read: %d %s", status, body)
	}
	if status, body := f.plain("/api/v1/status", "Authorization", "Bearer "+secret+"-2"); status != 403 {
		t.Errorf("status with the scope publish: %d %s", status, body)
	}
	if status, body := f.request("GET", "/metrics", ""); status != 200 ||
		!strings.Contains(body, "sluice_admin_scope_failures_total 2\n") {
		t.Errorf("%d %s", status, body)
	}
	if !strings.Contains(f.log.String(), "operator=ops path=/api/v1/drain scopes=read needs=operate") {
		t.Errorf("the log: %s", f.log)
	}
	select {
	case <-f.drained:
		t.Error("it drains")
	default:
	}
}
