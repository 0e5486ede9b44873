package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Bits of a frame's first two bytes.
const (
	bitFin  = 0x80
	bitRSV1 = 0x40
	bitsRSV = 0x70
	bitMask = 0x80
)

// Close codes of RFC 6455 section 7.4.1 that the codec itself sends.
const (
	closeProtocol = 1002
	closeInvalid  = 1007
	closeTooBig   = 1009
	closeInternal = 1011
)

// maxControl bounds the payload of a control frame (RFC 6455 section 5.5).
const maxControl = 125

// WebSocket is one side of a WebSocket connection after its handshake (RFC 6455, RFC 7692). Upgrade
// and ReadResponse make one.
type WebSocket struct {
	// Static after the handshake.
	max      int32    // bytes of a message
	client   bool     // masks what it sends, and takes only unmasked frames
	window   uint8    // with deflate: below maxWindow, only messages of up to 2^window bytes are compressed
	deflate  *Deflate // nil: not negotiated
	past     *history // what the client may refer to; nil without context takeover
	protocol *string  // the subprotocol agreed on, or nil

	closeSent bool      // a close frame was sent
	over      bool      // the peer has closed or broken the protocol: nothing more is read
	rest      uint32    // once it is over: payload bytes of the present frame that have not come, for AwaitClose
	assembly  *assembly // of a message that is not in one whole frame; nil: none is under way
}

// assembly is a message in several frames, or in one that is too large to wait for.
type assembly struct {
	message    []byte // what has come; bound: messages and handshakes
	left       int    // payload bytes of the present frame that have not come
	text       utf8Check
	key        [4]byte // of the present frame
	pos        uint8   // in key
	opcode     uint8
	last       bool // the present frame ends the message
	compressed bool
	given      bool // message was returned by the last Decode
	inflated   int  // by how many bytes message is larger than what was received
}

// frame is the header of one frame.
type frame struct {
	first  byte // FIN, RSV, opcode
	masked bool
	key    [4]byte
	header int // bytes
	size   int // bytes of payload
}

// Subprotocol returns the subprotocol that the handshake agreed on, or "" without one.
func (w *WebSocket) Subprotocol() string {
	if w.protocol == nil {
		return ""
	}
	return *w.protocol
}

// ClientTakeover reports whether the client may use context takeover. Up to WindowSize bytes are
// then kept for it.
func (w *WebSocket) ClientTakeover() bool { return w.past != nil }

// Release frees the buffer of the last payload. Decode does the same. Call it when no input is
// expected for long, so that an idle connection holds no buffer.
func (w *WebSocket) Release() {
	if a := w.assembly; a != nil && a.given {
		w.assembly = nil
	}
}

// Unfinished returns the memory that an incomplete message holds, in bytes: 0 when none has begun,
// at least 1 when one has.
func (w *WebSocket) Unfinished() int {
	if a := w.assembly; a != nil && !a.given {
		return max(1, cap(a.message))
	}
	return 0
}

// Compressed reports whether in, which is to be given to Decode, begins with a compressed message
// or continues one. A compressed message may expand to a thousand times its size.
func (w *WebSocket) Compressed(in []byte) bool {
	if a := w.assembly; a != nil && !a.given {
		return a.compressed
	}
	return len(in) > 0 && in[0]&bitRSV1 != 0
}

// Inflated returns by how many bytes the payload that Decode has just returned is larger than what
// was received; 0 when it was not compressed.
func (w *WebSocket) Inflated() int {
	if a := w.assembly; a != nil && a.given {
		return a.inflated
	}
	return 0
}

// Discard ends reading, and frees the incomplete message and what the next one could refer to.
func (w *WebSocket) Discard() {
	w.end()
	if w.past != nil {
		w.past.b = nil
	}
}

