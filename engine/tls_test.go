package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTLSEcho(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version uint16) {
		s := serveTLS(t, funcs{data: echo}, ListenOptions{Conn: ConnOptions{MaxOutput: 8 << 20}})
		c := s.client()
		c.MaxVersion = version
		nc, _ := s.dial(t, c)
		for _, n := range []int{1, 100, 16 << 10, 16<<10 + 1, 200_000, 3 << 20} {
			message := pattern(n)
			sent := make(chan error, 1)
			go func() { _, err := nc.Write(message); sent <- err }()
			expect(t, nc, message)
			if err := receive(t, sent); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.loopStats(); got.TLSConns != 1 || got.TLSErrors != 0 {
			t.Errorf("%+v", got)
		}
		if got := s.ln.Stats(); got.TLS.Completed != 1 || got.Accepted != 1 || got.TLS.Handshaking != 0 {
			t.Errorf("%+v", got)
		}
		_ = nc.Close()
		eventually(t, "the conn is gone", func() bool {
			got := s.loopStats()
			return got.Conns == 0 && got.TLSConns == 0 && s.ln.Stats().Conns == 0
		})
	})
}

// A loop can replace the input buffers of this version of package crypto/tls.
func TestTLSBuffersAreKnown(t *testing.T) {
	t.Parallel()
	if raw, hand := buffersOf(tls.Server(&records{}, &tls.Config{})); raw == nil || hand == nil {
		t.Error("the fields of tls.Conn are not those expected: idle connections keep their buffers")
	}
}

// Without access to them it works too.
func TestTLSUnknownBuffers(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{
		open: func(c *Conn) { r := secureOf(c).records; r.raw, r.hand = nil, nil },
		data: echo,
	}, ListenOptions{})
	nc, raw := s.dial(t, s.client())
	records := raw.take(func() {
		for i := range 5 {
			write(t, nc, pattern(i*5000+1))
		}
	})
	raw.send(t, records[:20000])
	raw.send(t, records[20000:])
	for i := range 5 {
		expect(t, nc, pattern(i*5000+1))
	}
}

// A record that comes in two pieces is passed on when it is complete, wherever it was cut, and the
// Handler knows how much is held.
func TestTLSRecordsCutAnywhere(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, version uint16) {
		h := newPartials()
		s := serveTLS(t, h, ListenOptions{})
		c := s.client()
		c.MaxVersion = version
		nc, raw := s.dial(t, c)
		message := []byte("cut me")
		size := len(raw.take(func() { write(t, nc, message) }))
		nc, raw = s.dial(t, c)
		for cut := 1; cut < 2*size; cut++ {
			records := raw.take(func() { write(t, nc, message); write(t, nc, message) })
			raw.send(t, records[:cut])
			if whole := cut / size; cut%size > 0 {
				for want := cut % size; ; {
					if got := receive(t, h.held); got == want {
						break
					}
				}
				expect(t, nc, bytes.Repeat(message, whole))
				raw.send(t, records[cut:])
				expect(t, nc, bytes.Repeat(message, 2-whole))
				if got := receive(t, h.held); got != 0 {
					t.Fatalf("cut at %d: %d bytes are held at the end", cut, got)
				}
				continue
			}
			raw.send(t, records[cut:])
			expect(t, nc, bytes.Repeat(message, 2))
		}
		on(t, s.Loops()[0], func() {
			for c := range s.Loops()[0].Conns() {
				if x := secureOf(c); x.partial != nil || x.rest != nil || x.records.raw.Cap() > 0 || x.records.hand.Cap() > 0 {
					t.Error("an idle conn holds buffers")
				}
			}
		})
	})
}

// One byte at a time.
func TestTLSChoppedRecords(t *testing.T) {
	t.Parallel()
	h := newPartials()
	s := serveTLS(t, h, ListenOptions{})
	nc, raw := s.dial(t, s.client())
	message := pattern(300)
	records := raw.take(func() { write(t, nc, message) })
	for i := range records {
		raw.send(t, records[i:i+1])
		if held := receive(t, h.held); i < len(records)-1 && held != i+1 || i == len(records)-1 && held != 0 {
			t.Fatalf("after %d of %d bytes %d are held", i+1, len(records), held)
		}
	}
	expect(t, nc, message)
}

