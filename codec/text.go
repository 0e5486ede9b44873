package codec

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// Text carries one message per line: payload, "\n". One "\r" in front of the
// "\n" belongs to the line's end. An empty line is an empty message.
//
// A line that is not valid UTF-8 arrives as MessageBinary, so that devices with another character
// set can be served: passed on unchanged to a WebSocket it is a binary message, where invalid text
// would close the connection. The wire does not tell text from binary, so a binary message that is
// valid UTF-8 arrives as text. Append writes any bytes, text or not.
//
// Every Decode looks for the line's end from the front of in, so MaxMessage also bounds the cost of
// a peer that sends byte by byte.
type Text struct {
	MaxMessage int // bytes of a line without its end. Defaults to DefaultMaxMessage.
	messagesOnly
}

// Decode reads one line from the front of in.
func (t Text) Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error) {
	payload, n, err = line(in, limit(t.MaxMessage))
	switch {
	case n == 0:
		return None, nil, 0, out, err
	case utf8.Valid(payload):
		return MessageText, payload, n, out, nil
	default:
		return MessageBinary, payload, n, out, nil
	}
}

// Append appends payload as one line. A payload with a "\n" in it would become two messages, and
// any replacement would change it unnoticed. Nothing is appended then, and dst is returned
// unchanged. A payload that ends in "\r" is ended by "\r\n", which keeps its own "\r".
func (t Text) Append(dst, payload []byte, text bool) []byte {
	if bytes.IndexByte(payload, '\n') >= 0 {
		return dst
	}
	dst = append(dst, payload...)
	if n := len(payload); n > 0 && payload[n-1] == '\r' {
		dst = append(dst, '\r')
	}
	return append(dst, '\n')
}

// Encoding is the same for every Text.
func (t Text) Encoding() uint8 { return encodingText }

// line cuts the first line from in. It returns the line without its end, and the number of bytes
// taken with it, 0 when the end has not come.
func line(in []byte, limit int) ([]byte, int, error) {
	// The line and its "\r\n". Bytes after that do not matter.
	window := in[:min(len(in)-2, limit)+2]
	i := bytes.IndexByte(window, '\n')
	if i < 0 {
		i = len(window)
	}
	text := in[:i]
	if i > 0 && in[i-1] == '\r' {
		text = in[:i-1]
	}
	if len(text) > limit {
		return nil, 0, ErrTooBig
	}
	if i == len(window) {
		return nil, 0, nil
	}
	return slices.Clip(text), i + 1, nil
}
