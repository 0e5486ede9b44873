package faultproxy

import "encoding/binary"

// framing follows one direction of a link to find the start of each frame (internal/link/SPEC.md).
// First come some hello messages, each a u16 length and a body. Then come frames: a u32 length that
// counts itself, and the type.
type framing struct {
	hellos int    // hello messages that are still to come
	head   []byte // the received part of the next length and type
	rest   int    // bytes of the current message or frame that are still to come
}

// pass follows the bytes b. It flips a bit of the types of the next *corrupt frames.
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