// The plaintext of many records that come together is passed on at once.
func TestTLSManyRecordsInOneRead(t *testing.T) {
	t.Parallel()
	calls := 0
	s := serveTLS(t, funcs{data: func(c *Conn, in []byte) int { calls++; return echo(c, in) }}, ListenOptions{})
	nc, raw := s.dial(t, s.client())
	var all []byte
	records := raw.take(func() {
		for i := range 200 {
			all = append(all, pattern(i)...)
			write(t, nc, pattern(i))
		}
	})
	raw.send(t, records)
	expect(t, nc, all)
	on(t, s.Loops()[0], func() {
		if calls > 20 {
			t.Errorf("%d calls of OnData for 200 records of one write", calls)
		}
	})
}

// A turn's output is sealed at once.
func TestTLSOneRecordForATurn(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: func(c *Conn, in []byte) int {
		for range 100 {
			_ = c.Write(in)
		}
		return len(in)
	}}, ListenOptions{})
	s.config.DynamicRecordSizingDisabled = true
	nc, _ := s.dial(t, s.client())
	before := s.loopStats()
	write(t, nc, []byte("x"))
	expect(t, nc, bytes.Repeat([]byte("x"), 100))
	after := s.loopStats()
	if n := after.Writes - before.Writes; n != 1 {
		t.Errorf("%d writes", n)
	}
	if n := after.BytesOut - before.BytesOut; n <= 100 || n > 150 {
		t.Errorf("%d bytes for 100 messages", n)
	}
}

// The peer ends its side with close_notify, with a FIN, or with both, and reads on.
func TestTLSHalfClose(t *testing.T) {
	t.Parallel()
	bye := errors.New("bye")
	for name, end := range map[string]func(nc *tls.Conn, raw net.Conn){
		"close_notify":         func(nc *tls.Conn, _ net.Conn) { _ = nc.CloseWrite() },
		"FIN":                  func(_ *tls.Conn, raw net.Conn) { _ = raw.(*net.TCPConn).CloseWrite() },
		"close_notify and FIN": func(nc *tls.Conn, raw net.Conn) { _ = nc.CloseWrite(); _ = raw.(*net.TCPConn).CloseWrite() },
	} {
		for _, n := range []int{1, 1000, 3 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, n), func(t *testing.T) {
				t.Parallel()
				closed := make(chan error, 2)
				ended := 0
				h := enders{
					funcs{data: echo, close: func(_ *Conn, err error) { closed <- err }},
					func(c *Conn) {
						ended++
						later(c, func() { _ = c.Write([]byte("!")); c.CloseAfterFlush(bye, patience) })
					},
				}
				s := serveTLS(t, h, ListenOptions{Conn: ConnOptions{MaxOutput: 8 << 20}})
				nc, raw := s.dial(t, s.client())
				go func() {
					_, _ = nc.Write(pattern(n))
					end(nc, raw.Conn)
				}()
				got, err := io.ReadAll(nc) // ends with close_notify, or it is an error
				if err != nil || !bytes.Equal(got, append(pattern(n), '!')) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if reason := receive(t, closed); !errors.Is(reason, bye) {
					t.Errorf("OnClose got %v", reason)
				}
				on(t, s.Loops()[0], func() {
					if ended != 1 {
						t.Errorf("OnEnd came %d times", ended)
					}
				})
				if got := s.loopStats(); len(closed) > 0 || got.Conns != 0 || got.TLSConns != 0 {
					t.Errorf("%d more ends, %+v", len(closed), got)
				}
			})
		}
	}
}

