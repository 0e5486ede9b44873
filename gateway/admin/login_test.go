package admin_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

const (
	viewerToken = "viewer-token-0123456789"
	senderToken = "sender-token-0123456789"
)

// loginFixture has a token for each role.
func loginFixture(t *testing.T) (f *fixture, tokenFile string) {
	t.Helper()
	tokenFile = filepath.Join(t.TempDir(), "tokens")
	writeFile(t, tokenFile, "ops "+secret+"\nviewer "+viewerToken+" read\nsender "+senderToken+" report\n")
	return start(t, func(c *admin.Config) { c.TokenFile = tokenFile }), tokenFile
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// as sends a request with a cookie and headers, and without a token.
func (f *fixture) as(cookie, method, path, body string, headers ...string) (int, http.Header, string) {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return f.do(r)
}

// logIn returns the cookie of a session of a token.
func (f *fixture) logIn(token string) (cookie string) {
	f.t.Helper()
	status, header, body := f.as("", "POST", "/login", `{"token":"`+token+`"}`)
	cookie, _, _ = strings.Cut(header.Get("Set-Cookie"), ";")
	if status != http.StatusOK || cookie == "" {
		f.t.Fatalf("POST /login: %d %s", status, body)
	}
	return cookie
}

// setLevel changes the level of the log with a session, as the page does.
func (f *fixture) setLevel(cookie string) (int, string) {
	f.t.Helper()
	status, _, body := f.as(cookie, "PUT", "/api/v1/log-level", `{"level":"debug"}`, "X-Sluice-CSRF", "1")
	return status, body
}

// Everybody may ask whether a login is needed. A session may do what its token may do, and
// the log names its operator.
func TestLogin(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	if _, _, body := f.as("", "GET", "/session", ""); body != `{"login":"needed"}`+"\n" {
		t.Errorf("GET /session: %s", body)
	}
	cookie := f.logIn(secret)
	if strings.Contains(cookie, secret) {
		t.Error("the cookie contains the token")
	}
	const done = `{"login":"done","operator":"ops","scopes":["operate"]}` + "\n"
	if _, _, body := f.as(cookie, "GET", "/session", ""); body != done {
		t.Errorf("GET /session: %s", body)
	}
	if status, _, body := f.as(cookie, "GET", "/api/v1/status", ""); status != http.StatusOK {
		t.Errorf("GET status: %d %s", status, body)
	}
	if status, body := f.setLevel(cookie); status != http.StatusOK {
		t.Errorf("PUT log-level: %d %s", status, body)
	}
	wait(t, "the log", func() bool {
		return strings.Contains(f.log.String(), "change=log-level") && strings.Contains(f.log.String(), "operator=ops") &&
			strings.Contains(f.log.String(), "admin login")
	})
	if status, _, _ := f.as(cookie, "POST", "/logout", "", "X-Sluice-CSRF", "1"); status != http.StatusOK {
		t.Errorf("POST /logout: %d", status)
	}
	if status, _, _ := f.as(cookie, "GET", "/api/v1/status", ""); status != http.StatusUnauthorized {
		t.Errorf("after the log out: %d", status)
	}
}

func TestLoginNeedsAScope(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	for token, want := range map[string]int{"": 401, "wrong": 401, senderToken: 403, viewerToken: 200} {
		if status, _, body := f.as("", "POST", "/login", `{"token":"`+token+`"}`); status != want {
			t.Errorf("%q: %d %s", token, status, body)
		}
	}
	cookie := f.logIn(viewerToken)
	var session admin.Session
	_, _, body := f.as(cookie, "GET", "/session", "")
	err := json.Unmarshal([]byte(body), &session)
	if err != nil || session.Operator != "viewer" || len(session.Scopes) != 1 {
		t.Errorf("%s: %v", body, err)
	}
	for path, want := range map[string]int{"/api/v1/workers": 200, "/metrics": 200, "/debug/pprof/": 403} {
		if status, _, _ := f.as(cookie, "GET", path, ""); status != want {
			t.Errorf("GET %s of a viewer: %d", path, status)
		}
	}
	if status, _ := f.setLevel(cookie); status != http.StatusForbidden {
		t.Errorf("a viewer changes the level of the log: %d", status)
	}
	long := `{"token":"` + strings.Repeat("x", 5000) + `"}`
	for _, body := range []string{`{"token":1}`, `{"token":"a","more":1}`, long, "{"} {
		if status, _, _ := f.as("", "POST", "/login", body); status < 400 || status >= 500 {
			t.Errorf("%.30s: %d", body, status)
		}
	}
	if status, _, _ := f.as("", "POST", "/login", `{"token":"`+secret+`"}`, "Content-Type", "text/plain"); status != 415 {
		t.Errorf("a form logs in: %d", status)
	}
}

// Pages of other origins cannot use a session: neither those of other sites, nor those of another
// port of this host, whose requests have the cookie. Nor can a form of a page that a proxy serves.
func TestSessionsAreForThePage(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	cookie := f.logIn(secret)
	const level, change = "/api/v1/log-level", `{"level":"debug"}`
	for _, c := range []struct {
		method, path, body string
		headers            []string
	}{
		{"PUT", level, change, nil}, // without the header
		{"PUT", level, change, []string{"X-Sluice-CSRF", "1", "Sec-Fetch-Site", "cross-site"}},
		{"PUT", level, change, []string{"X-Sluice-CSRF", "1", "Sec-Fetch-Site", "same-site"}},
		{"PUT", level, change, []string{"X-Sluice-CSRF", "1", "Origin", "http://evil.example"}},
		{"POST", "/logout", "", nil},
		{"POST", "/logout", "", []string{"X-Sluice-CSRF", "1", "Sec-Fetch-Site", "same-site"}},
		{"GET", "/api/v1/status", "", []string{"Sec-Fetch-Site", "same-site"}},
		{"GET", "/debug/pprof/profile?seconds=1", "", []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", "/login", `{"token":"` + secret + `"}`, []string{"Sec-Fetch-Site", "cross-site"}},
		{"POST", "/login", `{"token":"` + secret + `"}`, []string{"Origin", "http://127.0.0.1:1"}},
	} {
		if status, _, body := f.as(cookie, c.method, c.path, c.body, c.headers...); status != http.StatusForbidden {
			t.Errorf("%s %s %q: %d %s", c.method, c.path, c.headers, status, body)
		}
	}
	for _, site := range []string{"same-origin", "none"} {
		if status, _, _ := f.as(cookie, "GET", "/api/v1/status", "", "Sec-Fetch-Site", site); status != http.StatusOK {
			t.Errorf("a request of the page itself, %s: %d", site, status)
		}
	}
}

// A session that somebody else has made up, or that was there before the login, is none afterwards.
func TestSessionsAreNotFixed(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	first := f.logIn(secret)
	name, _, _ := strings.Cut(first, "=")
	made := name + "=" + strings.Repeat("A", 43)
	for _, before := range []string{made, first} {
		_, header, _ := f.as(before, "POST", "/login", `{"token":"`+secret+`"}`)
		after, _, _ := strings.Cut(header.Get("Set-Cookie"), ";")
		if after == before || !strings.HasPrefix(after, name+"=") {
			t.Errorf("a login with %s keeps it: %s", before, after)
		}
		if status, _, _ := f.as(before, "GET", "/api/v1/status", ""); status != http.StatusUnauthorized {
			t.Errorf("%s after the login: %d", before, status)
		}
		if status, _, _ := f.as(after, "GET", "/api/v1/status", ""); status != http.StatusOK {
			t.Errorf("the new one: %d", status)
		}
	}
}

// A session ends with its token, and has the scopes that the token has now.
func TestSessionsFollowTheirToken(t *testing.T) {
	t.Parallel()
	f, tokenFile := loginFixture(t)
	ops, viewer := f.logIn(secret), f.logIn(viewerToken)
	writeFile(t, tokenFile, "ops "+secret+" read\nother another-token-0123456789\n")
	wait(t, "the removed token's session ends", func() bool {
		status, _, _ := f.as(viewer, "GET", "/api/v1/status", "")
		return status == http.StatusUnauthorized
	})
	if status, _ := f.setLevel(ops); status != http.StatusForbidden {
		t.Errorf("a token that may only read now changes the level of the log: %d", status)
	}
	writeFile(t, tokenFile, "viewer "+viewerToken+" read\n#\n")
	wait(t, "the tokens are read again", func() bool {
		status, _, _ := f.as(ops, "GET", "/api/v1/status", "")
		return status == http.StatusUnauthorized
	})
	if status, _, _ := f.as(viewer, "GET", "/api/v1/status", ""); status != http.StatusUnauthorized {
		t.Errorf("the session comes back with its token: %d", status)
	}
}

// Logins are limited as other requests without a valid token are. That does not end sessions, and a
// session that has ended is no attempt.
func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	cookie := f.logIn(secret)
	ended := f.logIn(secret)
	f.as(ended, "POST", "/logout", "", "X-Sluice-CSRF", "1")
	for range 30 {
		if status, _, _ := f.as(ended, "GET", "/api/v1/status", ""); status != http.StatusUnauthorized {
			t.Fatalf("a session that has ended: %d", status)
		}
	}
	f.logIn(secret)
	wait(t, "429", func() bool {
		status, _, _ := f.as("", "POST", "/login", `{"token":"guess"}`)
		return status == http.StatusTooManyRequests
	})
	if status, _, _ := f.as("", "POST", "/login", `{"token":"`+secret+`"}`); status != http.StatusTooManyRequests {
		t.Errorf("the right token after many wrong ones: %d", status)
	}
	if status, _, _ := f.as(cookie, "GET", "/api/v1/status", ""); status != http.StatusOK {
		t.Errorf("a session, after somebody else's wrong tokens: %d", status)
	}
}

// Without a token file no login is needed, and the page is for this machine only.
func TestNoLogin(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *admin.Config) { c.TokenFile = "" })
	if _, _, body := f.as("", "GET", "/session", ""); body != `{"login":"none","scopes":["operate"]}`+"\n" {
		t.Errorf("GET /session: %s", body)
	}
	if status, _, _ := f.as("", "POST", "/login", `{"token":"x"}`); status != http.StatusNotFound {
		t.Errorf("POST /login: %d", status)
	}
	if status, _, _ := f.as("", "POST", "/logout", "", "X-Sluice-CSRF", "1"); status != http.StatusOK {
		t.Errorf("POST /logout: %d", status)
	}
	r, err := http.NewRequest(http.MethodGet, f.url+"/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example"
	if status, _, _ := f.do(r); status != http.StatusMisdirectedRequest {
		t.Errorf("a foreign name that resolves to this machine: %d", status)
	}
}

// The page itself is for everybody, cannot be framed and runs no scripts but its own.
func TestThePageIsServed(t *testing.T) {
	t.Parallel()
	f, _ := loginFixture(t)
	status, header, body := f.as("", "GET", "/", "")
	if status != http.StatusOK || !strings.Contains(body, `href="dashboard/`) {
		t.Fatalf("GET /: %d %.200s", status, body)
	}
	policy := header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';",
		"frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy has no %s: %s", part, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s", policy)
	}
	for path, want := range map[string]int{"/dashboard/x/dashboard.js": 200, "/dashboard/x/nothing.js": 404,
		"/dashboard/": 401, "/dashboard/x/y/z": 401, "/dashboard.js": 401} {
		if status, _, _ := f.as("", "GET", path, ""); status != want {
			t.Errorf("GET %s: %d, want %d", path, status, want)
		}
	}
}
