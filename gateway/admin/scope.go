package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// scope is what a route needs, and a token may have.
type scope string

const (
	scopeRead    scope = "read"    // what changes nothing, except profiles
	scopePublish scope = "publish" // POST /api/v1/publish
	scopeReport  scope = "report"  // POST /api/v1/stats/reports
	scopeOperate scope = "operate" // everything
)

// grant is what a token may be used for.
type grant struct {
	scopes []scope // bound: none, four
}

// full is the grant of a token without scopes, and of everybody where no token is needed.
func full() grant { return grant{scopes: []scope{scopeOperate}} }

// readGrant reads SCOPE[,SCOPE...].
func readGrant(text string) (g grant, err error) {
	for word := range strings.SplitSeq(text, ",") {
		switch s := scope(word); s {
		case scopeRead, scopePublish, scopeReport, scopeOperate:
			if !slices.Contains(g.scopes, s) {
				g.scopes = append(g.scopes, s)
			}
		default:
			return grant{}, fmt.Errorf("scope %q: must be read, publish, report or operate", word)
		}
	}
	return g, nil
}

// has reports whether the grant is enough for a route that needs a scope.
func (g grant) has(need scope) bool {
	return slices.Contains(g.scopes, need) || slices.Contains(g.scopes, scopeOperate)
}

func (g grant) String() string {
	words := make([]string, len(g.scopes))
	for i, s := range g.scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ",")
}

// limit returns a handler that answers requests whose token has the scope by h, and others by a
// problem (RFC 6750 section 3.1). It belongs behind wrap.
func (g *guard) limit(need scope, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := callerOf(r)
		if from.grant.has(need) {
			h.ServeHTTP(w, r)
			return
		}
		g.beyondScope.Add(1)
		if g.logRate.Allow() {
			g.log.Warn("admin request beyond the scope of its token", "addr", r.RemoteAddr, "operator", from.name,
				"path", r.URL.Path, "scopes", from.grant.String(), "needs", string(need))
		}
		w.Header().Set("WWW-Authenticate",
			fmt.Sprintf(`Bearer realm="sluice", error="insufficient_scope", scope=%q`, string(need)))
		fail(w, refuse(http.StatusForbidden, "this needs a token with the scope %s: the token %s has %s",
			need, from.name, from.grant))
	})
}
