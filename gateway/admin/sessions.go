package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxSessions = 256            // the one that was not used for longest ends
	sessionLife = 12 * time.Hour // after the login
	sessionIdle = 2 * time.Hour  // after the last request
)

// session is what a browser's cookie stands for. It may do what its token may do at the moment, and
// ends with it.
type session struct {
	token       [sha256.Size]byte // the hash of the token
	since, used time.Time         // of the login and the last request
}

// sessions are those of the dashboard. They are in memory only, by the hash of their cookies'
// values.
type sessions struct {
	// Static.
	cookie string // its name. Browsers do not keep cookies apart by port, so it has the port
	secure bool   // browsers send it over TLS only

	mu      sync.Mutex
	all     map[[sha256.Size]byte]*session // guarded by mu; bound: sessions of the dashboard
	evicted uint64                         // guarded by mu
}

// newSessions returns the sessions of a listener.
func newSessions(addr net.Addr, secure bool) *sessions {
	s := &sessions{secure: secure, all: make(map[[sha256.Size]byte]*session)}
	_, port, _ := net.SplitHostPort(addr.String())
	s.cookie = "sluice-" + port
	if secure {
		s.cookie = "__Host-" + s.cookie // only this host can set it
	}
	return s
}

// begin makes a session of a token, and returns the value of its cookie: 256 random bits.
func (s *sessions) begin(token [sha256.Size]byte, now time.Time) (value string) {
	bits := make([]byte, 32)
	_, _ = rand.Read(bits) // never fails
	value = base64.RawURLEncoding.EncodeToString(bits)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if len(s.all) >= maxSessions {
		s.evict()
	}
	s.all[sha256.Sum256([]byte(value))] = &session{token: token, since: now, used: now}
	return value
}

// token returns the hash of the token of a session, and notes that the session was used.
func (s *sessions) token(value string, now time.Time) (hash [sha256.Size]byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	one := s.all[sha256.Sum256([]byte(value))]
	if one == nil {
		return hash, false
	}
	one.used = now
	return one.token, true
}

// end ends a session, if there is one.
func (s *sessions) end(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(value)))
}

// expire ends what is too old. mu must be held.
func (s *sessions) expire(now time.Time) {
	for key, one := range s.all {
		if now.Sub(one.since) >= sessionLife || now.Sub(one.used) >= sessionIdle {
			delete(s.all, key)
		}
	}
}

// evict ends the session that was not used for longest. mu must be held.
func (s *sessions) evict() {
	var oldest [sha256.Size]byte
	var at time.Time
	for key, one := range s.all {
		if at.IsZero() || one.used.Before(at) {
			oldest, at = key, one.used
		}
	}
	delete(s.all, oldest)
	s.evicted++
}

// figures returns how many sessions there are, and how many have ended for newer ones.
func (s *sessions) figures() (now int, evicted uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all), s.evicted
}

// valueOf returns the value of the cookie of a request, empty if there is none.
func (s *sessions) valueOf(r *http.Request) string {
	if c, err := r.Cookie(s.cookie); err == nil {
		return c.Value
	}
	return ""
}

// set gives the browser the cookie, or takes it away if value is empty.
func (s *sessions) set(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{
		Name: s.cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: s.secure || r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(sessionLife / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
