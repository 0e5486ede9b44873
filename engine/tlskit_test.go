package engine

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
)

// secured is an engine with one loop and a TLS listener, whose certificate is of "one.test".
type secured struct {
	*Engine
	ln        *Listener
	authority *certstest.Authority
	config    *tls.Config
}

// serveTLS starts a listener. o.TLS may be nil.
func serveTLS(t testing.TB, h Handler, o ListenOptions) *secured {
	t.Helper()
	s := &secured{Engine: start(t, Config{Loops: 1}), authority: certstest.New(t)}
	s.config = &tls.Config{
		Certificates: []tls.Certificate{s.authority.Pair(t, "one.test")}, NextProtos: []string{"http/1.1"},
	}
	if o.TLS == nil {
		o.TLS = &TLSOptions{}
	}
	if o.TLS.Config == nil {
		o.TLS.Config = s.config
	}
	s.ln = serve(t, s.Engine, h, o)
	return s
}

// client is the configuration of a client that trusts the certificate.
func (s *secured) client() *tls.Config {
	return &tls.Config{RootCAs: s.authority.Pool(), ServerName: "one.test"}
}

// dial connects a client. Its handshake is complete.
func (s *secured) dial(t testing.TB, c *tls.Config) (*tls.Conn, *chopper) {
	t.Helper()
	raw := &chopper{Conn: dial(t, s.ln)}
	nc := tls.Client(raw, c)
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return nc, raw
}

// loopStats returns the stats of the only loop.
func (s *secured) loopStats() LoopStats { return figures(s.Engine)[0] }

// chopper is the socket of a client whose records a test takes before they are sent.
type chopper struct {
	net.Conn
	mu      sync.Mutex
	taking  bool   // guarded by mu
	records []byte // guarded by mu
}

func (c *chopper) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taking {
		c.records = append(c.records, p...)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// take returns the records that f writes.
func (c *chopper) take(f func()) []byte {
	c.mu.Lock()
	c.taking = true
	c.mu.Unlock()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking = false
	records := c.records
	c.records = nil
	return records
}

// send writes records, or parts of them.
func (c *chopper) send(t testing.TB, b []byte) {
	t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience)) // CloseWrite of the tls.Conn has set another one
	if _, err := c.Conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// partials is an echo that tells how much of a record is held.
type partials struct {
	funcs
	held chan int
}

func (p partials) OnPartial(_ *Conn, n int) { p.held <- n }

func newPartials() partials {
	return partials{funcs{data: echo}, make(chan int, 1<<16)}
}

func versions(t *testing.T, f func(t *testing.T, version uint16)) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, version)
		})
	}
}

// expect reads an answer and compares it.
func expect(t testing.TB, nc net.Conn, want []byte) {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	if got := readN(t, nc, len(want)); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came, and they differ", len(got))
	}
}

func write(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
}

// pattern returns n bytes of which no two neighbours are equal.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i>>8)
	}
	return b
}