// Decode reads one frame, or a part of a large one, from the front of in, and unmasks it in place.
// reply has the answer to a ping, or the close frame that ends the connection. With Closed, payload
// is that of the peer's close frame. After Closed or an error Decode takes all input and returns
// nothing for it. After an error, AwaitClose goes on at n.
func (w *WebSocket) Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error) {
	w.Release()
	if w.over {
		return None, nil, len(in), out, nil
	}
	if a := w.assembly; a != nil && a.left > 0 {
		return w.partial(in, 0, out)
	}
	f, code := w.readHeader(in)
	if code != 0 {
		return w.fail(out, code, f.fault(code, w.client))
	}
	if f.header == 0 {
		return None, nil, 0, out, nil
	}
	if opcode := f.first & 0x0F; opcode >= opClose {
		return w.control(&f, in, out)
	}
	if f.size > w.room(&f) {
		return w.fail(out, closeTooBig, tooBig)
	}
	if len(in)-f.header < f.size {
		return w.incomplete(&f, in, out)
	}
	payload = in[f.header : f.header+f.size]
	if f.masked {
		maskBytes(f.key, 0, payload)
	}
	n = f.header + f.size
	if f.first&(bitFin|bitRSV1) == bitFin && f.first&0x0F != opContinuation {
		return w.whole(f.first&0x0F, payload, n, out)
	}
	w.start(&f)
	return w.append(payload, n, out)
}

// room returns how many bytes of payload a frame may still add to its message.
func (w *WebSocket) room(f *frame) int {
	compressed, have := f.first&bitRSV1 != 0, 0
	if a := w.assembly; a != nil {
		compressed, have = a.compressed, len(a.message)
	}
	if compressed {
		return maxDeflated(w.max) - have
	}
	return int(w.max) - have
}

// whole returns a message in one frame, without a copy.
func (w *WebSocket) whole(opcode byte, payload []byte, n int, out []byte) (Event, []byte, int, []byte, error) {
	if opcode == opBinary {
		return MessageBinary, payload, n, out, nil
	}
	if !utf8.Valid(payload) {
		return w.fail(out, closeInvalid, "text is not UTF-8")
	}
	return MessageText, payload, n, out, nil
}

// readHeader reads a frame's header, and refuses as early as possible what the state forbids.
// header is 0 when more bytes are needed. code is the close code of a refusal.
func (w *WebSocket) readHeader(in []byte) (f frame, code uint16) {
	if len(in) < 2 {
		return f, 0
	}
	f.first, f.masked = in[0], in[1]&bitMask != 0
	if !w.legal(in[0], in[1]&^bitMask) || f.masked == w.client {
		return f, closeProtocol
	}
	header, size := 2, uint64(in[1]&^bitMask)
	switch size {
	case 126:
		header = 4
		if len(in) < header {
			return f, 0
		}
		if size = uint64(binary.BigEndian.Uint16(in[2:])); size < 126 {
			return f, closeProtocol // not the shortest form (section 5.2)
		}
	case 127:
		header = 10
		if len(in) < header {
			return f, 0
		}
		size = binary.BigEndian.Uint64(in[2:])
		if size>>63 != 0 || size <= 0xFFFF {
			return f, closeProtocol
		}
		if size > uint64(maxDeflated(w.max)) { // and so that it fits an int
			return f, closeTooBig
		}
	}
	if f.masked {
		if len(in) < header+4 {
			return f, 0
		}
		copy(f.key[:], in[header:])
		header += 4
	}
	f.header, f.size = header, int(size)
	return f, 0
}

// legal reports whether a frame with this beginning is allowed now.
func (w *WebSocket) legal(first, size byte) bool {
	rsv := first & bitsRSV
	switch opcode := first & 0x0F; opcode {
	case opText, opBinary:
		return w.assembly == nil && (rsv == 0 || rsv == bitRSV1 && w.deflate != nil)
	case opContinuation:
		return w.assembly != nil && rsv == 0
	case opClose, opPing, opPong:
		return first&bitFin != 0 && rsv == 0 && size <= maxControl
	}
	return false
}

// start begins or continues a message in several pieces.
func (w *WebSocket) start(f *frame) *assembly {
	if opcode := f.first & 0x0F; opcode != opContinuation {
		w.assembly = &assembly{opcode: opcode, compressed: f.first&bitRSV1 != 0}
	}
	w.assembly.last = f.first&bitFin != 0
	return w.assembly
}

// waitFor is the size, in bytes, up to which a frame is waited for. The pieces of a larger one are
// taken as they come.
const waitFor = 4 << 10