// The connections of other Handlers end then, and the peer gets what was written, and close_notify.
func TestTLSCloseNotifyWithoutEnder(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	h := funcs{data: echo, close: func(_ *Conn, err error) { closed <- err }}
	s := serveTLS(t, h, ListenOptions{})
	nc, _ := s.dial(t, s.client())
	write(t, nc, []byte("last"))
	_ = nc.CloseWrite()
	if got, err := io.ReadAll(nc); string(got) != "last" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := receive(t, closed); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// What came before close_notify is handled, also if the conn was not read meanwhile.
func TestTLSCloseNotifyWhilePaused(t *testing.T) {
	t.Parallel()
	for name, ender := range map[string]bool{"Ender": true, "no Ender": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 10)
			var conn *Conn
			base := funcs{data: func(c *Conn, in []byte) int {
				if conn == nil {
					conn = c
					c.Pause()
					got <- "paused"
					return 0
				}
				got <- string(in)
				return len(in)
			}, close: func(_ *Conn, err error) { got <- fmt.Sprint("closed: ", err) }}
			var h Handler = base
			if ender {
				h = enders{base, func(c *Conn) { got <- "end"; c.Close(errors.New("done")) }}
			}
			s := serveTLS(t, h, ListenOptions{})
			nc, raw := s.dial(t, s.client())
			raw.send(t, raw.take(func() { write(t, nc, []byte("data")); _ = nc.CloseWrite() }))
			want := []string{"paused", "data", "closed: EOF"}
			if ender {
				want = []string{"paused", "data", "end", "closed: done"}
			}
			for i, w := range want {
				if g := receive(t, got); g != w {
					t.Errorf("%d: %q, want %q", i, g, w)
				}
				if i == 0 {
					on(t, s.Loops()[0], func() { conn.Resume() })
				}
			}
		})
	}
}

// A FIN within a record is not the peer's end.
func TestTLSFINWithinRecord(t *testing.T) {
	t.Parallel()
	closed := make(chan error, 1)
	h := enders{funcs{close: func(_ *Conn, err error) { closed <- err }}, func(*Conn) { t.Error("OnEnd was called") }}
	s := serveTLS(t, h, ListenOptions{})
	nc, raw := s.dial(t, s.client())
	records := raw.take(func() { write(t, nc, []byte("half")) })
	raw.send(t, records[:len(records)-1])
	hangUp(t, raw.Conn)
	if err := receive(t, closed); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// Close and CloseAfterFlush send close_notify.
func TestTLSCloses(t *testing.T) {
	t.Parallel()
	bye := errors.New("bye")
	for name, end := range map[string]func(*Conn){
		"Close":           func(c *Conn) { later(c, func() { c.Close(bye) }) },
		"CloseAfterFlush": func(c *Conn) { c.CloseAfterFlush(bye, patience) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, funcs{data: func(c *Conn, in []byte) int {
				_ = c.Write(in)
				end(c)
				return len(in)
			}}, ListenOptions{})
			nc, raw := s.dial(t, s.client())
			write(t, nc, []byte("x"))
			if got, err := io.ReadAll(nc); string(got) != "x" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			// ReadAll does not tell close_notify from a FIN between two records.
			if _, err := nc.Write([]byte("y")); err == nil {
				_, _ = io.Copy(io.Discard, raw.Conn)
			}
			eventually(t, "the conn is gone", func() bool { return s.loopStats().TLSConns == 0 })
		})
	}
}

