package bench

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// A stamp is at the head of every message and says which it is. It is sixteen printable characters, so that it passes through any codec: base64 (RFC 4648, section 5)
// of 24 bits stream, 32 bits sequence, 32 bits time and 8 bits check.
type stamp struct {
	stream uint32 // the connection that sent it, at most maxStreams-1
	seq    uint32 // of the stream, from 0
	at     uint32 // when it was to be sent: the low bits of the microseconds since the run began
}

const (
	stampLen   = 16
	maxStreams = 1 << 24
)

var errStamp = errors.New("no stamp")

// checkPrime is the modulus of a stamp's check, the largest prime below 256. A change of one character adds d<<n to the stamp's 96 bits, with d below 64: no such number
// is a multiple of it, so that each is found. Of other changes it finds all but one in 251.
const checkPrime = 251

// check is the remainder of the 88 bits before it.
func check(high uint64, low uint32) uint32 {
	return uint32((high%checkPrime<<24 | uint64(low)) % checkPrime)
}

// put writes the stamp over the first stampLen bytes of dst.
func (s stamp) put(dst []byte) {
	var b [12]byte
	high, low := uint64(s.stream)<<40|uint64(s.seq)<<8|uint64(s.at>>24), s.at&0xffffff
	binary.BigEndian.PutUint64(b[:], high)
	binary.BigEndian.PutUint32(b[8:], low<<8|check(high, low))
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
	high, tail := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint32(b[8:])
	if tail&0xff != check(high, tail>>8) {
		return stamp{}, errStamp
	}
	return stamp{stream: uint32(high >> 40), seq: uint32(high >> 8), at: uint32(high)<<24 | tail>>8}, nil
}

// since is when the stamp's message was to be sent, in microseconds since the run began, as seen at now. It is right for what took less than half an hour.
func (s stamp) since(now int64) int64 { return now - int64(int32(uint32(now)-s.at)) }
