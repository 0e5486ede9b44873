package admin

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// needs returns the scope that a route should need. A route that is none of these is for operators.
func needs(pattern string) scope {
	switch method, path, _ := strings.Cut(pattern, " "); {
	case strings.HasPrefix(path, "/debug/"):
		return scopeOperate
	case method == http.MethodGet:
		return scopeRead
	case pattern == "POST /api/v1/publish":
		return scopePublish
	case pattern == "POST /api/v1/stats/reports":
		return scopeReport
	}
	return scopeOperate
}

// Each token reaches the routes of its scopes, and a 403 says which scope the others need.
func TestScopesOfRoutes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	const tokenFile = `
plain  token-without-scopes-1234
reader token-with-read-123456789    read
sender token-with-publish-123456    publish
probe  token-with-report-1234567    report
chief  token-with-operate-123456    operate
both   token-with-two-1234567890    publish,read
`
	if err := os.WriteFile(file, []byte(tokenFile), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := readTokens(file, 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(tokens, nil, caller{}, slog.New(slog.DiscardHandler))
	reached := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, e := range endpointsOf(new(Server), reached) {
		if e.scope != needs(e.pattern) {
			t.Errorf("%s needs the scope %q, want %q", e.pattern, e.scope, needs(e.pattern))
		}
		h := g.wrap(g.limit(e.scope, reached))
		for line := range strings.Lines(strings.TrimSpace(tokenFile)) {
			words := append(strings.Fields(line), "operate")
			allowed := words[2] == "operate" || strings.Contains(words[2], string(e.scope))
			method, path, _ := strings.Cut(e.pattern, " ")
			r := httptest.NewRequest(method, path, nil)
			r.Header.Set("Authorization", "Bearer "+words[1])
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if allowed && w.Code == http.StatusOK {
				continue
			}
			detail := "a token with the scope " + string(e.scope) + ": the token " + words[0] + " has"
			header := `error="insufficient_scope", scope="` + string(e.scope) + `"`
			said := strings.Contains(w.Body.String(), detail) &&
				strings.HasSuffix(w.Header().Get("WWW-Authenticate"), header)
			if allowed || w.Code != http.StatusForbidden || !said {
				t.Errorf("%s with %q: %d %v %s", e.pattern, words, w.Code, w.Header(), w.Body)
			}
		}
	}
}
