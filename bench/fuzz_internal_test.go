package bench

import (
	"bytes"
	"testing"
)

// Bytes that are not a stamp are refused. A stamp is written as it was read.
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
