package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// logbook is a log that a test can read.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.b.String(), "\n"), "\n")
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// maxBeforeAuth is how many bytes a peer may receive before it has authenticated.
const maxBeforeAuth = 64

// readUntilClosed returns everything that a peer receives until it is closed, which must be soon.
func readUntilClosed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(patience))
	b, err := io.ReadAll(conn)
	if !ended(err) && err != nil || len(b) > maxBeforeAuth {
		t.Errorf("%s: received %d bytes in %v, %v", what, len(b), time.Since(began), err)
	}
}

// recorder forwards a connection and records what is written.
type recorder struct {
	net.Conn
	said [][]byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.said = append(r.said, bytes.Clone(p))
	return r.Conn.Write(p)
}

// A recorded proof does not authenticate again: whole, in part, changed, or to another gateway.
func TestAReplayedHelloIsRefused(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.Key = []byte("the key of this test")
	g, _ := start(t, cfg)
	r := &recorder{Conn: dial(t, g.WorkerAddr())}
	if _, err := link.Connect(r, cfg.Key, oneWorker); err != nil {
		t.Fatal(err)
	}
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	whole := bytes.Join(r.said, nil)
	refused := uint64(0)
	for n := len(whole); n > 0; n -= max(1, n/7) {
		conn := dial(t, g.WorkerAddr())
		if _, err := conn.Write(whole[:n]); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		readUntilClosed(t, "replayed", conn)
		refused++
	}
	wait(t, "all refused", func() bool { return g.Stats().WorkerAuthFailures == refused })
	if s := g.Stats(); s.Workers != 1 {
		t.Errorf("%d workers", s.Workers)
	}
}

// Strangers that are silent, speak TLS, or send a byte now and then are closed within 5 s. They
// receive almost nothing, cause few log lines, and keep no worker out, however many they are.
func TestManyStrangersKeepNoWorkerOut(t *testing.T) {
	t.Parallel()
	book := new(logbook)
	cfg := text(gateway.ListenerConfig{})
	cfg.Key, cfg.Logger = []byte("the key of this test"), book.logger()
	g, _ := start(t, cfg)
	const each = 130 // more at once than there are places
	began := time.Now()
	var all sync.WaitGroup
	stranger := func(what string, f func(conn net.Conn)) {
		for range each {
			conn := dial(t, g.WorkerAddr())
			all.Go(func() {
				f(conn)
				readUntilClosed(t, what, conn)
			})
		}
	}
	stranger("silent", func(net.Conn) {})
	stranger("TLS", func(conn net.Conn) {
		_ = conn.SetDeadline(began.Add(patience))
		_ = tls.Client(conn, &tls.Config{ServerName: "gateway.example"}).Handshake() // its answer is not TLS
	})
	hello := "\x00\x28SLUICE\x01\x01" + strings.Repeat("n", 32)
	stranger("half a hello", func(conn net.Conn) { _, _ = io.WriteString(conn, hello[:20]) })
	stranger("no proof", func(conn net.Conn) { _, _ = io.WriteString(conn, hello) })
	stranger("trickle", func(conn net.Conn) {
		for _, c := range []byte(hello) {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			<-time.After(200 * time.Millisecond)
		}
	})
	dialing := time.Now()
	w := dialWorker(t, g.WorkerAddr(), cfg.Key, oneWorker)
	wait(t, "the worker", func() bool { return g.Stats().Workers == 1 })
	took := time.Since(dialing)
	if took > 4*time.Second { // strangers have 5 s
		t.Errorf("a worker waited for %v", took)
	}
	all.Wait()
	t.Logf("a worker was in after %v, beside %d strangers; the last of them was gone after %v",
		took.Round(time.Millisecond), 5*each, time.Since(began).Round(time.Millisecond))
	wait(t, "all refused", func() bool { return g.Stats().WorkerAuthFailures == 5*each })
	w.barrier(1)
	if n := len(book.lines()); n > 30 {
		t.Errorf("%d lines in the log", n)
	}
}

// A link with only a byte now and then is closed like a silent one. A link that sends a large frame
// slowly is not.
func TestInputKeepsALinkAlive(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.LinkHeartbeat = time.Second
	g, _ := start(t, cfg)
	frame := link.Append(nil, &link.Frame{Type: link.Send, Payload: make([]byte, 50<<10)})
	trickle := func(piece int) time.Duration {
		conn := dial(t, g.WorkerAddr())
		if _, err := link.Connect(conn, nil, oneWorker); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		began := time.Now()
		for rest := frame; len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err := conn.Write(rest[:n]); err != nil || time.Since(began) > patience {
				break
			}
			rest = rest[n:]
			<-time.After(200 * time.Millisecond)
		}
		return time.Since(began)
	}
	// At this speed the frame takes hours. After how many heartbeats the link is closed is a matter of
	// TestLiveness, in simulated time.
	if took := trickle(1); took > patience {
		t.Errorf("a byte now and then kept a link for %v", took)
	}
	wait(t, "no worker", func() bool { return g.Stats().Workers == 0 })
	trickle(3 << 10) // 15 KB a second
	if n := g.Stats().Workers; n != 1 {
		t.Error("a slow link was cut")
	}
}

