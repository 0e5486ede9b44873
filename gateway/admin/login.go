package admin

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"time"
)

// maxLogin is the size of the body of a login, in bytes.
const maxLogin = 4 << 10

// writeHeader is what requests of the page have that change something. A form of another page
// cannot add it.
const writeHeader = "X-Sluice-CSRF"

// Login is the body of POST /login.
type Login struct {
	Token string `json:"token"`
}

// Session is the answer to POST /login and GET /session.
type Session struct {
	Login    string  `json:"login"`              // none: it is not needed; needed; done
	Operator string  `json:"operator,omitempty"` // the name of the token
	Scopes   []scope `json:"scopes,omitempty"`
}

// logins answers the requests about sessions.
type logins struct {
	guard *guard
	audit *slog.Logger
}

// sessionOf describes a caller that is logged in.
func sessionOf(c caller) Session {
	return Session{Login: "done", Operator: c.name, Scopes: c.grant.scopes}
}

// bySession returns the caller whose session the cookie of a request names. ok is false if there is
// no such session, or its token is not in the file any more. refused is why the session is not
// enough for the request.
func (g *guard) bySession(r *http.Request) (c caller, ok bool, refused *problem) {
	value := g.sessions.valueOf(r)
	if value == "" {
		return caller{}, false, nil
	}
	hash, ok := g.sessions.token(value, time.Now())
	if !ok {
		return caller{}, false, nil
	}
	if c, ok = g.tokens.byHash(hash); !ok {
		g.sessions.end(value)
		return caller{}, false, nil
	}
	// A page at another port of this host is of the same site: its requests have the cookie.
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return caller{}, false, refuse(http.StatusForbidden, "a page of another origin cannot use a session")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(writeHeader) == "" {
		return caller{}, false, refuse(http.StatusForbidden,
			"a request of a session that changes something needs the header %s", writeHeader)
	}
	return c, true, nil
}

// begin answers POST /login: with a session for a token that may read.
func (l *logins) begin(w http.ResponseWriter, r *http.Request) (any, error) {
	g := l.guard
	if refused := g.mayAsk(r); refused != nil {
		return nil, refused
	}
	if g.tokens == nil {
		return nil, refuse(http.StatusNotFound, "no login is needed: there is no token file")
	}
	from := addressOf(r)
	if !g.mayTry(from) {
		g.failures.Add(1)
		w.Header().Set("Retry-After", "10")
		return nil, refuse(http.StatusTooManyRequests, "too many requests without a valid token from %v", from)
	}
	var body Login
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	if err := read(w, r, &body); err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(body.Token))
	c, ok := g.tokens.byHash(hash)
	if !ok {
		g.noteFailure(r)
		return nil, refuse(http.StatusUnauthorized, "this token is not valid")
	}
	if !c.grant.has(scopeRead) {
		g.beyondScope.Add(1)
		return nil, refuse(http.StatusForbidden, "the token %s has the scope %s: the dashboard needs read or operate",
			c.name, c.grant)
	}
	g.sessions.end(g.sessions.valueOf(r))
	g.sessions.set(w, r, g.sessions.begin(hash, time.Now()))
	l.audit.Info("admin login", "addr", r.RemoteAddr, "operator", c.name)
	return sessionOf(c), nil
}

// end answers POST /logout. It ends the session of the cookie.
func (l *logins) end(w http.ResponseWriter, r *http.Request) (any, error) {
	if refused := l.guard.mayAsk(r); refused != nil {
		return nil, refused
	}
	if l.guard.tokens != nil {
		c, ok, refused := l.guard.bySession(r)
		if refused != nil {
			return nil, refused
		}
		if ok {
			l.audit.Info("admin logout", "addr", r.RemoteAddr, "operator", c.name)
		}
		l.guard.sessions.end(l.guard.sessions.valueOf(r))
		l.guard.sessions.set(w, r, "")
	}
	return Session{Login: "needed"}, nil
}

// session answers GET /session, which everybody may ask.
func (l *logins) session(_ http.ResponseWriter, r *http.Request) (any, error) {
	if refused := l.guard.mayAsk(r); refused != nil {
		return nil, refused
	}
	if l.guard.tokens == nil {
		return Session{Login: "none", Scopes: full().scopes}, nil
	}
	c, ok, refused := l.guard.bySession(r)
	if refused != nil {
		return nil, refused
	}
	if !ok {
		return Session{Login: "needed"}, nil
	}
	return sessionOf(c), nil
}
