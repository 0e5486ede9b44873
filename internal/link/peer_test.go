package link

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// tape is the recorded bytes of one direction of an opening.
type tape struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	return len(p), nil
}

// message returns the i-th message with its length.
func (t *tape) message(i int) []byte {
	b := t.buf
	for range i {
		b = b[2+binary.BigEndian.Uint16(b):]
	}
	return b[:2+binary.BigEndian.Uint16(b)]
}

type taped struct {
	net.Conn
	out io.Writer
}

func (c taped) Write(p []byte) (int, error) {
	_, _ = c.out.Write(p)
	return c.Conn.Write(p)
}

type gatewayEnd struct {
	hello WorkerHello
	err   error
}

type workerEnd struct {
	hello GatewayHello
	err   error
}

// ended runs a whole opening with fixed nonces over a pipe and records both directions.
func ended(t *testing.T, key string, up, down io.Writer, hello WorkerHello, answer GatewayHello) (g gatewayEnd,
	w workerEnd) {
	t.Helper()
	a, b := net.Pipe()
	x, y := newExchange(taped{a, down}, []byte(key)), newExchange(taped{b, up}, []byte(key))
	x.nonce, y.nonce = [32]byte{0: 0x67}, [32]byte{0: 0x77}
	var wg sync.WaitGroup
	wg.Go(func() {
		if g.hello, g.err = x.accept(func(WorkerHello) (GatewayHello, error) { return answer, nil }); g.err != nil {
			_ = a.Close()
		}
	})
	if w.hello, w.err = y.connect(&hello); w.err != nil {
		_ = b.Close()
	}
	wg.Wait()
	return g, w
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// script is a net.Conn over fixed bytes: a peer that sends these and nothing more.
type script struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func newScript(in []byte) *script             { return &script{in: bytes.NewReader(in)} }
func (s *script) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.out.Write(p) }
func (s *script) SetDeadline(time.Time) error { return nil }
