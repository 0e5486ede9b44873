package codec

import "encoding/binary"

// maskBytes XORs b with the key, beginning at the key's byte pos&3 (RFC 6455 section 5.3). It works
// on eight bytes at a time.
func maskBytes(key [4]byte, pos int, b []byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	k = k>>(8*(pos&3)) | k<<(64-8*(pos&3)) // a shift by 64 gives 0
	for len(b) >= 32 {
		v := b[:32:32]
		binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)^k)
		binary.LittleEndian.PutUint64(v[8:], binary.LittleEndian.Uint64(v[8:])^k)
		binary.LittleEndian.PutUint64(v[16:], binary.LittleEndian.Uint64(v[16:])^k)
		binary.LittleEndian.PutUint64(v[24:], binary.LittleEndian.Uint64(v[24:])^k)
		b = b[32:]
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^k)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(k >> (8 * i))
	}
}