// incomplete handles a data frame that has not come whole.
func (w *WebSocket) incomplete(f *frame, in, out []byte) (Event, []byte, int, []byte, error) {
	if f.size > waitFor {
		a := w.start(f)
		a.key, a.pos, a.left = f.key, 0, f.size
		return w.partial(in, f.header, out)
	}
	var check utf8Check
	text := f.first&(bitRSV1|0x0F) == opText
	if a := w.assembly; a != nil {
		check, text = a.text, a.opcode == opText && !a.compressed
	}
	if text {
		// Invalid text must be refused at once (fail fast). The bytes stay masked, since they are read
		// again.
		var room [waitFor]byte
		seen := room[:copy(room[:], in[f.header:])]
		maskBytes(f.key, 0, seen)
		if !check.more(seen) {
			return w.fail(out, closeInvalid, "text is not UTF-8")
		}
	}
	return None, nil, 0, out, nil
}

// partial takes what has come of a large frame, from in[from:].
func (w *WebSocket) partial(in []byte, from int, out []byte) (Event, []byte, int, []byte, error) {
	a := w.assembly
	piece := in[from:min(len(in), from+a.left)]
	if len(piece) == 0 && from == 0 {
		return None, nil, 0, out, nil
	}
	if !w.client {
		maskBytes(a.key, int(a.pos), piece)
	}
	a.pos = uint8((int(a.pos) + len(piece)) & 3)
	a.left -= len(piece)
	ev, payload, n, reply, err := w.append(piece, from+len(piece), out)
	if err != nil {
		n = from + len(piece) // left is what comes behind it
	}
	return ev, payload, n, reply, err
}

// append adds a piece to the incomplete message, and returns the message when it is whole.
func (w *WebSocket) append(piece []byte, n int, out []byte) (Event, []byte, int, []byte, error) {
	a := w.assembly
	if a.opcode == opText && !a.compressed && !a.text.more(piece) {
		return w.fail(out, closeInvalid, "text is not UTF-8")
	}
	more := a.left // bytes that can still come
	if !a.last {
		more = maxDeflated(w.max) - len(a.message) - len(piece)
	}
	a.message = append(grow(a.message, len(piece), more), piece...)
	if a.left > 0 || !a.last {
		if a.compressed && probes(len(a.message)-len(piece), len(a.message)) && w.exceeds(a.message) {
			return w.fail(out, closeTooBig, tooBig)
		}
		return None, nil, n, out, nil
	}
	a.given = true
	if a.compressed {
		m, err := w.inflate(a.message)
		if err != nil {
			code, what := w.whyNot(a.message, err)
			return w.fail(out, code, what)
		}
		a.inflated = max(0, len(m)-len(a.message))
		a.message = m
		if a.opcode == opText && !utf8.Valid(m) {
			return w.fail(out, closeInvalid, "text is not UTF-8")
		}
	} else if a.opcode == opText && !a.text.end() {
		return w.fail(out, closeInvalid, "text ends within a character")
	}
	if a.opcode == opText {
		return MessageText, a.message, n, out, nil
	}
	return MessageBinary, a.message, n, out, nil
}

// grow makes room for n bytes more. It doubles the capacity, but allocates no more than the left
// bytes that may follow need.
func grow(b []byte, n, left int) []byte {
	need := len(b) + n
	if need <= cap(b) {
		return b
	}
	bigger := make([]byte, len(b), min(max(need, 2*cap(b), 512), need+left))
	copy(bigger, b)
	return bigger
}

// control handles a ping, pong or close, which may come between the pieces of a message.
func (w *WebSocket) control(f *frame, in, out []byte) (Event, []byte, int, []byte, error) {
	n := f.header + f.size
	if len(in) < n {
		return None, nil, 0, out, nil
	}
	payload := in[f.header:n]
	if f.masked {
		maskBytes(f.key, 0, payload)
	}
	switch f.first & 0x0F {
	case opPing:
		if !w.closeSent {
			out = w.appendFrame(out, bitFin|opPong, payload)
		}
	case opClose:
		if code := checkClose(payload); code != 0 {
			return w.fail(out, code, "close frame")
		}
		w.end()
		if !w.closeSent {
			w.closeSent = true
			out = w.appendFrame(out, bitFin|opClose, payload[:min(len(payload), 2)])
		}
		return Closed, payload, n, out, nil
	}
	return None, nil, n, out, nil
}
