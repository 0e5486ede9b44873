package faultproxy

import "encoding/binary"

// framing follows one direction of a link, to know where a frame begins (internal/link/SPEC.md): first some messages of the hello, u16 length and body, then frames,
// u32 length that counts itself, and the type behind it.
type framing struct {
	hellos int    // messages of the hello that are to come
	head   []byte // of what comes next, as far as it is here
	rest   int    // bytes that are to come of what has begun
}

// pass looks at what passes, and changes the type of as many frames as are to be corrupted.
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
