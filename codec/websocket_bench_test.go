package codec

import (
	"fmt"
	"strings"
	"testing"
)

var benchSizes = []int{16, 128, 1024, 65536}

func BenchmarkWebSocketDecode(b *testing.B) {
	for _, kind := range []struct {
		name  string
		first byte
	}{{"binary", 0x82}, {"text", 0x81}} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				w, in := server(1<<20), frameOf(kind.first, strings.Repeat("x", n))
				copy(in[len(in)-n-4:], "\x00\x00\x00\x00") // unmasking in place leaves it as it is
				copy(in[len(in)-n:], strings.Repeat("x", n))
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if ev, _, _, _, err := w.Decode(in, nil); ev == None || err != nil {
						b.Fatal(ev, err)
					}
				}
			})
		}
	}
}

func BenchmarkWebSocketAppend(b *testing.B) {
	d := NewDeflate()
	for name, w := range map[string]*WebSocket{"server": server(1 << 20), "client": client(1 << 20),
		"deflate": {max: 1 << 20, deflate: d, window: maxWindow}} {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				payload, dst := []byte(strings.Repeat("some words; ", n/12+1)[:n]), make([]byte, 0, n+14)
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					w.Append(dst, payload, true)
				}
			})
		}
	}
}

func BenchmarkWebSocketInflate(b *testing.B) {
	d := NewDeflate()
	w := &WebSocket{max: 1 << 20, deflate: d, window: maxWindow}
	c := &WebSocket{max: 1 << 20, deflate: d, window: maxWindow, client: true}
	frame := c.Append(nil, []byte(strings.Repeat("some words; ", 100)), true)
	in := make([]byte, len(frame))
	b.ReportAllocs()
	for b.Loop() {
		copy(in, frame)
		if ev, _, _, _, err := w.Decode(in, nil); ev == None || err != nil {
			b.Fatal(ev, err)
		}
	}
}
