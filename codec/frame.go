package codec

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Frame carries any bytes behind their length, every message binary:
//
//	+----------------+-------------------+
//	| length uint32  | length-4 bytes    |
//	+----------------+-------------------+
//
// Big-endian; the length counts its own four bytes.
type Frame struct {
	MaxMessage int // bytes of a payload. Defaults to DefaultMaxMessage.
	messagesOnly
}

// Decode reads one frame from the front of in.
func (f Frame) Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error) {
	payload, n, err = counted(in, limit(f.MaxMessage))
	if n == 0 {
		return None, nil, 0, out, err
	}
	return MessageBinary, payload, n, out, nil
}

// Append appends payload as one frame. A payload of more than 4 GiB has no form in the format, and
// nothing is appended.
func (f Frame) Append(dst, payload []byte, text bool) []byte {
	return appendCounted(dst, payload)
}

// Encoding is the same for every Frame.
func (f Frame) Encoding() uint8 { return encodingFrame }

const lengthSize = 4

var errShort = fmt.Errorf("%w: the length must be at least 4: it includes its own four bytes", ErrProtocol)

// counted cuts a payload with a length in front from in. It returns the number of bytes taken, 0
// when the payload has not come whole.
func counted(in []byte, limit int) ([]byte, int, error) {
	if len(in) < lengthSize {
		return nil, 0, nil
	}
	total := uint64(binary.BigEndian.Uint32(in))
	switch {
	case total < lengthSize:
		return nil, 0, errShort
	case total-lengthSize > uint64(limit):
		return nil, 0, ErrTooBig
	case total > uint64(len(in)):
		return nil, 0, nil
	}
	return in[lengthSize:total:total], int(total), nil
}

func appendCounted(dst, payload []byte) []byte {
	if uint64(len(payload)) > math.MaxUint32-lengthSize {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(lengthSize+len(payload)))
	return append(dst, payload...)
}
