package admin

import (
	"crypto/sha256"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSessions(&net.TCPAddr{Port: 9090}, false)
	now, token := time.Now(), sha256.Sum256([]byte("token"))
	values := make([]string, maxSessions)
	seen := make(map[string]bool)
	for i := range values {
		values[i] = s.begin(token, now.Add(time.Duration(i)*time.Second))
		if len(values[i]) != 43 || seen[values[i]] { // 256 bits in base64
			t.Fatalf("the value %q is short, or was given before", values[i])
		}
		seen[values[i]] = true
	}
	now = now.Add(maxSessions * time.Second)
	if _, ok := s.token(values[0], now); !ok {
		t.Fatal("the first session has ended")
	}
	s.begin(token, now) // the second one was not used for longest
	if _, ok := s.token(values[0], now); !ok {
		t.Error("the session that was used last has ended")
	}
	if _, ok := s.token(values[1], now); ok {
		t.Error("the session that was not used for longest is still there")
	}
	if n, evicted := s.figures(); n != maxSessions || evicted != 1 {
		t.Errorf("%d sessions, %d ended for newer ones", n, evicted)
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	s := newSessions(&net.TCPAddr{Port: 9090}, false)
	now, token := time.Now(), sha256.Sum256([]byte("token"))
	idle, busy := s.begin(token, now), s.begin(token, now)
	for at := now; at.Before(now.Add(sessionLife)); at = at.Add(sessionIdle / 2) {
		if got, ok := s.token(busy, at); !ok || got != token {
			t.Fatalf("a session in use has ended after %v", at.Sub(now))
		}
	}
	if _, ok := s.token(idle, now.Add(sessionIdle)); ok {
		t.Error("a session that nobody uses goes on")
	}
	if _, ok := s.token(busy, now.Add(sessionLife)); ok {
		t.Error("a session in use goes on for ever")
	}
	if _, ok := s.token("", now); ok {
		t.Error("no cookie is a session")
	}
	if n, _ := s.figures(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// The cookie is for this listener's host only, never for scripts and, with TLS, never in clear.
func TestSessionCookies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		secure         bool
		forwarded      string
		want, unwanted string
	}{
		{false, "", "sluice-9090=value; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict", "Secure"},
		{false, "https", "sluice-9090=value; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict", "Domain"},
		{true, "", "__Host-sluice-9090=value; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict", "Domain"},
	} {
		s := newSessions(&net.TCPAddr{Port: 9090}, c.secure)
		r := httptest.NewRequest(http.MethodPost, "/login", nil)
		r.Header.Set("X-Forwarded-Proto", c.forwarded)
		w := httptest.NewRecorder()
		s.set(w, r, "value")
		if got := w.Header().Get("Set-Cookie"); got != c.want || strings.Contains(got, c.unwanted) {
			t.Errorf("%+v: %s", c, got)
		}
		w = httptest.NewRecorder()
		s.set(w, r, "")
		if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
			t.Errorf("it is not taken away: %s", got)
		}
	}
}
