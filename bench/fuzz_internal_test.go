package bench

import (
	"bytes"
	"testing"
)

// What is no stamp is refused, and what is one reads back as it was written.
func FuzzStamp(f *testing.F) {
	f.Add([]byte("AAAAAAAAAAAAAAAA and more"))
	f.Add([]byte("AAAA\nAAAAAAAAAAA"))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := readStamp(in)
		if err != nil {
			return
		}
		b := make([]byte, stampLen)
		s.put(b)
		if back, err := readStamp(b); err != nil || back != s {
			t.Fatalf("%q: %+v, %v; want %+v", b, back, err, s)
		}
		if !bytes.Equal(b, in[:stampLen]) {
			t.Fatalf("%q is taken for %q", in[:stampLen], b)
		}
	})
}
