package engine

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// tlsStats returns the counters of handshakes.
func (s *secured) tlsStats() TLSStats { return s.ln.Stats().TLS }

func TestTLSHandshakeRefusals(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	refused := uint64(0)
	for name, change := range map[string]func(*tls.Config){
		"another protocol":  func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"an old version":    func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"another authority": func(c *tls.Config) { c.RootCAs = nil },
	} {
		c := s.client()
		change(c)
		if nc, err := tls.Dial("tcp", s.ln.Addr().String(), c); err == nil {
			_ = nc.Close()
			t.Errorf("%s: accepted", name)
		}
		refused++
	}
	for _, hello := range []string{"", "\x16\x03\x01", "nonsense", "\x80\x2e\x01\x00\x02", "\x16\x03\x01\xff\xff"} {
		nc := dial(t, s.ln)
		_, _ = io.WriteString(nc, hello)
		_ = nc.(*net.TCPConn).CloseWrite() // it may be closed already
		_, _ = io.Copy(io.Discard, nc)
		refused++
	}
	eventually(t, "all are counted", func() bool { return s.tlsStats().Failed == refused })
	if got := s.ln.Stats(); got.Accepted != 0 || got.TLS.Completed != 0 || got.Conns != 0 {
		t.Errorf("%+v", got)
	}
	nc, _ := s.dial(t, s.client())
	write(t, nc, []byte("x"))
	expect(t, nc, []byte("x"))
}

// A client that sends an HTTP request without TLS is answered.
func TestTLSAnswersPlainHTTP(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{}, ListenOptions{})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		nc := dial(t, s.ln)
		write(t, nc, []byte(method+" / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 3000)+"\r\n\r\n"))
		response, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusBadRequest || err != nil ||
			string(text) != "Client sent an HTTP request to an HTTPS server.\n" {
			t.Errorf("%s: %s, %q, %v", method, response.Status, text, err)
		}
		_ = nc.Close()
	}
	eventually(t, "all are counted", func() bool { return s.tlsStats().Failed == 7 && s.ln.Stats().Conns == 0 })
}

// Sessions are resumed, in both versions.
func TestTLSResumption(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version uint16) {
		s := serveTLS(t, funcs{data: echo}, ListenOptions{})
		c := s.client()
		c.MaxVersion, c.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			nc, _ := s.dial(t, c)
			write(t, nc, []byte("x"))
			expect(t, nc, []byte("x")) // a ticket was read
			if resumed := nc.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("connection %d: resumed %v", i, resumed)
			}
		}
		if got := s.tlsStats(); got.Completed != 3 || got.Resumed != 2 {
			t.Errorf("%+v", got)
		}
	})
}

// A handshake that takes too long is ended. Bytes that come meanwhile do not prolong it.
func TestTLSHandshakeTimeout(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{TLS: &TLSOptions{HandshakeTimeout: 200 * time.Millisecond}})
	silent, begun := dial(t, s.ln), dial(t, s.ln)
	write(t, begun, []byte("\x16\x03\x01\x01\x00\x01"))
	for _, nc := range []net.Conn{silent, begun} {
		if n, err := nc.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes came", n)
		}
	}
	eventually(t, "both are counted", func() bool { return s.tlsStats().TimedOut == 2 && s.ln.Stats().Conns == 0 })
}

// When there are too many handshakes, those of the address that has most make room.
func TestTLSHandshakeFlood(t *testing.T) {
	t.Parallel()
	const slots, flood = 20, 100
	s := serveTLS(t, funcs{data: echo}, ListenOptions{TLS: &TLSOptions{MaxHandshakes: slots, HandshakeTimeout: time.Hour}})
	for range flood {
		nc := dial(t, s.ln)
		write(t, nc, []byte("\x16\x03\x01"))
	}
	eventually(t, "the slots are taken", func() bool { return s.tlsStats().Handshaking == slots })
	other := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	raw, err := other.Dial("tcp", s.ln.Addr().String())
	if err != nil {
		t.Skip("there is no second loopback address:", err)
	}
	defer raw.Close()
	nc := tls.Client(raw, s.client())
	_ = nc.SetDeadline(time.Now().Add(patience))
	write(t, nc, []byte("honest"))
	expect(t, nc, []byte("honest"))
	got := s.tlsStats()
	if got.Completed != 1 || got.Evicted < flood-slots || got.Handshaking > slots {
		t.Errorf("%+v", got)
	}
}

func TestTLSHandshakeRate(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{TLS: &TLSOptions{HandshakeRate: 2}})
	refused := 0
	for range 50 {
		if nc, err := tls.Dial("tcp", s.ln.Addr().String(), s.client()); err == nil {
			_ = nc.Close()
		} else {
			refused++
		}
	}
	if got := s.tlsStats(); got.OverRate != uint64(refused) || refused == 0 || got.Completed < 2 {
		t.Errorf("%d refused, %+v", refused, got)
	}
}

// Update replaces the certificates of later connections. It cannot add or remove TLS.
func TestTLSUpdate(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	plain := serve(t, s.Engine, funcs{}, ListenOptions{})
	next := &TLSOptions{Config: &tls.Config{Certificates: []tls.Certificate{s.authority.Pair(t, "two.test")}}}
	if s.ln.Update(ListenOptions{}) == nil || plain.Update(ListenOptions{TLS: next}) == nil {
		t.Error("Update has added or removed TLS")
	}
	old, _ := s.dial(t, s.client())
	if err := s.ln.Update(ListenOptions{TLS: next}); err != nil {
		t.Fatal(err)
	}
	c := s.client()
	c.ServerName = "two.test"
	fresh, _ := s.dial(t, c)
	for _, nc := range []*tls.Conn{old, fresh} {
		write(t, nc, []byte("x"))
		expect(t, nc, []byte("x"))
	}
}

// Limits of connections count those in their handshake. Accept decides before it.
func TestTLSLimits(t *testing.T) {
	t.Parallel()
	accepted := 0
	s := serveTLS(t, funcs{data: echo}, ListenOptions{MaxPerIP: 1, Accept: func(netip.AddrPort) Handler {
		if accepted++; accepted == 1 {
			return nil
		}
		return funcs{data: echo}
	}})
	if _, err := dial(t, s.ln).Read(make([]byte, 1)); err == nil {
		t.Error("Accept refused, and the connection is open")
	}
	held := dial(t, s.ln) // silent
	eventually(t, "it is in its handshake", func() bool { return s.tlsStats().Handshaking == 1 })
	if _, err := dial(t, s.ln).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection is open")
	}
	if got := s.ln.Stats(); got.OverMaxPerIP != 1 || got.Refused != 1 {
		t.Errorf("%+v", got)
	}
	_ = held.Close()
	eventually(t, "its place is free", func() bool { return s.ln.Stats().Conns == 0 })
	nc, _ := s.dial(t, s.client())
	write(t, nc, []byte("x"))
	expect(t, nc, []byte("x"))
}

// Close ends the handshakes, and not the connections.
func TestTLSListenerClose(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	nc, _ := s.dial(t, s.client())
	eventually(t, "the first one is open", func() bool { return s.ln.Stats().Accepted == 1 })
	silent := dial(t, s.ln)
	eventually(t, "one is in its handshake", func() bool { return s.tlsStats().Handshaking == 1 })
	if err := s.ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("a handshake is in progress still")
	}
	write(t, nc, []byte("x"))
	expect(t, nc, []byte("x"))
}
