package codec

import (
	"bytes"
	"compress/flate"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func deflating(d *Deflate, client bool, limit int) *WebSocket {
	return &WebSocket{max: int32(limit), deflate: d, window: maxWindow, client: client}
}

// inflate expands a message with nothing before it.
func (d *Deflate) inflate(message []byte, limit int) ([]byte, error) {
	return d.expand(message, nil, limit)
}

// RFC 7692 section 7.2.3.
func TestDeflateExamples(t *testing.T) {
	t.Parallel()
	d := NewDeflate()
	for name, in := range map[string]string{
		"7.2.3.1 one block":            "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
		"7.2.3.1 in fragments":         "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00",
		"7.2.3.3 block not deflated":   "\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
		"7.2.3.4 a last block":         "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"7.2.3.5 two blocks":           "\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		"a ping between fragments":     "\x41\x03\xf2\x48\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00",
		"uncompressed is fine as well": "\x81\x05Hello",
	} {
		if got := play(t, deflating(d, true, 99), []byte(in)); len(got.events) != 1 ||
			got.events[0] != (decoded{MessageText, "Hello"}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := play(t, deflating(d, true, 99), []byte("\xc2\x01\x00")); len(got.events) != 1 ||
		got.events[0] != (decoded{MessageBinary, ""}) {
		t.Errorf("an empty message (section 7.2.3.6): %v", got)
	}
	for name, in := range map[string]string{"RSV1 on a continuation": "\x41\x03\xf2\x48\xcd\xc0\x04",
		"RSV1 on a ping": "\xc9\x00", "RSV2": "\xe1\x00"} {
		if got := play(t, deflating(d, true, 99), []byte(in)); !errors.Is(got.err, ErrProtocol) {
			t.Errorf("%s: %v", name, got)
		}
	}
	sliding := deflating(d, true, 99)
	sliding.past = new(history)
	twice := []byte("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00")
	if got := play(t, sliding, twice); len(got.events) != 2 || got.events[1].payload != "Hello" {
		t.Errorf("7.2.3.2 the window of the message before: %v", got)
	}
	if got := play(t, deflating(d, true, 99), []byte("\xc1\x02\xff\xff")); !errors.Is(got.err, ErrProtocol) ||
		len(got.events) > 0 {
		t.Errorf("no deflated data: %v", got)
	}
}

func TestDeflateBomb(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, flate.BestCompression)
	zeros := make([]byte, 1<<20)
	begin := 0
	for range 2 {
		begin = z.Len()
		_, _ = w.Write(zeros)
		_ = w.Flush()
	}
	z.Write(bytes.Repeat(bytes.Clone(z.Bytes()[begin:]), 198)) // behind zeros, zeros are the same each time
	bomb := z.Bytes()[:z.Len()-4]
	d := NewDeflate()
	got := play(t, deflating(d, false, limit), frameOf(0xc2, string(bomb)))
	if !errors.Is(got.err, ErrTooBig) || got.reply != string(plainFrame(0x88, closing(1009, tooBig))) {
		t.Errorf("%d bytes to 200 MiB: %v", len(bomb), got)
	}
	if b, err := d.inflate(bomb, limit); b != nil || !errors.Is(err, ErrTooBig) {
		t.Errorf("%d bytes, error %v", len(b), err)
	}
	// It is found out long before its end.
	ws := deflating(d, false, limit)
	for held, in := 0, frameOf(0xc2, string(bomb)); ; {
		_, _, n, _, err := ws.Decode(in[:min(len(in), 1000)], nil)
		if in = in[n:]; err != nil || n == 0 {
			if !errors.Is(err, ErrTooBig) || held > 2*probeFrom { // its buffer doubles
				t.Errorf("%v with %d of %d bytes held", err, held, len(bomb))
			}
			break
		}
		held = ws.Unfinished()
	}
	// Exactly the limit is allowed, one byte more is not.
	for _, n := range []int{limit, limit + 1} {
		frame := deflating(d, true, limit).Append(nil, zeros[:1], false)
		if n == limit {
			frame = deflating(d, true, limit).Append(frame, zeros, false)
		} else {
			frame = deflating(d, true, limit).Append(frame, append(zeros, 0), false)
		}
		if got := play(t, deflating(d, false, limit), frame); (got.err == nil) != (n == limit) {
			t.Errorf("%d bytes: error %v", n, got.err)
		}
	}
}

// Random bytes do not get smaller when compressed. A client's compressed form of them may be a
// little longer than the limit.
func TestDeflateIncompressible(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	payload := make([]byte, 70_000)
	for i := range payload {
		payload[i] = byte(r.Uint32())
	}
	d := NewDeflate()
	if b := deflating(d, false, 1<<20).Append(nil, payload, false); b[0] != 0x82 {
		t.Errorf("the first byte is %x", b[0])
	}
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, flate.HuffmanOnly)
	_, _ = w.Write(payload)
	_ = w.Flush()
	got := play(t, deflating(d, false, len(payload)), frameOf(0xc2, z.String()[:z.Len()-4]))
	if got.err != nil || len(got.events) != 1 || got.events[0].payload != string(payload) {
		t.Errorf("%d bytes as %d: error %v", len(payload), z.Len(), got.err)
	}
}

// A broadcast is compressed once. The result depends neither on the compressor nor on what it
// compressed before.
func TestDeflateBytesAreEqual(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	words := strings.Fields("a gateway holds connections and a worker holds the business while every byte passes each " +
		"hop in exactly one place")
	text := func(n int) []byte {
		var b []byte
		for len(b) < n {
			b = append(append(b, words[r.IntN(len(words))]...), ' ')
		}
		return b[:n]
	}
	used := deflating(NewDeflate(), false, 1<<20)
	for i := range 100 {
		payload := text(r.IntN(70_000))
		b := used.Append([]byte("before"), payload, i%2 == 0)
		fresh := deflating(NewDeflate(), false, 1<<20)
		if !bytes.Equal(b[6:], fresh.Append(nil, payload, i%2 == 0)) || fresh.Encoding() != used.Encoding() {
			t.Fatalf("message %d of %d bytes differs", i, len(payload))
		}
		if got := play(t, deflating(NewDeflate(), true, 1<<20), b[6:]); len(got.events) != 1 ||
			got.events[0].payload != string(payload) {
			t.Fatalf("message %d: %v", i, got.err)
		}
	}
}

// With a small window only messages that fit into it are compressed.
func TestDeflateWindow(t *testing.T) {
	t.Parallel()
	w := deflating(NewDeflate(), false, 1<<20)
	w.window = 9
	for n, first := range map[int]byte{255: 0x81, 256: 0xc1, 512: 0xc1, 513: 0x81} {
		if b := w.Append(nil, bytes.Repeat([]byte("a"), n), true); b[0] != first {
			t.Errorf("%d bytes: %x, want %x", n, b[0], first)
		}
	}
	w.window = maxWindow // looks back no further by itself
	if b := w.Append(nil, bytes.Repeat([]byte("a"), 100_000), true); b[0] != 0xc1 || len(b) > 2000 {
		t.Errorf("100,000 bytes: %x, %d bytes", b[0], len(b))
	}
	seen := map[uint8]bool{encodingWebSocket: true}
	for w.window = 8; w.window <= maxWindow; w.window++ {
		if seen[w.Encoding()] || w.Encoding() > 15 {
			t.Errorf("window %d: encoding %d", w.window, w.Encoding())
		}
		seen[w.Encoding()] = true
	}
}

func TestDeflateManyLoops(t *testing.T) {
	t.Parallel()
	d, payload := NewDeflate(), []byte(strings.Repeat("shared by loops ", 100))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			w, c := deflating(d, false, 1<<20), deflating(d, true, 1<<20)
			for range 50 {
				if got := play(t, c, w.Append(nil, payload, true)); len(got.events) != 1 ||
					got.events[0].payload != string(payload) {
					t.Errorf("%v", got)
				}
			}
		})
	}
	wg.Wait()
}
