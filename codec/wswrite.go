package codec

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// Append appends one whole message. A server's bytes depend only on payload, text and Encoding.
// Text must be valid UTF-8, or the peer fails the connection (RFC 6455 section 8.1); Append does
// not check it.
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
	if w.closeSent {
		return dst
	}
	return w.appendFrame(dst, bitFin|opPing, nil)
}

// AppendClose appends a close frame, once: nothing may follow it. The reason is cut to the size of
// a control frame. A code that must not be sent becomes 1011 (internal error).
func (w *WebSocket) AppendClose(dst []byte, code uint16, reason string) []byte {
	if w.closeSent {
		return dst
	}
	w.closeSent = true
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

// Encoding differs between servers' connections with different compression. It is 0 for a client,
// which masks each message with a new key.
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
	binary.LittleEndian.PutUint32(key[:], rand.Uint32()) // the runtime's ChaCha8 cannot be predicted (section 5.3)
	dst = append(dst, key[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	maskBytes(key, 0, dst[start:])
	return dst
}

// tooBig is the reason that a peer receives with close code 1009.
const tooBig = "message too big"

// fail ends the stream with a close frame that gives the reason.
func (w *WebSocket) fail(out []byte, code uint16, what string) (Event, []byte, int, []byte, error) {
	w.end()
	reply := w.AppendClose(out, code, what)
	if code == closeTooBig {
		return None, nil, 0, reply, ErrTooBig
	}
	return None, nil, 0, reply, fmt.Errorf("%w: websocket: %s (%d)", ErrProtocol, what, code)
}

// fault returns the reason why the header of a frame is refused with a close code. It is read by a
// client or a server.
func (f *frame) fault(code uint16, client bool) string {
	switch {
	case code == closeTooBig:
		return tooBig
	case f.masked == client:
		return "a client masks its frames, a server does not"
	}
	return "frame header"
}
