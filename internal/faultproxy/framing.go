package faultproxy

import "encoding/binary"

// framing follows one direction of a link to find where a frame begins (internal/link/SPEC.md). The
// messages of the hello come first, each with a u16 length and a body. Frames follow, each with a
// u32 length that counts itself, and a type.
type framing struct {
	hellos int    // messages of the hello that are to come
	head   []byte // of what comes next, as far as it is here
	rest   int    // bytes that are to come of what has begun
}

// pass reads the bytes that pass, and changes the type of the frames that are to be corrupted.
func (f *framing) pass(b []byte, corrupt *int) {
	for i := range b {
		if f.rest > 0 {
			f.rest--
			continue
		}
		f.head = append(f.head, b[i])
		switch {
		case f.hellos > 0 && len(f.head) == 2:
			f.rest = int(binary.BigEndian.Uint16(f.head))
			f.hellos--
			f.head = f.head[:0]
		case f.hellos == 0 && len(f.head) == 5:
			if *corrupt > 0 {
				*corrupt--
				b[i] ^= 0x80
			}
			f.rest = max(int(binary.BigEndian.Uint32(f.head))-5, 0)
			f.head = f.head[:0]
		}
	}
}
