package codec

import (
	"encoding/binary"
	"unicode/utf8"
)

// How a WebSocket ends.

// AwaitClose reads the input after a close frame was sent, and waits for the peer's close frame
// (RFC 6455 sections 1.4 and 7.1.1). in goes on where the last successful Decode ended. It keeps
// nothing, and returns the number of bytes taken and whether the close frame has come. After a
// peer's breach of framing it may never come.
func (w *WebSocket) AwaitClose(in []byte) (n int, closed bool) {
	w.end()
	for {
		skipped := min(uint64(len(in)-n), uint64(w.rest))
		n += int(skipped)
		w.rest -= uint32(skipped)
		opcode, header, size := frameAt(in[n:])
		switch {
		case w.rest > 0 || header == 0:
			return n, false
		case opcode == opClose:
			return len(in), true
		}
		n += header
		w.rest = uint32(min(size, 1<<32-1)) // the end of a larger one is not waited for
	}
}

// frameAt reads the header of the frame at the front of in, with a payload of any size. header is 0
// when more bytes are needed.
func frameAt(in []byte) (opcode byte, header int, size uint64) {
	if len(in) < 2 {
		return 0, 0, 0
	}
	header, size = 2, uint64(in[1]&^bitMask)
	switch size {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	if in[1]&bitMask != 0 {
		header += 4
	}
	if len(in) < header {
		return 0, 0, 0
	}
	switch size {
	case 126:
		size = uint64(binary.BigEndian.Uint16(in[2:]))
	case 127:
		size = binary.BigEndian.Uint64(in[2:])
	}
	return in[0] & 0x0F, header, size
}

// end stops reading.
func (w *WebSocket) end() {
	if a := w.assembly; a != nil {
		w.rest = uint32(a.left)
	}
	w.over, w.assembly = true, nil
}

// checkClose returns the close code that answers a bad close payload, 0 for a good one (RFC 6455
// sections 5.5.1 and 7.4).
func checkClose(payload []byte) uint16 {
	if len(payload) == 0 {
		return 0
	}
	if len(payload) == 1 {
		return closeProtocol
	}
	if !onWire(binary.BigEndian.Uint16(payload)) {
		return closeProtocol
	}
	if !utf8.Valid(payload[2:]) {
		return closeInvalid
	}
	return 0
}

// onWire reports whether a close frame may carry the code: the registered codes, 3000-3999 for
// libraries, and 4000-4999 for applications.
func onWire(code uint16) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}