// A peer's name is data in the log: it cannot begin a line, and no control characters reach the
// terminal.
func TestNamesForgeNoLogLines(t *testing.T) {
	t.Parallel()
	book := new(logbook)
	cfg := text(gateway.ListenerConfig{})
	cfg.Logger = book.logger()
	g, _ := start(t, cfg)
	hello := oneWorker
	hello.Name = "w\nlevel=ERROR msg=\"all is lost\"\r\x1b[2J\u202e\x00"
	hello.Build = "1.0\nlevel=ERROR"
	w := dialWorker(t, g.WorkerAddr(), nil, hello)
	w.barrier(1)
	w.links[0].write(&link.Frame{Type: 99})
	wait(t, "the link ended", w.isOver)
	bad := dial(t, g.WorkerAddr())
	_, _ = io.WriteString(bad, "\x00\x10\n\x1b[31mred\nlines\n")
	_ = bad.(*net.TCPConn).CloseWrite()
	readUntilClosed(t, "stranger", bad)
	wait(t, "it in the log", func() bool { return strings.Contains(book.lines()[len(book.lines())-1], "rejected") })
	for _, line := range book.lines() {
		if !strings.HasPrefix(line, "time=") || strings.ContainsFunc(line, func(r rune) bool {
			return r < ' ' || r == '\u202e' || r == 0x7F
		}) {
			t.Errorf("in the log: %q", line)
		}
	}
}

// Whatever bits of a link's bytes are flipped, the gateway survives, and at most the link ends.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	book := new(logbook)
	cfg := text(gateway.ListenerConfig{})
	cfg.Logger = book.logger()
	g, _ := start(t, cfg)
	runWorker(t, g, echo)
	w := newWitness(t, g.Addrs()[0])
	list := link.AppendList(nil, []string{"a", "bc"})
	var good []byte
	for _, f := range []link.Frame{
		{Type: link.Unit, Payload: link.Append(nil, &link.Frame{Type: link.Send, Payload: []byte("x")})},
		{Type: link.Join, Flags: link.FlagResult, ID: 7, Payload: []byte("group")},
		{Type: link.Set, Payload: link.AppendAttributes([]byte{0, 0, 0, 0}, []link.Attribute{{Key: "k", Value: "value"}})},
		{Type: link.Publish, Code: link.TargetGroups, Payload: link.AppendIDs(bytes.Clone(list), make([]link.ClientID, 2))},
		{Type: link.Count, Code: link.TargetUIDs, ID: 8, Payload: list},
		{Type: link.Select, ID: 9, Payload: append(make([]byte, 13), list...)},
		{Type: link.Ping, ID: 10},
	} {
		good = link.Append(good, &f)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		conn := dial(t, g.WorkerAddr())
		hello := oneWorker
		hello.ID, hello.Weight = [16]byte{byte(r.Uint32()), 9}, 0 // gets no client
		if _, err := link.Connect(conn, nil, hello); err != nil {
			t.Fatal(err)
		}
		sent := bytes.Clone(good)
		for range 1 + r.IntN(3) {
			sent[r.IntN(len(sent))] ^= 1 << r.IntN(8)
		}
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); !ended(err) && err != nil {
			t.Errorf("the link stays: %v", err)
		}
	}
	w.isServed()
	for _, line := range book.lines() {
		if strings.Contains(line, "panic") {
			t.Error(line)
		}
	}
}

// An invalid frame of a worker ends its link, whatever is invalid, with a reason and without
// effect.
func TestBrokenFramesEndTheLink(t *testing.T) {
	t.Parallel()
	g, _ := start(t, text(gateway.ListenerConfig{}))
	runWorker(t, g, echo)
	w := newWitness(t, g.Addrs()[0])
	whole := link.Append(nil, &link.Frame{Type: link.Unit, ID: 1, Slot: 1,
		Payload: link.Append(nil, &link.Frame{Type: link.Send, Payload: []byte("x")})})
	result := link.Append(nil, &link.Frame{Type: link.Send, Flags: link.FlagHandled | link.FlagResult})
	change := func(at int, b ...byte) []byte {
		c := bytes.Clone(whole)
		copy(c[at:], b)
		return c
	}
	for name, sent := range map[string][]byte{
		"a length of 0":             change(0, 0, 0, 0, 0),
		"a length below the header": change(0, 0, 0, 0, byte(link.HeaderSize-1)),
		"a length of 4 GiB":         change(0, 0xff, 0xff, 0xff, 0xff),
		"a length of a frame and 1": binary.BigEndian.AppendUint32(nil, link.MaxFrame+1),
		"no such type":              change(4, 99),
		"a frame of the other side": change(4, byte(link.Attach)),
		"an answer with a result":   result,
		"a unit with a stray byte":  append(change(3, byte(len(whole)+1)), 0),
		"garbage":                   []byte(strings.Repeat("garbage!", 10)),
		"HTTP":                      []byte("GET / HTTP/1.1\r\nHost: gateway.example\r\nUser-Agent: curl/8.0\r\n\r\n"),
	} {
		conn := dial(t, g.WorkerAddr())
		hello := oneWorker
		hello.ID, hello.Weight = [16]byte{9}, 0 // gets no client
		if _, err := link.Connect(conn, nil, hello); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(sent); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		f, err := readFrame(conn)
		for err == nil && f.Type == link.Ping {
			f, err = readFrame(conn)
		}
		if err != nil || f.Type != link.GoAway || link.Status(f.Code) != link.Protocol {
			t.Errorf("%s: %v %v, %v", name, f.Type, link.Status(f.Code), err)
		}
		_ = conn.Close()
	}
	w.isServed()
}
