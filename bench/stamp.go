package bench

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// A stamp identifies a message and stands at its head. It is 16 printable characters, so that every
// codec can carry it: base64 (RFC 4648 section 5) of 24 bits stream, 32 bits sequence number, 32
// bits time and 8 bits check.
type stamp struct {
	stream uint32 // the connection that sent it, at most maxStreams-1
	seq    uint32 // within the stream, from 0
	at     uint32 // when it was due: the low bits of the microseconds since the start of the run
}

const (
	stampLen   = 16
	maxStreams = 1 << 24
)

var errStamp = errors.New("no stamp")

// checkPrime is the modulus of the check, the largest prime below 256. A changed character adds
// d<<n, with d below 64, to the 96 bits of a stamp. That is never a multiple of the prime, so every
// such change is found. Of other changes it finds 250 of 251.
const checkPrime = 251

// check returns the remainder of the 88 bits before it.
func check(high uint64, low uint32) uint32 {
	return uint32((high%checkPrime<<24 | uint64(low)) % checkPrime)
}

// put writes the stamp to the first stampLen bytes of dst.
func (s stamp) put(dst []byte) {
	var b [12]byte
	high, low := uint64(s.stream)<<40|uint64(s.seq)<<8|uint64(s.at>>24), s.at&0xffffff
	binary.BigEndian.PutUint64(b[:], high)
	binary.BigEndian.PutUint32(b[8:], low<<8|check(high, low))
	base64.RawURLEncoding.Encode(dst[:stampLen], b[:])
}

func readStamp(src []byte) (stamp, error) {
	var b [12]byte
	if len(src) < stampLen {
		return stamp{}, errStamp
	}
	// Decode skips line breaks, so that it can return fewer bytes.
	if n, err := base64.RawURLEncoding.Decode(b[:], src[:stampLen]); err != nil || n < len(b) {
		return stamp{}, errStamp
	}
	high, tail := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint32(b[8:])
	if tail&0xff != check(high, tail>>8) {
		return stamp{}, errStamp
	}
	return stamp{stream: uint32(high >> 40), seq: uint32(high >> 8), at: uint32(high)<<24 | tail>>8}, nil
}

// since returns when the message was due, in microseconds since the start of the run. now must be
// within half an hour of it.
func (s stamp) since(now int64) int64 { return now - int64(int32(uint32(now)-s.at)) }
