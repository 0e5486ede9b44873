package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The peer's close frame is found, whatever part of a frame had come when a close frame was sent,
// whatever comes after it, and however the bytes are cut.
func TestAwaitCloseFindsTheClose(t *testing.T) {
	t.Parallel()
	closeFrame := func(ws *WebSocket) []byte { return ws.AppendClose(nil, 1000, "bye") }
	text := func(n int) func(*WebSocket) []byte {
		return func(ws *WebSocket) []byte { return ws.Append(nil, bytes.Repeat([]byte("x"), n), true) }
	}
	for name, c := range map[string]struct {
		before []func(*WebSocket) []byte // decoded
		cut    int                       // bytes of the last of them that have not come yet
		after  []func(*WebSocket) []byte
	}{
		"nothing between":          {},
		"small messages":           {after: []func(*WebSocket) []byte{text(0), text(1), text(125)}},
		"two and eight byte sizes": {after: []func(*WebSocket) []byte{text(126), text(1 << 16)}},
		"within a large message": {before: []func(*WebSocket) []byte{text(3), text(10_000)}, cut: 1234,
			after: []func(*WebSocket) []byte{text(5)}},
		"a large message but 1":      {before: []func(*WebSocket) []byte{text(10_000)}, cut: 1},
		"within a small message":     {before: []func(*WebSocket) []byte{text(100)}, cut: 50},
		"a header that is not whole": {before: []func(*WebSocket) []byte{text(300)}, cut: 303},
		"pings": {
			after: []func(*WebSocket) []byte{func(ws *WebSocket) []byte { return ws.AppendPing(nil) }}},
	} {
		client, server := &WebSocket{max: 1 << 20, client: true}, &WebSocket{max: 1 << 20}
		var in []byte
		for _, f := range c.before {
			in = append(in, f(client)...)
		}
		decoded := in[:len(in)-c.cut]
		rest := bytes.Clone(in[len(in)-c.cut:])
		for _, f := range c.after {
			rest = append(rest, f(client)...)
		}
		rest = append(append(rest, closeFrame(client)...), "what comes behind is nobody's"...)
		first := -1
		for step := 1; step <= len(rest)+1; step = next(step) {
			s := *server
			held := bytes.Clone(decoded)
			for {
				_, _, n, _, err := s.Decode(held, nil)
				if err != nil {
					t.Fatal(name, err)
				}
				if held = held[n:]; n == 0 || len(held) == 0 {
					break
				}
			}
			s.Discard()
			at := -1
			for i := 0; i < len(rest) && at < 0; i += step {
				held = append(held, rest[i:min(i+step, len(rest))]...)
				n, closed := s.AwaitClose(held)
				if held = held[n:]; closed {
					at = i / step
				} else if len(held) > 13 {
					t.Fatalf("%s: %d bytes are kept", name, len(held))
				}
			}
			if at < 0 {
				t.Errorf("%s, in pieces of %d: no close is found", name, step)
			}
			if step == 1 {
				first = at
			}
		}
		if want := len(rest) - len("what comes behind is nobody's"); first >= want {
			t.Errorf("%s: found with byte %d of %d", name, first, want)
		}
	}
}

// next returns the next size of pieces: all small ones, then some larger ones.
func next(step int) int {
	if step < 20 {
		return step + 1
	}
	return step*3 + 1
}

// A message that was refused in the middle is skipped, too.
func TestAwaitCloseBehindARefusedMessage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message []byte
		text    bool
		max     int
	}{
		"too big":                 {bytes.Repeat([]byte("x"), 5000), true, 100},
		"far too big":             {bytes.Repeat([]byte("x"), 70_000), true, 100},
		"not UTF-8":               {[]byte("\xff\xfe"), true, 1 << 20},
		"not UTF-8 in a long one": {[]byte(strings.Repeat("x", 9000) + "\xff" + strings.Repeat("y", 9000)), true, 1 << 20},
	} {
		client, server := &WebSocket{max: 1 << 20, client: true}, &WebSocket{max: int32(c.max)}
		in := client.Append(nil, c.message, c.text)
		in = client.AppendClose(in, 1000, "")
		failed := false
		var held []byte
		for i := 0; i < len(in); i += 100 {
			held = append(held, in[i:min(i+100, len(in))]...)
			for !failed && len(held) > 0 {
				_, _, n, _, err := server.Decode(held, nil)
				held = held[n:]
				failed = err != nil
				if failed && !errors.Is(err, ErrTooBig) && !errors.Is(err, ErrProtocol) {
					t.Fatal(name, err)
				}
				if n == 0 {
					break
				}
			}
			if failed {
				n, closed := server.AwaitClose(held)
				if held = held[n:]; closed {
					if i+100 < len(in) {
						t.Errorf("%s: found at %d of %d", name, i, len(in))
					}
					failed = false
					held = nil
					break
				}
			}
		}
		if failed || len(held) > 0 {
			t.Errorf("%s: no close is found", name)
		}
	}
}
