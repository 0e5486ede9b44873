package gateway

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/codec"
)

// Codec is a wire format of one's own, for a listener with a tcp:// URL. All clients of the
// listener share it, on all loops, so it has no state. Its methods must not block. Package codec
// has examples.
type Codec interface {
	// Decode returns the message at the front of in, and the number of bytes that it took. 0 means
	// that the message is not complete: Decode is called again with more input. The payload may be
	// a view of in. An error closes the client.
	Decode(in []byte) (payload []byte, text bool, n int, err error)
	// Append appends an encoded message to dst. It appends nothing when the format cannot carry the
	// message, which is then not sent and counted (EncodeErrors). A text is valid UTF-8.
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
	encodings = 16 // number of encodings of package codec, which have the lower numbers
	maxOwn    = 16 // maximum of listeners with a Codec
)

// own adapts a listener's Codec to messageCodec.
type own struct {
	Codec
	maxMessage int
	encoding   uint8 // one for each listener, because two Codecs may encode differently
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
		err = fmt.Errorf("%w: the Codec returned %d for %d bytes", codec.ErrProtocol, n, len(in))
		return codec.None, nil, 0, out, err
	case n == 0:
		return codec.None, nil, 0, out, nil
	case len(payload) > o.maxMessage:
		return codec.None, nil, 0, out, codec.ErrTooBig
	case text && utf8.Valid(payload): // a text that is not valid would end the WebSockets that it is sent to
		return codec.MessageText, payload, n, out, nil
	}
	return codec.MessageBinary, payload, n, out, nil
}

// AppendClose implements messageCodec.
func (own) AppendClose(dst []byte, _ uint16, _ string) []byte { return dst }

// AppendPing implements messageCodec. ListenerConfig.Ping is used instead.
func (own) AppendPing(dst []byte) []byte { return dst }

// Encoding implements messageCodec.
func (o own) Encoding() uint8 { return o.encoding }

// byteOrderMark is U+FEFF in UTF-8. Some programs write it before a text. It has no meaning.
const byteOrderMark = "\xEF\xBB\xBF"

// skipMark returns the length of a byte order mark before the first line of a text client, 0 if
// there is none. whole is false if more input is needed. The JSON formats skip their own marks. In
// other formats it is a part of the message.
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
