package admin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/gateway"
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
	scopes  []scope         // bound: none, four
	targets []targetPattern // to which it may publish; empty: to all; bound: none, a line of the token file
}

// targetPattern selects targets of messages: publish:group=news-*, for example.
type targetPattern struct {
	kind   string // client, uid or group
	name   string
	prefix bool // it is what names begin with
}

// full is the grant of a token without scopes, and of everybody where no token is needed.
func full() grant { return grant{scopes: []scope{scopeOperate}} }

// readGrant reads SCOPE[,SCOPE...]. Each scope publish:KIND=NAME narrows publish to some targets.
func readGrant(text string) (g grant, err error) {
	plain := false
	for word := range strings.SplitSeq(text, ",") {
		s, target, narrow := strings.Cut(word, ":")
		switch scope(s) {
		case scopeRead, scopePublish, scopeReport, scopeOperate:
		default:
			return grant{}, fmt.Errorf("scope %q: must be read, publish, publish:KIND=NAME, report or operate", word)
		}
		if narrow {
			p, err := readPattern(target)
			if err != nil || scope(s) != scopePublish {
				return grant{}, fmt.Errorf("scope %q: must be publish:KIND=NAME, KIND client, uid or group, "+
					"and NAME may end with *", word)
			}
			g.targets = append(g.targets, p)
		}
		plain = plain || !narrow && (scope(s) == scopePublish || scope(s) == scopeOperate)
		if !slices.Contains(g.scopes, scope(s)) {
			g.scopes = append(g.scopes, scope(s))
		}
	}
	if plain && len(g.targets) > 0 {
		return grant{}, errors.New("publish and operate allow each target: publish:KIND=NAME has no effect beside them")
	}
	return g, nil
}

// readPattern reads KIND=NAME. A name may end with *, which stands for any text.
func readPattern(text string) (p targetPattern, err error) {
	kind, name, ok := strings.Cut(text, "=")
	p = targetPattern{kind: kind, name: name}
	p.name, p.prefix = strings.CutSuffix(name, "*")
	if !ok || name == "" || strings.Contains(p.name, "*") || kind != "client" && kind != "uid" && kind != "group" {
		return p, errors.New("not KIND=NAME")
	}
	return p, nil
}

func (p targetPattern) String() string {
	if p.prefix {
		return string(scopePublish) + ":" + p.kind + "=" + p.name + "*"
	}
	return string(scopePublish) + ":" + p.kind + "=" + p.name
}

// reaches reports whether the grant allows a message to the target. A narrow one never allows a
// message to all clients.
func (g grant) reaches(t gateway.Target) bool {
	if len(g.targets) == 0 {
		return true
	}
	return slices.ContainsFunc(g.targets, func(p targetPattern) bool {
		name := map[string]string{"client": t.Client, "uid": t.UID, "group": t.Group}[p.kind]
		if p.prefix {
			return name != "" && strings.HasPrefix(name, p.name)
		}
		return name == p.name
	})
}

// has reports whether the grant is enough for a route that needs a scope.
func (g grant) has(need scope) bool {
	return slices.Contains(g.scopes, need) || slices.Contains(g.scopes, scopeOperate)
}

func (g grant) String() string {
	var words []string // bound: none, a line of the token file
	for _, s := range g.scopes {
		if s != scopePublish || len(g.targets) == 0 {
			words = append(words, string(s))
		}
	}
	for _, p := range g.targets {
		words = append(words, p.String())
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
