package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

const (
	maxRequests  = 32   // requests with a token that are answered at the same time
	failedRate   = 1    // failed authentications a second of one address
	failedBurst  = 10   // the same, at once
	maxAddresses = 1024 // addresses with failed authentications that are remembered
)

// guard lets requests with a valid token through.
type guard struct {
	// Static.
	tokens   *tokens // nil: none is needed, but only local requests are taken
	nobody   caller  // who sends requests then
	sessions *sessions
	log      *slog.Logger
	slots    chan struct{} // one value for each request that is being answered; bound: none, maxRequests
	logRate  *rate.Limiter // of lines about failed authentications

	failures    atomic.Uint64 // requests without a valid token
	beyondScope atomic.Uint64 // requests whose token lacks the scope

	mu     sync.Mutex
	failed map[netip.Addr]*rate.Limiter // guarded by mu; bound: none, maxAddresses
}

func newGuard(t *tokens, s *sessions, nobody caller, log *slog.Logger) *guard {
	return &guard{
		tokens: t, sessions: s, nobody: nobody, log: log,
		slots: make(chan struct{}, maxRequests), logRate: rate.NewLimiter(1, 5),
		failed: make(map[netip.Addr]*rate.Limiter),
	}
}

// caller is who sends a request: the name of the token, what it may be used for, and what it has
// used.
type caller struct {
	name  string
	grant grant
	usage *usage
}

// callerKey is the key of the request's context under which its caller stands.
type callerKey struct{}

// callerOf returns the caller of a request, without a name and a scope if there is none.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// wrap returns a handler that answers requests with a valid token by h, and others by a problem.
func (g *guard) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, refused := g.authenticate(r)
		if refused != nil {
			if refused.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			}
			if refused.Status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "10")
			}
			fail(w, refused)
			return
		}
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		default:
			w.Header().Set("Retry-After", "1")
			fail(w, refuse(http.StatusServiceUnavailable, "%d requests are being answered", maxRequests))
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, from)))
	})
}

// mayAsk returns why a request is refused whoever sends it, or nil.
func (g *guard) mayAsk(r *http.Request) *problem {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return refuse(http.StatusForbidden, "a web page of another origin must not send this request")
	}
	if g.tokens == nil && !isLocal(r.Host) {
		return refuse(http.StatusMisdirectedRequest, "without tokens the host must be localhost or a loopback address")
	}
	return nil
}

// authenticate returns the caller of a request, or why the request is refused.
func (g *guard) authenticate(r *http.Request) (c caller, refused *problem) {
	if refused := g.mayAsk(r); refused != nil {
		return caller{}, refused
	}
	if g.tokens == nil {
		return g.nobody, nil
	}
	if r.Header.Get("Authorization") == "" {
		// A session that has ended is no attempt: nobody guesses 256 bits.
		switch c, ok, refused := g.bySession(r); {
		case ok || refused != nil:
			return c, refused
		case g.sessions.valueOf(r) != "":
			return caller{}, refuse(http.StatusUnauthorized, "the session has ended")
		}
	}
	from := addressOf(r)
	if !g.mayTry(from) {
		g.failures.Add(1)
		return caller{}, refuse(http.StatusTooManyRequests, "too many requests without a valid token from %v", from)
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		if c, ok := g.tokens.find(strings.TrimSpace(given)); ok {
			return c, nil
		}
	}
	g.noteFailure(r)
	return caller{}, refuse(http.StatusUnauthorized, "send Authorization: Bearer TOKEN")
}

// mayTry reports whether the address has not failed too often.
func (g *guard) mayTry(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.failed[from]
	return l == nil || l.Tokens() >= 1
}

// noteFailure counts a failed authentication of the request's address. When the table is full, the
// addresses are forgotten that have not failed for long, or else all.
func (g *guard) noteFailure(r *http.Request) {
	g.failures.Add(1)
	if g.logRate.Allow() {
		g.log.Warn("admin request without a valid token", "addr", r.RemoteAddr, "path", r.URL.Path)
	}
	from := addressOf(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.failed[from]
	if l == nil {
		if len(g.failed) >= maxAddresses {
			for addr, l := range g.failed {
				if l.Tokens() >= failedBurst {
					delete(g.failed, addr)
				}
			}
		}
		if len(g.failed) >= maxAddresses {
			clear(g.failed)
		}
		l = rate.NewLimiter(failedRate, failedBurst)
		g.failed[from] = l
	}
	l.Allow()
}

// addressOf returns the address of a request that limits apply to: an IPv4 address or an IPv6 /64.
func addressOf(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := from.Addr().Unmap()
	if addr.Is6() {
		p, _ := addr.WithZone("").Prefix(64) // 64 bits fit
		return p.Addr()
	}
	return addr
}

// isLocal reports whether the host of a request is one of this machine's, so that a page whose name
// was made to resolve to 127.0.0.1 (DNS rebinding) gets nothing.
func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}
