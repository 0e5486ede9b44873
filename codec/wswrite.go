package codec

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// Append appends one whole message. A server's bytes depend on nothing but payload, text and Encoding. Text must be valid UTF-8: the peer fails the connection otherwise
// (RFC 6455 section 8.1), and Append does not look.
func (w *WebSocket) Append(dst, payload []byte, text bool) []byte {
	first := byte(bitFin | opBinary)
	if text {
		first = bitFin | opText
	}
	if w.deflate != nil && len(payload) >= deflateFrom && (w.window == maxWindow || len(payload) <= 1<<w.window) {
		if small, ok := w.deflate.deflate(payload); ok {
			dst = w.appendFrame(dst, first|bitRSV1, small.b)
			w.deflate.put(small)
			return dst
		}
	}
	return w.appendFrame(dst, first, payload)
}

// AppendPing appends an empty ping, unless a close frame was sent.
func (w *WebSocket) AppendPing(dst []byte) []byte {
	if w.farewelled {
		return dst
	}
	return w.appendFrame(dst, bitFin|opPing, nil)
}

// AppendClose appends a close frame, once: nothing follows it. The reason is cut to what a control frame holds. A code that must not be on the wire
// becomes 1011 (internal error).
func (w *WebSocket) AppendClose(dst []byte, code uint16, reason string) []byte {
	if w.farewelled {
		return dst
	}
	w.farewelled = true
	if !onWire(code) {
		code = closeInternal
	}
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	var room [maxControl]byte
	payload := binary.BigEndian.AppendUint16(room[:0], code)
	cut := min(len(reason), maxControl-2)
	for cut < len(reason) && cut > 0 && !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return w.appendFrame(dst, bitFin|opClose, append(payload, reason[:cut]...))
}

// Encoding tells servers' connections apart by compression. It is 0 for a client, which masks with a new key every time.
func (w *WebSocket) Encoding() uint8 {
	switch {
	case w.client:
		return 0
	case w.deflate == nil:
		return encodingWebSocket
	}
	return encodingWebSocket + 1 + maxWindow - w.window
}

func (w *WebSocket) appendFrame(dst []byte, first byte, payload []byte) []byte {
	var mask byte
	if w.client {
		mask = bitMask
	}
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, first, mask|byte(n))
	case n <= 0xFFFF:
		dst = append(dst, first, mask|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, first, mask|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	if !w.client {
		return append(dst, payload...)
	}
	var key [4]byte
	binary.LittleEndian.PutUint32(key[:], rand.Uint32()) // the runtime's ChaCha8: not to be foreseen (section 5.3)
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	maskBytes(key, 0, dst[start:])
	return dst
}

// tooBig is what a peer is told with 1009.
const tooBig = "message too big"

// fail ends the stream with a close frame that says what is wrong.
func (w *WebSocket) fail(out []byte, code uint16, what string) (Event, []byte, int, []byte, error) {
	w.end()
	reply := w.AppendClose(out, code, what)
	if code == closeTooBig {
		return None, nil, 0, reply, ErrTooBig
	}
	return None, nil, 0, reply, fmt.Errorf("%w: websocket: %s (%d)", ErrProtocol, what, code)
}

// headerFault says what is wrong with a frame's header.
func (w *WebSocket) headerFault(f *frame, code uint16) string {
	switch {
	case code == closeTooBig:
		return tooBig
	case f.masked == w.client:
		return "a client masks its frames, a server does not"
	}
	return "frame header"
}
