package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Records that do nothing end the connection when there are more than a few.
func TestTLSUselessRecords(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]struct {
		version uint16
		kind    byte
		data    []byte
	}{
		"empty, 1.3":          {tls.VersionTLS13, 23, nil},
		"empty, 1.2":          {tls.VersionTLS12, 23, nil},
		"warnings, 1.2":       {tls.VersionTLS12, 21, []byte{1, 100}},
		"user_canceled, 1.3":  {tls.VersionTLS13, 21, []byte{1, 90}},
		"renegotiation, 1.2":  {tls.VersionTLS12, 22, []byte{1, 0, 0, 0}},
		"hello request, 1.2":  {tls.VersionTLS12, 22, []byte{0, 0, 0, 0}},
		"a second hello, 1.3": {tls.VersionTLS13, 22, []byte{1, 0, 0, 0}},
		"unknown, 1.3":        {tls.VersionTLS13, 99, []byte{1}},
		"a finished, 1.3":     {tls.VersionTLS13, 22, append([]byte{20, 0, 0, 32}, make([]byte, 32)...)},
		"long handshake, 1.3": {tls.VersionTLS13, 22, []byte{24, 0xFF, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan error, 1)
			s := serveTLS(t, funcs{close: func(_ *Conn, err error) { closed <- err }}, ListenOptions{})
			f := s.forge(t, record.version)
			var all []byte
			for range 40 {
				all = append(all, f.record(record.kind, record.data)...)
			}
			f.raw.send(t, all)
			if err := receive(t, closed); !errors.Is(err, ErrTLS) {
				t.Errorf("OnClose got %v", err)
			}
			if got := s.loopStats(); got.TLSErrors != 1 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A few of them, between messages, do no harm, and neither do key updates.
func TestTLSKeyUpdates(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	f := s.forge(t, tls.VersionTLS13)
	for range 500 {
		all := append(f.update(t), f.record(23, nil)...)
		f.raw.send(t, append(all, f.record(23, []byte("message"))...))
		expect(t, f, []byte("message"))
	}
	if got := s.loopStats(); got.TLSErrors != 0 {
		t.Errorf("%+v", got)
	}
}

// A peer that asks for key updates and reads no answers is closed. Others are served meanwhile.
func TestTLSKeyUpdateFlood(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 10)
	s := serveTLS(t, funcs{
		open:  func(c *Conn) { _ = secureOf(c).SetWriteBuffer(4096) }, // the kernel would take megabytes
		data:  func(c *Conn, in []byte) int { return echoUnless(c, in, 'x') },
		close: func(_ *Conn, err error) { closed <- err },
	}, ListenOptions{})
	f := s.forge(t, tls.VersionTLS13)
	_ = f.raw.Conn.(*net.TCPConn).SetReadBuffer(4096)
	honest, _ := s.dial(t, s.client())
	var flood sync.WaitGroup
	flood.Go(func() {
		for {
			var all []byte
			for range 100 {
				all = append(append(all, f.update(t)...), f.record(23, []byte("x"))...)
			}
			if _, err := f.raw.Conn.Write(all); err != nil {
				return
			}
		}
	})
	var reason error
	for reason == nil {
		write(t, honest, []byte("honest"))
		expect(t, honest, []byte("honest"))
		select {
		case reason = <-closed:
		default:
		}
	}
	if !errors.Is(reason, ErrSlowConsumer) {
		t.Errorf("OnClose got %v", reason)
	}
	flood.Wait()
}

// echoUnless answers what does not begin with a byte.
func echoUnless(c *Conn, in []byte, but byte) int {
	if in[0] != but {
		_ = c.Write(in)
	}
	return len(in)
}

// A client that asks for another handshake in TLS 1.2 gets an alert and is closed.
func TestTLSRenegotiation(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	s := serveTLS(t, funcs{close: func(_ *Conn, err error) { closed <- err }}, ListenOptions{})
	f := s.forge(t, tls.VersionTLS12)
	hello := append([]byte{1, 0, 0, 41, 3, 3}, make([]byte, 32)...)
	hello = append(hello, 0, 0, 2, 0xC0, 0x2B, 1, 0)
	f.raw.send(t, f.record(22, hello))
	_, err := io.ReadAll(f)
	if err == nil || !strings.Contains(err.Error(), "unexpected message") {
		t.Errorf("the client got %v", err)
	}
	if err := receive(t, closed); !errors.Is(err, ErrTLS) {
		t.Errorf("OnClose got %v", err)
	}
}

// Many clients that begin a record and do not end it hold what they have sent and no more.
func TestTLSHalfRecordsForEver(t *testing.T) {
	t.Parallel()
	h := newPartials()
	s := serveTLS(t, h, ListenOptions{})
	const clients = 50
	for range clients {
		nc, raw := s.dial(t, s.client())
		record := raw.take(func() { write(t, nc, pattern(16<<10)) })
		raw.send(t, record[:1000])
		if held := receive(t, h.held); held != 1000 {
			t.Fatalf("%d bytes are held", held)
		}
	}
	honest, _ := s.dial(t, s.client())
	write(t, honest, []byte("honest"))
	expect(t, honest, []byte("honest"))
	on(t, s.Loops()[0], func() {
		held := 0
		for c := range s.Loops()[0].Conns() {
			held += cap(secureOf(c).partial)
		}
		if held > clients*2048 {
			t.Errorf("%d bytes are held for %d clients with 1000 each", held, clients)
		}
	})
}

// Certificates are exchanged while clients connect and talk. None is lost.
func TestTLSCertificatesExchanged(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	var current sync.Mutex
	certificate := s.authority.Pair(t, "one.test")
	dynamic := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current.Lock()
		defer current.Unlock()
		return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
	}}
	ln := serve(t, s.Engine, funcs{data: echo}, ListenOptions{TLS: &TLSOptions{Config: dynamic}})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	talked := make([]int, 4)
	for i := range talked {
		clients.Go(func() {
			old, err := tls.Dial("tcp", ln.Addr().String(), s.client())
			if err != nil {
				t.Error(err)
				return
			}
			defer old.Close() //nolint:errcheck // the test ends
			for ; ; talked[i]++ {
				select {
				case <-stop:
					return
				default:
				}
				fresh, err := tls.Dial("tcp", ln.Addr().String(), s.client())
				if err != nil {
					t.Error(err)
					return
				}
				for _, nc := range []*tls.Conn{old, fresh} {
					_ = nc.SetDeadline(time.Now().Add(patience))
					b := []byte("message")
					_, _ = nc.Write(b)
					if _, err := io.ReadFull(nc, b); err != nil {
						t.Error(err)
						return
					}
				}
				_ = fresh.Close()
			}
		})
	}
	for range 100 {
		next := s.authority.Pair(t, "one.test")
		current.Lock()
		certificate = next
		current.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	for i, n := range talked {
		if n == 0 {
			t.Errorf("client %d has not talked", i)
		}
	}
}
