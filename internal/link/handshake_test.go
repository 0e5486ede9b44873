package link

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	aWorker = WorkerHello{
		Role: RoleWorker, Loop: AnyLoop, Weight: 1, Window: 65536, ID: [16]byte{1, 2, 3}, Name: "w", Build: "b",
	}
	aGateway = GatewayHello{ID: 1, Epoch: 2, Loops: 2, MaxFrame: MaxFrame, Heartbeat: time.Second, Name: "g"}
)

func TestOpeningOverTCP(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "secret", strings.Repeat("long", 100)} {
		client, server := tcpPair(t)
		done := make(chan gatewayEnd, 1)
		go func() {
			h, err := Accept(server, []byte(key), func(h WorkerHello) (GatewayHello, error) { return aGateway, nil })
			done <- gatewayEnd{h, err}
		}()
		got, err := Connect(client, []byte(key), aWorker)
		if err != nil || got != aGateway {
			t.Errorf("worker: %+v, %v", got, err)
		}
		if g := <-done; g.err != nil || g.hello != aWorker {
			t.Errorf("gateway: %+v", g)
		}
	}
}

func mustNotAnswer(WorkerHello) (GatewayHello, error) {
	panic("a peer that has not proved itself was let in")
}

// firstMessage returns message 1 with a range of versions.
func firstMessage(lowest, highest byte) []byte {
	return appendMessage(nil, append(append([]byte(magic), lowest, highest), make([]byte, nonceSize)...))
}

// A peer without the key is refused, for the right reason, and receives at most message 2.
func TestStrangersGetNoInformation(t *testing.T) {
	t.Parallel()
	const secondSize = 46
	var up tape
	if g, w := ended(t, "secret", &up, io.Discard, aWorker, aGateway); g.err != nil || w.err != nil {
		t.Fatal(g.err, w.err)
	}
	flipped := bytes.Clone(up.buf)
	flipped[len(flipped)-1] ^= 1
	for _, c := range []struct {
		name   string
		in     []byte
		want   error
		learns int
	}{
		{"nothing", nil, io.EOF, 0},
		{"half a length", []byte{0}, io.ErrUnexpectedEOF, 0},
		{"half a message", up.buf[:20], io.ErrUnexpectedEOF, 0},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ErrHello, 0},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.6\r\n"), ErrHello, 0},
		{"TLS", tlsHello(t), ErrHello, 0},
		{"Redis", []byte("*1\r\n$4\r\nPING\r\n"), ErrHello, 0},
		{"zeroes", make([]byte, 4096), ErrHello, 0},
		{"length 1,025", append([]byte{4, 1}, make([]byte, 1025)...), ErrHello, 0},
		{"right length, other magic", append([]byte{0, 40}, make([]byte, 40)...), ErrHello, 0},
		{"message 1 a byte too long", appendMessage(nil, append(firstMessage(version, version)[2:], 0)), ErrHello, 0},
		{"older version only", firstMessage(version-1, version-1), ErrVersion, secondSize},
		{"newer version only", firstMessage(version+1, 9), ErrVersion, secondSize},
		{"range upside down", firstMessage(1, 0), ErrVersion, secondSize},
		{"message 1 alone", firstMessage(0, 9), io.EOF, secondSize},
		{"message 3 too short for a proof", append(firstMessage(version, version), 0, 1, 0), ErrHello, secondSize},
		{"message 3 all zeroes", append(firstMessage(version, version), append([]byte{0, 64}, make([]byte, 64)...)...),
			ErrKey, secondSize},
		{"replayed hello", up.buf, ErrKey, secondSize},
		{"changed hello", flipped, ErrKey, secondSize},
	} {
		s := newScript(c.in)
		_, err := Accept(s, []byte("secret"), mustNotAnswer)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if s.out.Len() != c.learns {
			t.Errorf("%s: learnt %d bytes, want %d", c.name, s.out.Len(), c.learns)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the key is in the error: %v", c.name, err)
		}
	}
}

// tlsHello returns the first record of a TLS client.
func tlsHello(t *testing.T) []byte {
	t.Helper()
	s := newScript(nil)
	// Ends with io.EOF after the hello.
	_ = tls.Client(s, &tls.Config{ServerName: "example.org", MinVersion: tls.VersionTLS12}).Handshake()
	if s.out.Len() == 0 {
		t.Fatal("no TLS hello")
	}
	return s.out.Bytes()
}

