package gateway

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/codec"
)

// Codec is a wire format of one's own, for a Listener with a tcp:// URL. It holds no state: all clients of the listener share it, on all loops. Package codec has the
// formats that are there already, as models.
type Codec interface {
	// Decode returns the message at the front of in, and how many bytes it took: 0 when it has not come whole, and then in comes again with more behind it. The
	// payload may be a view of in. An error ends the client.
	Decode(in []byte) (payload []byte, text bool, n int, err error)
	// Append appends a message as it goes over the wire: nothing when the format cannot carry it. A text is valid UTF-8: what was not is U+FFFD.
	Append(dst, payload []byte, text bool) []byte
}

// messageCodec is what a session needs of a codec.
type messageCodec interface {
	Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
	AppendClose(dst []byte, code uint16, reason string) []byte
	AppendPing(dst []byte) []byte
	Encoding() uint8
}

const (
	encodings = 16 // of package codec's, which are below
	maxOwn    = 16 // listeners with a Codec
)

// own is a listener's Codec as sessions need it.
type own struct {
	Codec
	maxMessage int
	encoding   uint8 // another one for each listener: what two Codecs write need not be equal
}

// Decode implements messageCodec.
func (o own) Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error) {
	payload, text, n, err := o.Codec.Decode(in)
	switch {
	case errors.Is(err, codec.ErrTooBig):
		return codec.None, nil, 0, out, err
	case err != nil:
		return codec.None, nil, 0, out, fmt.Errorf("%w: %w", codec.ErrProtocol, err)
	case n < 0 || n > len(in):
		return codec.None, nil, 0, out, fmt.Errorf("%w: a Codec that took %d of %d bytes", codec.ErrProtocol, n, len(in))
	case n == 0:
		return codec.None, nil, 0, out, nil
	case len(payload) > o.maxMessage:
		return codec.None, nil, 0, out, codec.ErrTooBig
	case text && utf8.Valid(payload): // text that is not would end the WebSockets it is sent to
		return codec.MessageText, payload, n, out, nil
	}
	return codec.MessageBinary, payload, n, out, nil
}

// AppendClose implements messageCodec.
func (own) AppendClose(dst []byte, _ uint16, _ string) []byte { return dst }

// AppendPing implements messageCodec: ListenerConfig.Ping is the ping, if there is one.
func (own) AppendPing(dst []byte) []byte { return dst }

// Encoding implements messageCodec.
func (o own) Encoding() uint8 { return o.encoding }

// byteOrderMark is what some programs put in front of all text that they write, U+FEFF in UTF-8. It says nothing.
const byteOrderMark = "\xEF\xBB\xBF"

// skipMark returns the length of a byte order mark in front of a text client's first line, 0 where there is none; whole is false while that cannot be told. Those in front of
// documents are their codecs' concern, and in other formats one is a part of the message.
func (s *session) skipMark(in []byte) (n int, whole bool) {
	if s.turn&marked != 0 || s.phase != phaseOpen {
		return 0, true
	}
	if _, lines := s.codec.(codec.Text); lines {
		switch front := in[:min(len(in), len(byteOrderMark))]; {
		case string(front) == byteOrderMark:
			n = len(byteOrderMark)
		case string(front) == byteOrderMark[:len(front)]:
			return 0, false
		}
	}
	s.turn |= marked
	return n, true
}
