package pressure_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/codec"
)

// varied are wire formats for n clients: those that are compressed once and in turn with the
// others, of them only the first where clients read fast, for that is what costs them much; then
// the others.
func varied(n int, fast bool, mix []bench.WireFormat) (all []bench.WireFormat) {
	plain := len(bench.Codecs)
	compressed := mix[plain:]
	if fast {
		compressed = compressed[:1]
	}
	for i := range n {
		if i%2 > 0 && i/2 < len(compressed) {
			all = append(all, compressed[i/2])
		} else {
			all = append(all, mix[i%plain])
		}
	}
	return all
}

// speaker is a client of a wire format. It takes messages as they are, without a look at whether
// they are documents.
type speaker struct {
	net.Conn
	format bench.WireFormat
	ws     *codec.WebSocket // nil: no WebSocket
	in     []byte           // read and not decoded
	taken  int              // bytes of in that were
}

// dialAs connects to the format's first target.
func dialAs(t *testing.T, f bench.WireFormat) *speaker {
	t.Helper()
	conn, err := net.Dial("tcp", f.Targets[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &speaker{Conn: conn, format: f}
	if f.Codec != bench.WebSocket {
		return s
	}
	key, o := codec.NewKey(), &codec.DialOptions{Window: f.Window}
	if f.Deflate {
		o.Deflate = codec.NewDeflate()
	}
	if _, err := conn.Write(codec.AppendUpgrade(nil, f.Targets[0], "/", key, o)); err != nil {
		t.Fatal(err)
	}
	for s.ws == nil {
		if err := s.more(); err != nil {
			t.Fatal(err)
		}
		if s.ws, s.taken, err = codec.ReadResponse(s.in, key, o); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// more reads what there is.
func (s *speaker) more() error {
	s.in, s.taken = s.in[:copy(s.in, s.in[s.taken:])], 0
	if len(s.in) == cap(s.in) {
		s.in = append(make([]byte, 0, max(2*cap(s.in), 64<<10)), s.in...)
	}
	n, err := s.Read(s.in[len(s.in):cap(s.in)])
	s.in = s.in[:len(s.in)+n]
	if n > 0 {
		return nil
	}
	return err
}

// next is the next message, valid until the one after it.
func (s *speaker) next() ([]byte, error) {
	for {
		payload, n, err := s.decode(s.in[s.taken:])
		if s.taken += n; payload != nil || err != nil {
			return payload, err
		}
		if n > 0 {
			continue
		}
		if err := s.more(); err != nil {
			return nil, err
		}
	}
}

// decode takes one message, or a part of one, from the front of in.
func (s *speaker) decode(in []byte) (payload []byte, n int, err error) {
	switch s.format.Codec {
	case bench.Text, bench.JSONLines:
		if n = bytes.IndexByte(in, '\n') + 1; n > 0 {
			payload = in[:n-1]
		}
	case bench.Frame, bench.JSON:
		const head = 4
		if len(in) < head || len(in) < int(binary.BigEndian.Uint32(in)) {
			return nil, 0, nil
		}
		n = int(binary.BigEndian.Uint32(in))
		payload = in[head:n]
	default:
		var ev codec.Event
		ev, payload, n, _, err = s.ws.Decode(in, nil)
		if ev == codec.Closed {
			err = io.EOF
		}
		if ev != codec.MessageText && ev != codec.MessageBinary {
			payload = nil
		}
	}
	return payload, n, err
}

// say sends a document.
func (s *speaker) say(document string) error {
	var b []byte
	switch p := []byte(document); s.format.Codec {
	case bench.Text, bench.JSONLines:
		b = append(p, '\n')
	case bench.Frame, bench.JSON:
		b = append(binary.BigEndian.AppendUint32(nil, uint32(4+len(p))), p...)
	default:
		b = s.ws.Append(nil, p, true)
	}
	_, err := s.Write(b)
	return err
}