// Different keys, also an empty one on one side, never open a link. Each side logs what is probably
// wrong and sends no reason to the other.
func TestKeysMustAgree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ worker, gateway, workerSays, gatewaySays string }{
		{
			"", "secret",
			"requires a key and this worker has none (set --key-file or Config.Key)",
			"the worker has no key and this gateway has one (set its --key-file or Config.Key)",
		},
		{"secret", "", "has another key, or none", "the worker has a key and this gateway has none"},
		{"Secret", "secret", "has another key, or none", "the worker's key is not this gateway's"},
		{"secret ", "secret", "has another key, or none", "the worker's key is not this gateway's"},
	} {
		client, server := tcpPair(t)
		done := make(chan error, 1)
		go func() {
			_, err := Accept(server, []byte(c.gateway), mustNotAnswer)
			_ = server.Close()
			done <- err
		}()
		_, err := Connect(client, []byte(c.worker), aWorker)
		if err == nil || !strings.Contains(err.Error(), c.workerSays) {
			t.Errorf("%q and %q: the worker says %v, want %q", c.worker, c.gateway, err, c.workerSays)
		}
		if err := <-done; !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), c.gatewaySays) {
			t.Errorf("%q and %q: the gateway says %v, want %q", c.worker, c.gateway, err, c.gatewaySays)
		}
	}
}

// A worker does not accept a gateway that does not hold the key, even if it sends the worker's own
// proof back.
func TestWorkerRefusesFalseGateway(t *testing.T) {
	t.Parallel()
	second := appendMessage(nil, append(append([]byte(magic), version, 0, 0, 0, 0, 0), make([]byte, nonceSize)...))
	oldVersion := bytes.Clone(second)
	oldVersion[2+len(magic)] = 0
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"silence", nil, io.EOF},
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ErrHello},
		{"other version", oldVersion, ErrVersion},
		{"message 1 sent back", firstMessage(version, version), ErrHello},
		{"no proof", append(bytes.Clone(second), append([]byte{0, 70}, make([]byte, 70)...)...), ErrKey},
		{"short message 4", append(bytes.Clone(second), 0, 3, 1, 2, 3), ErrHello},
		{"hangs up", second, io.EOF},
	} {
		_, err := Connect(newScript(c.in), []byte("secret"), aWorker)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the key is in the error: %v", c.name, err)
		}
	}

	a, b := net.Pipe()
	defer a.Close()
	go func() { // a mirror
		_, _ = io.CopyN(io.Discard, a, int64(len(firstMessage(version, version))))
		_, _ = a.Write(second)
		_, _ = io.Copy(a, a)
	}()
	if _, err := Connect(b, []byte("secret"), aWorker); !errors.Is(err, ErrKey) {
		t.Errorf("mirror: %v", err)
	}
}

// A peer that sends nothing, or stops in the middle, is closed at the time limit, however slowly
// its bytes arrive.
func TestSilenceIsCut(t *testing.T) {
	t.Parallel()
	for name, said := range map[string][]byte{"silent": nil, "half a message": firstMessage(version, version)[:9],
		"no message 3": firstMessage(version, version)} {
		client, server := tcpPair(t)
		if _, err := client.Write(said); err != nil {
			t.Fatal(err)
		}
		x := newExchange(server, nil)
		x.limit = 20 * time.Millisecond
		if _, err := x.accept(mustNotAnswer); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("gateway, %s: %v", name, err)
		}
	}
	client, _ := tcpPair(t)
	x := newExchange(client, nil)
	x.limit = 20 * time.Millisecond
	if _, err := x.connect(&aWorker); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("worker: %v", err)
	}
}

// The deadline of 5 s is set once, before anything is read, and removed afterwards.
func TestDeadline(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	s := &timed{Conn: a}
	go func() { _, _ = Connect(b, nil, aWorker) }()
	before := time.Now()
	if _, err := Accept(s, nil, func(WorkerHello) (GatewayHello, error) { return aGateway, nil }); err != nil {
		t.Fatal(err)
	}
	if len(s.deadlines) != 2 || s.deadlines[0].Sub(before).Round(time.Second) != 5*time.Second ||
		!s.deadlines[1].IsZero() {
		t.Errorf("deadlines %v after %v", s.deadlines, before)
	}
}

