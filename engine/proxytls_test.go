package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// tlsProxied is a TLS listener behind proxies. Its conns first write their address.
func tlsProxied(t *testing.T, trusts bool, o ListenOptions) (*secured, reports) {
	t.Helper()
	seen := make(reports, 100)
	p := o.Proxy
	p.Trusts = func(a netip.Addr) bool { return trusts && a.IsLoopback() }
	p.ReadHeader = readTestHeader
	p.Timeout = time.Hour
	p.Report = func(_ netip.AddrPort, err error) { seen <- err }
	return serveTLS(t, funcs{data: echo, open: func(c *Conn) {
		_ = c.Write([]byte(c.RemoteAddr().Addr().String() + "\n"))
	}}, o), seen
}

// saidTLS is said with a TLS handshake after the pieces.
func saidTLS(t *testing.T, s *secured, want string, pieces ...string) string {
	t.Helper()
	raw := dial(t, s.ln)
	_ = raw.(*net.TCPConn).SetNoDelay(true)
	for _, p := range pieces {
		_, _ = io.WriteString(raw, p) // it may be refused
	}
	nc := tls.Client(raw, s.client())
	defer raw.Close()
	_, _ = io.WriteString(nc, "hello")
	b := make([]byte, max(len(want), 1))
	n, _ := io.ReadFull(nc, b)
	return string(b[:n])
}

// The header comes before the TLS handshake, whole or in two pieces. Those of others are skipped.
func TestProxyHeaderBeforeTLS(t *testing.T) {
	t.Parallel()
	s, _ := tlsProxied(t, true, ListenOptions{Proxy: &ProxyOptions{}, MaxPerIP: 100})
	const header = "<203.0.113.9:7>"
	for i := range len(header) + 1 {
		if got := saidTLS(t, s, "203.0.113.9\nhello", header[:i], header[i:]); got != "203.0.113.9\nhello" {
			t.Errorf("split at %d: %q", i, got)
		}
	}
	for in, want := range map[string]string{"": "127.0.0.1\nhello", "<>": "127.0.0.1\nhello"} {
		if got := saidTLS(t, s, want, in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	eventually(t, "no address counts any more", func() bool {
		s.ln.mu.Lock()
		defer s.ln.mu.Unlock()
		return s.ln.conns == 0 && len(s.ln.perIP) == 0
	})
	others, seen := tlsProxied(t, false, ListenOptions{Proxy: &ProxyOptions{}})
	if got := saidTLS(t, others, "127.0.0.1\nhello", header); got != "127.0.0.1\nhello" {
		t.Errorf("of a stranger: %q", got)
	}
	if err := receive(t, seen); !errors.Is(err, ErrUntrustedProxy) || others.ln.Stats().ProxyHeadersIgnored != 1 {
		t.Errorf("%v, %+v", err, others.ln.Stats())
	}
}

// An invalid header, and a missing one that is required, end the connection before the handshake.
func TestProxyHeaderBeforeTLSRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in       string
		required bool
	}{{"<nowhere>", false}, {"", true}} {
		s, seen := tlsProxied(t, true, ListenOptions{Proxy: &ProxyOptions{Required: c.required}})
		if got := saidTLS(t, s, "", c.in); got != "" {
			t.Errorf("%q: %q", c.in, got)
		}
		if err := receive(t, seen); !errors.Is(err, ErrProxyHeader) {
			t.Errorf("%q: %v", c.in, err)
		}
		eventually(t, "its place is free", func() bool { return s.ln.Stats().Conns == 0 })
		if n := s.ln.Stats().ProxyHeadersInvalid; n != 1 {
			t.Errorf("%q: counted %d times", c.in, n)
		}
	}
}

// Limits per address are about the client before its handshake, too.
func TestProxyLimitsBeforeTLS(t *testing.T) {
	t.Parallel()
	s, _ := tlsProxied(t, true, ListenOptions{Proxy: &ProxyOptions{}, MaxPerIP: 1})
	raw := dial(t, s.ln)
	_, _ = io.WriteString(raw, "<203.0.113.9:7>")
	first := tls.Client(raw, s.client())
	if err := first.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := saidTLS(t, s, "", "<203.0.113.9:8>"); got != "" {
		t.Errorf("%q", got)
	}
	if n := s.ln.Stats().OverMaxPerIP; n != 1 {
		t.Errorf("%d were refused", n)
	}
	_ = raw.Close()
	eventually(t, "the place is free", func() bool {
		return saidTLS(t, s, "203.0.113.9\n", "<203.0.113.9:9>") == "203.0.113.9\n"
	})
}
