package bench

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// A stamp is at the head of every message and says which it is. It is sixteen printable characters, so that it passes through any codec: base64 of 24 bits stream,
// 32 bits sequence and 40 bits time.
type stamp struct {
	stream uint32 // the connection that sent it, at most maxStreams-1
	seq    uint32 // of the stream, from 0
	at     int64  // when it was to be sent: microseconds since the run began, good for twelve days
}

const (
	stampLen   = 16
	maxStreams = 1 << 24
)

var errStamp = errors.New("no stamp")

// put writes the stamp over the first stampLen bytes of dst.
func (s stamp) put(dst []byte) {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(s.stream)<<40|uint64(s.seq)<<8|uint64(s.at)>>32&0xff)
	binary.BigEndian.PutUint32(b[8:], uint32(s.at))
	base64.RawURLEncoding.Encode(dst[:stampLen], b[:])
}

// readStamp reads what put wrote.
func readStamp(src []byte) (stamp, error) {
	var b [12]byte
	if len(src) < stampLen {
		return stamp{}, errStamp
	}
	if n, err := base64.RawURLEncoding.Decode(b[:], src[:stampLen]); err != nil || n < len(b) { // it passes over line breaks
		return stamp{}, errStamp
	}
	head := binary.BigEndian.Uint64(b[:])
	return stamp{stream: uint32(head >> 40), seq: uint32(head >> 8), at: int64(head&0xff)<<32 | int64(binary.BigEndian.Uint32(b[8:]))}, nil
}