// timed records its deadlines.
type timed struct {
	net.Conn
	deadlines []time.Time
}

func (c *timed) SetDeadline(at time.Time) error {
	c.deadlines = append(c.deadlines, at)
	return c.Conn.SetDeadline(at)
}

// Bytes directly after the opening are left for the link, on both sides.
func TestOpeningReadsNothingMore(t *testing.T) {
	t.Parallel()
	client, server := tcpPair(t)
	errs := make(chan error, 1)
	go func() {
		_, err := Accept(server, nil, func(WorkerHello) (GatewayHello, error) { return aGateway, nil })
		if err == nil {
			_, err = server.Write([]byte("down"))
		}
		if b := make([]byte, 2); err == nil {
			if _, err = io.ReadFull(server, b); string(b) != "up" {
				err = errors.New("the gateway read " + string(b))
			}
		}
		errs <- err
	}()
	if _, err := Connect(client, nil, aWorker); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("up")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "down" {
		t.Errorf("the worker read %q, %v", b, err)
	}
	if err := <-errs; err != nil {
		t.Error(err)
	}
}

// A gateway may refuse an authenticated worker. The worker receives no reason.
func TestRefusal(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	full := errors.New("full")
	done := make(chan gatewayEnd, 1)
	go func() {
		h, err := Accept(a, nil, func(WorkerHello) (GatewayHello, error) { return GatewayHello{}, full })
		_ = a.Close()
		done <- gatewayEnd{h, err}
	}()
	if _, err := Connect(b, nil, aWorker); !errors.Is(err, io.EOF) {
		t.Errorf("worker: %v", err)
	}
	if g := <-done; !errors.Is(g.err, full) || g.hello != aWorker {
		t.Errorf("gateway: %+v", g)
	}
}

// Names are cut to the limit of a message, and heartbeats are rounded to whole seconds that fit.
func TestHelloBounds(t *testing.T) {
	t.Parallel()
	w, g := aWorker, aGateway
	w.Name, w.Build, g.Name = strings.Repeat("n", 70_000), strings.Repeat("b", 201), strings.Repeat("g", 200)
	g.Heartbeat = 100 * time.Millisecond
	ge, we := ended(t, "", io.Discard, io.Discard, w, g)
	if ge.err != nil || we.err != nil {
		t.Fatal(ge.err, we.err)
	}
	if len(ge.hello.Name) != 200 || len(ge.hello.Build) != 200 || len(we.hello.Name) != 200 ||
		we.hello.Heartbeat != time.Second {
		t.Errorf("worker %+v, gateway %+v", ge.hello, we.hello)
	}
	for _, c := range []struct{ is, want time.Duration }{
		{-1, 0}, {0, 0}, {1, time.Second}, {time.Second + 1, 2 * time.Second}, {1000 * time.Hour, 65535 * time.Second},
	} {
		g.Heartbeat = c.is
		if got, err := parseGatewayHello(encodeGatewayHello(&g)); err != nil || got.Heartbeat != c.want {
			t.Errorf("heartbeat %v arrives as %v, %v", c.is, got.Heartbeat, err)
		}
	}
	for name, change := range map[string]func(*GatewayHello){
		"no loops":    func(g *GatewayHello) { g.Loops, g.Loop = 0, 0 },
		"no such":     func(g *GatewayHello) { g.Loop = g.Loops },
		"small frame": func(g *GatewayHello) { g.MaxFrame = HeaderSize - 1 },
	} {
		bad := aGateway
		change(&bad)
		if _, err := parseGatewayHello(encodeGatewayHello(&bad)); !errors.Is(err, ErrHello) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseGatewayHello(append(encodeGatewayHello(&aGateway), 0)); !errors.Is(err, ErrHello) {
		t.Errorf("a byte behind a gateway's hello: %v", err)
	}
	if _, err := parseWorkerHello(append(encodeWorkerHello(&aWorker), 0)); !errors.Is(err, ErrHello) {
		t.Errorf("a byte behind a worker's hello: %v", err)
	}
	for _, role := range []Role{0, 6, 255} {
		w.Role = role
		if _, err := parseWorkerHello(encodeWorkerHello(&w)); !errors.Is(err, ErrHello) {
			t.Errorf("role %d: %v", role, err)
		}
	}
}