// Records that are not valid end the connection with an alert, and are counted.
func TestTLSInvalidRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(record []byte) []byte
		alert string
	}{
		"a changed byte":            {func(r []byte) []byte { r[len(r)-1] ^= 1; return r }, "bad record MAC"},
		"another version":           {func(r []byte) []byte { r[1] = 9; return r }, "protocol version"},
		"too long":                  {func([]byte) []byte { return []byte{23, 3, 3, 0xFF, 0xFF, 0} }, "record overflow"},
		"too long, only its header": {func([]byte) []byte { return []byte{23, 3, 3, 0xFF, 0xFF} }, "record overflow"},
		"plaintext":                 {func([]byte) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") }, "protocol version"},
		"a bad record after a good one": {func(r []byte) []byte {
			return append(r, 23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
		}, "bad record MAC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan error, 1)
			s := serveTLS(t, funcs{close: func(_ *Conn, err error) { closed <- err }}, ListenOptions{})
			nc, raw := s.dial(t, s.client())
			record := raw.take(func() { write(t, nc, []byte("hello")) })
			raw.send(t, c.spoil(record))
			_, err := nc.Read(make([]byte, 1))
			if err == nil || !strings.Contains(err.Error(), c.alert) {
				t.Errorf("the client got %v, want the alert %q", err, c.alert)
			}
			if err := receive(t, closed); !errors.Is(err, ErrTLS) {
				t.Errorf("OnClose got %v", err)
			}
			if got := s.loopStats(); got.TLSErrors != 1 || got.TLSConns != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// The state of the connection is known to the Handler.
func TestTLSState(t *testing.T) {
	t.Parallel()
	states := make(chan *tls.ConnectionState, 2)
	h := funcs{open: func(c *Conn) { states <- c.TLS() }}
	s := serveTLS(t, h, ListenOptions{})
	c := s.client()
	c.NextProtos = []string{"http/1.1"}
	_, _ = s.dial(t, c)
	if got := receive(t, states); got == nil || got.ServerName != "one.test" || got.NegotiatedProtocol != "http/1.1" {
		t.Errorf("%+v", got)
	}
	ln := serve(t, s.Engine, h, ListenOptions{})
	_ = dial(t, ln)
	if got := receive(t, states); got != nil {
		t.Error("a plain connection has a TLS state")
	}
}

// Register takes over a connection on which bytes were exchanged, of either side.
func TestTLSRegister(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, funcs{data: echo}, ListenOptions{})
	got := make(chan string, 1)
	near := TLSClient(dial(t, s.ln), s.client())
	if err := s.Register(nil, near, funcs{}, ConnOptions{}); err == nil {
		t.Error("a connection without a handshake was registered")
	}
	near = TLSClient(dial(t, s.ln), s.client())
	if err := near.Handshake(); err != nil {
		t.Fatal(err)
	}
	near.records.left = 1 // a Read has timed out within a record
	if err := s.Register(nil, near, funcs{}, ConnOptions{}); err == nil {
		t.Error("a connection within a record was registered")
	}
	near = TLSClient(dial(t, s.ln), s.client())
	write(t, near, []byte("before after"))
	expect(t, near, []byte("before"))
	err := s.Register(nil, near, funcs{data: func(c *Conn, in []byte) int {
		if len(in) == len(" after") {
			_ = c.Write([]byte(" more"))
		}
		if want := len(" after more"); len(in) == len(" after") {
			return 0
		} else if len(in) >= want {
			got <- string(in)
		}
		return 0
	}}, ConnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text := receive(t, got); text != " after more" {
		t.Errorf("%q", text)
	}
}

// Output that the peer does not read waits, and the bounds hold as without TLS.
func TestTLSSlowConsumer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options ConnOptions
		want    error
	}{
		"MaxOutput":    {ConnOptions{MaxOutput: 256 << 10}, ErrSlowConsumer},
		"WriteTimeout": {ConnOptions{MaxOutput: 64 << 20, WriteTimeout: 300 * time.Millisecond}, ErrWriteTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan error, 1)
			s := serveTLS(t, funcs{
				data: func(c *Conn, in []byte) int {
					for range 64 {
						_ = c.Write(make([]byte, 128<<10))
					}
					return len(in)
				},
				close: func(_ *Conn, err error) { closed <- err },
			}, ListenOptions{Conn: c.options})
			nc, _ := s.dial(t, s.client())
			write(t, nc, []byte("x"))
			if err := receive(t, closed); !errors.Is(err, c.want) {
				t.Errorf("OnClose got %v, want %v", err, c.want)
			}
			eventually(t, "nothing of it is left", func() bool { // the turn goes on after OnClose
				got := s.loopStats()
				return got.BufferedBytes == 0 && got.SlowConns == 0 && got.TLSConns == 0
			})
		})
	}
}

// A paused conn, and one that is half closed, sends all its output to a peer that reads slowly.
func TestTLSUnpolledOutput(t *testing.T) {
	t.Parallel()
	const size = 6 << 20
	s := serveTLS(t, funcs{data: func(c *Conn, in []byte) int {
		c.Pause()
		_ = c.Write(pattern(size))
		return len(in)
	}}, ListenOptions{Conn: ConnOptions{MaxOutput: 2 * size}})
	nc, _ := s.dial(t, s.client())
	write(t, nc, []byte("x"))
	eventually(t, "output waits", func() bool { return s.loopStats().SlowConns == 1 })
	expect(t, nc, pattern(size))
	eventually(t, "nothing waits", func() bool { return s.loopStats().SlowConns == 0 })
}

func TestListenChecksTLS(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	for name, o := range map[string]*TLSOptions{
		"no config":        {},
		"negative timeout": {Config: &tls.Config{}, HandshakeTimeout: -1},
		"negative number":  {Config: &tls.Config{}, MaxHandshakes: -1},
		"negative rate":    {Config: &tls.Config{}, HandshakeRate: -1},
	} {
		refuse := func(netip.AddrPort) Handler { return nil }
		if ln, err := e.Listen("tcp", "127.0.0.1:0", ListenOptions{TLS: o, Accept: refuse}); err == nil {
			_ = ln.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}
