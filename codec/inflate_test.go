package codec

import (
	"bytes"
	"compress/flate"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// takeover compresses messages like a client with context takeover. With last each message ends in
// a block that is marked as the last.
type takeover struct {
	z    bytes.Buffer
	w    *flate.Writer
	sent []byte
	last bool
}

func (c *takeover) message(t testing.TB, first byte, parts ...string) []byte {
	t.Helper()
	c.z.Reset()
	for _, part := range parts {
		switch {
		case c.w == nil && c.last:
			c.w, _ = flate.NewWriterDict(&c.z, flate.BestCompression, c.sent)
		case c.w == nil:
			c.w, _ = flate.NewWriter(&c.z, flate.BestCompression)
		}
		_, err := c.w.Write([]byte(part))
		c.sent = append(c.sent, part...)
		if c.last {
			err = errors.Join(err, c.w.Close())
			c.w = nil
		} else {
			err = errors.Join(err, c.w.Flush())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	z := c.z.Bytes()
	if c.last {
		return frameOf(first, string(z)+"\x00") // as in RFC 7692 section 7.2.3.4
	}
	return frameOf(first, string(bytes.TrimSuffix(z, []byte(flushed))))
}

// A message may go on after a block that is marked as the last, at the next byte (RFC 7692 sections
// 7.2.1 and 7.2.3.4).
func TestDeflateLastBlocks(t *testing.T) {
	t.Parallel()
	d := NewDeflate()
	hello := "\xf3\x48\xcd\xc9\xc9\x07\x00" // one such block
	for in, want := range map[string]string{
		hello + "\x00":         "Hello",
		hello:                  "Hello", // nothing is left out, and so nothing is missed
		hello + hello + "\x00": "HelloHello",
		// One that is empty between them.
		hello + "\x03\x00" + hello + "\x00": "HelloHello",
		"\xf2\x48\xcd\xc9\xc9\x07\x00":      "Hello", // not the last
		// One that is not the last behind.
		hello + "\xf2\x48\xcd\xc9\xc9\x07\x00": "HelloHello",
		"\x01\x05\x00\xfa\xffHello" + hello:    "HelloHello", // stored
		// As many as there may be.
		strings.Repeat(hello, 16) + "\x00":   strings.Repeat("Hello", 16),
		hello + "\xff\xff\xff":               "invalid", // what is no block
		hello + strings.Repeat("\xff", 1000): "invalid", //
		// Each of which costs more than its bytes do.
		strings.Repeat("\x03\x00", 18): "invalid: too many final blocks in a compressed message",
	} {
		got := play(t, deflating(d, false, 1000), frameOf(0xc1, in))
		_, why := farewell(got.reply)
		switch fault, bad := strings.CutPrefix(want, "invalid"); {
		case bad && (got.err == nil || len(got.events) > 0 || !strings.Contains(": "+why, fault)):
			t.Errorf("%x: %v", in, got)
		case !bad && (got.err != nil || len(got.events) != 1 || got.events[0].payload != want):
			t.Errorf("%x: %v, want %q", in, got, want)
		}
	}
	// A block may refer to what is before it, however the blocks end.
	for _, n := range []int{1, 100, 20_000, 40_000} {
		c, part := takeover{last: true}, noise(n)
		if got := play(t, deflating(d, false, 1<<20), c.message(t, 0xc2, part, part, part)); len(got.events) != 1 ||
			got.events[0].payload != part+part+part {
			t.Errorf("three blocks of %d bytes: %v", n, got.err)
		}
	}
}

// A compression bomb may come after a last block.
func TestDeflateBombBehindALastBlock(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	c := takeover{last: true}
	bomb := c.message(t, 0xc2, "Hello", strings.Repeat("\x00", 64<<20))
	ws := deflating(NewDeflate(), false, limit)
	for held, in := 0, bomb; ; {
		_, _, n, _, err := ws.Decode(in[:min(len(in), 1000)], nil)
		if in = in[n:]; err != nil || n == 0 {
			if !errors.Is(err, ErrTooBig) || held > 2*probeFrom {
				t.Errorf("%v with %d of %d bytes held", err, held, len(bomb))
			}
			break
		}
		held = ws.Unfinished()
	}
}

// noise returns text without repetitions.
func noise(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// A client with context takeover may refer to the last 32 KiB that it sent compressed, in whatever
// messages, frames and pieces. No more is kept of it.
func TestDeflateClientTakeover(t *testing.T) {
	t.Parallel()
	for _, last := range []bool{false, true} {
		c := takeover{last: last}
		w := deflating(NewDeflate(), false, 1<<20)
		w.past = new(history)
		known := noise(9000)
		var in []byte
		var want []decoded
		add := func(parts ...string) {
			in = append(in, c.message(t, 0xc2, parts...)...)
			want = append(want, decoded{MessageBinary, strings.Join(parts, "")})
		}
		add(known)
		add(known) // refers to the message before
		in = append(in, frameOf(0x82, "not compressed, and nothing to refer to")...)
		want = append(want, decoded{MessageBinary, "not compressed, and nothing to refer to"})
		add(known[:5000], known[:100])
		add("")
		add(noise(23_000), known[:1]) // known is just within reach
		add(known[:9000])
		add(noise(100_000))
		add(strings.Repeat(noise(32<<10), 2)) // as far back as one may refer
		add(noise(32 << 10))
		for _, cut := range []int{1, 7, 1000, len(in)} {
			w := *w
			w.past = new(history)
			pieces := slices.Collect(slices.Chunk(slices.Clone(in), cut))
			got := play(t, &w, pieces...)
			if got.err != nil || !slices.Equal(got.events, want) {
				t.Errorf("last blocks %v, in pieces of %d bytes: %d messages of %d, error %v", last, cut, len(got.events),
					len(want), got.err)
			}
			if n := cap(w.past.b); n > WindowSize {
				t.Errorf("%d bytes are kept", n)
			}
			if w.Discard(); w.past.b != nil || !w.ClientTakeover() {
				t.Error("what was kept is kept on")
			}
		}
	}
}

// The history grows with the input up to 32 KiB, and its end is the end of the input.
func TestHistory(t *testing.T) {
	t.Parallel()
	var h history
	var all []byte
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 400 {
		m := []byte(noise(r.IntN(1 + i*i/2)))
		all = append(all, m...)
		h.add(m)
		if want := all[max(0, len(all)-WindowSize):]; !bytes.Equal(h.b, want) {
			t.Fatalf("message %d: %d bytes are kept, %d should be", i, len(h.b), len(want))
		}
		if cap(h.b) > max(512, min(WindowSize, 2*len(all))) {
			t.Fatalf("%d bytes came and %d are taken", len(all), cap(h.b))
		}
	}
}

// A client that uses context takeover without agreement receives that reason: its first message can
// be read, the next one cannot. Other faults do not give that reason.
func TestDeflateTakeoverNotAgreedTo(t *testing.T) {
	t.Parallel()
	c, text := takeover{}, "the quick brown fox jumps over the lazy dog"
	first, second := c.message(t, 0xc1, text), c.message(t, 0xc1, text)
	got := play(t, deflating(NewDeflate(), false, 1000), first, second)
	if code, why := farewell(got.reply); len(got.events) != 1 || got.events[0].payload != text || code != 1007 ||
		!strings.Contains(why, "context takeover") || !errors.Is(got.err, ErrProtocol) {
		t.Errorf("%v", got)
	}
	for name, in := range map[string]string{"garbage": "\xff\xff", "cut": "\x4a",
		"garbage behind": "\xf3\x48\xcd\xc9\xc9\x07\x00\xff"} {
		got := play(t, deflating(NewDeflate(), false, 1000), frameOf(0xc1, in))
		if code, why := farewell(got.reply); code != 1007 || strings.Contains(why, "takeover") {
			t.Errorf("%s: %v", name, got)
		}
	}
	w := deflating(NewDeflate(), false, 1000)
	w.past = new(history)
	got = play(t, w, slices.Clone(second)) // refers to what this client has not sent
	if code, why := farewell(got.reply); code != 1007 || strings.Contains(why, "takeover") {
		t.Errorf("with takeover agreed to: %v", got)
	}
}

// RFC 7692 section 7.1.1: the answer where context takeover is allowed.
func TestUpgradeClientTakeover(t *testing.T) {
	t.Parallel()
	o := &UpgradeOptions{Deflate: NewDeflate(), ClientTakeover: true}
	for offer, want := range map[string]struct {
		answer   string
		takeover bool
	}{
		"permessage-deflate": {"permessage-deflate; server_no_context_takeover", true},
		"permessage-deflate; client_max_window_bits; server_max_window_bits=10": {"permessage-deflate; " +
			"server_no_context_takeover; server_max_window_bits=10", true},
		"permessage-deflate; client_no_context_takeover; server_max_window_bits=9": {"permessage-deflate; " +
			"server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9", false},
		"": {"", false},
	} {
		ws, response, err := Upgrade(mustRead(t, sampleUpgrade("none", "Sec-WebSocket-Extensions: "+offer)), o)
		_, got, _ := strings.Cut(string(response), "Sec-WebSocket-Extensions: ")
		if err != nil || strings.TrimSpace(got) != want.answer || ws.ClientTakeover() != want.takeover {
			t.Errorf("%s: answered %q, takeover %v, error %v", offer, got, ws.ClientTakeover(), err)
		}
	}
}
