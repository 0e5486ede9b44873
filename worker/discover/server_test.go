package discover_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// nameServer is a DNS server on loopback, over UDP and TCP.
type nameServer struct {
	t   *testing.T
	udp net.PacketConn
	tcp net.Listener

	mu      sync.Mutex
	records map[string][]dnsmessage.ResourceBody // guarded by mu: by name, with a dot at the end
	broken  bool                                 // guarded by mu: every answer is SERVFAIL
	silent  bool                                 // guarded by mu: there is no answer
	queries int                                  // guarded by mu
	byTCP   int                                  // guarded by mu: of queries
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{t: t, records: make(map[string][]dnsmessage.ResourceBody)}
	var err error
	if s.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if s.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := s.udp.ReadFrom(b)
			if err != nil {
				return
			}
			if a := s.answer(b[:n], 1232); a != nil {
				_, _ = s.udp.WriteTo(a, from)
			}
		}
	})
	serving.Go(func() {
		for {
			conn, err := s.tcp.Accept()
			if err != nil {
				return
			}
			s.serveTCP(conn)
		}
	})
	t.Cleanup(func() {
		_, _ = s.udp.Close(), s.tcp.Close()
		serving.Wait()
	})
	return s
}

// serveTCP answers one query (RFC 1035 section 4.2.2).
func (s *nameServer) serveTCP(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return
	}
	s.mu.Lock()
	s.byTCP++
	s.mu.Unlock()
	a := s.answer(b, 0xFFFF)
	_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
}

// answer returns the answer to a query. One that is too long is truncated.
func (s *nameServer) answer(query []byte, most int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries++
	if s.silent {
		return nil
	}
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		s.t.Error(err)
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	bodies, known := s.records[strings.ToLower(q.Name.String())]
	switch {
	case s.broken:
		m.RCode = dnsmessage.RCodeServerFailure
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, body := range bodies {
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}
		switch body.(type) {
		case *dnsmessage.AResource:
			h.Type = dnsmessage.TypeA
		case *dnsmessage.AAAAResource:
			h.Type = dnsmessage.TypeAAAA
		case *dnsmessage.SRVResource:
			h.Type = dnsmessage.TypeSRV
		}
		if h.Type == q.Type && !s.broken {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
		}
	}
	b, err := m.Pack()
	if err != nil {
		s.t.Error(err)
	}
	if len(b) > most {
		m.Truncated, m.Answers = true, nil
		b, _ = m.Pack()
	}
	return b
}

// set makes these the records of a name: an address, or HOST:PORT for an SRV record.
func (s *nameServer) set(name string, records ...string) {
	s.t.Helper()
	var bodies []dnsmessage.ResourceBody
	for _, r := range records {
		if ip, err := netip.ParseAddr(r); err == nil && ip.Is4() {
			bodies = append(bodies, &dnsmessage.AResource{A: ip.As4()})
		} else if err == nil {
			bodies = append(bodies, &dnsmessage.AAAAResource{AAAA: ip.As16()})
		} else {
			to, err := netip.ParseAddrPort("127.0.0.1:" + r[strings.LastIndexByte(r, ':')+1:])
			if err != nil {
				s.t.Fatal(err)
			}
			host := dnsmessage.MustNewName(r[:strings.LastIndexByte(r, ':')] + ".")
			bodies = append(bodies, &dnsmessage.SRVResource{Priority: 1, Weight: 1, Port: to.Port(), Target: host})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[name+"."] = bodies
}

// change changes the server's state.
func (s *nameServer) change(f func(*nameServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *nameServer) counts() (queries, byTCP int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries, s.byTCP
}

// resolver returns a resolver that asks this server only.
func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		if strings.HasPrefix(network, "tcp") {
			return d.DialContext(ctx, "tcp", s.tcp.Addr().String())
		}
		return d.DialContext(ctx, "udp", s.udp.LocalAddr().String())
	}}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how often the log contains a text.
func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
