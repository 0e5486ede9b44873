package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

// frameOf returns a frame as a client sends it, written independently of the code under test.
func frameOf(first byte, payload string) []byte {
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := plainFrame(first, payload)
	head := len(b) - len(payload)
	masked := append(slices.Clone(b[:head]), key[:]...)
	masked[1] |= 0x80
	for i := range len(payload) {
		masked = append(masked, payload[i]^key[i%4])
	}
	return masked
}

// plainFrame returns a frame as a server sends it.
func plainFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 65535:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func closing(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

func server(limit int) *WebSocket { return &WebSocket{max: int32(limit), window: maxWindow} }
func client(limit int) *WebSocket {
	return &WebSocket{max: int32(limit), window: maxWindow, client: true}
}

// outcome is everything that can be observed of a connection.
type outcome struct {
	events []decoded
	reply  string
	err    error
}

func (o outcome) String() string {
	return fmt.Sprintf("events %.200q, reply %.200q, error %v", o.events, o.reply, o.err)
}

func (o outcome) equal(p outcome) bool {
	return slices.Equal(o.events, p.events) && o.reply == p.reply && fmt.Sprint(o.err) == fmt.Sprint(p.err)
}

// play passes the pieces to w like a loop, until the connection ends.
func play(t testing.TB, w *WebSocket, pieces ...[]byte) (o outcome) {
	t.Helper()
	var carry []byte
	for _, piece := range pieces {
		carry = append(carry, piece...)
		for {
			ev, payload, n, reply, err := w.Decode(carry, []byte("> "))
			if !bytes.HasPrefix(reply, []byte("> ")) {
				t.Fatalf("the reply %q is not behind what was in out", reply)
			}
			if n < 0 || n > len(carry) || n == 0 && ev != None || err != nil && ev != None {
				t.Fatalf("event %d, %d bytes of %d, error %v", ev, n, len(carry), err)
			}
			o.reply += string(reply[2:])
			if ev != None {
				o.events = append(o.events, decoded{ev, string(payload)})
			}
			if o.err = err; err != nil || ev == Closed {
				return o
			}
			if n == 0 {
				break
			}
			carry = carry[n:]
		}
		carry = slices.Clone(carry)
	}
	return o
}

// RFC 6455 section 5.7.
func TestWebSocketExamples(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 256)
	huge := strings.Repeat("x", 65536)
	hello := []decoded{{MessageText, "Hello"}}
	tests := []struct {
		name string
		ws   *WebSocket
		in   string
		want outcome
	}{
		{"unmasked text", client(1 << 20), "\x81\x05\x48\x65\x6c\x6c\x6f", outcome{events: hello}},
		{"masked text", server(1 << 20), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", outcome{events: hello}},
		{"fragmented", client(1 << 20), "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", outcome{events: hello}},
		{"masked ping", server(1 << 20), "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
			outcome{reply: "\x8a\x05\x48\x65\x6c\x6c\x6f"}},
		{"pong", client(1 << 20), "\x8a\x05\x48\x65\x6c\x6c\x6f", outcome{}},
		{"256 bytes", client(1 << 20), "\x82\x7e\x01\x00" + big, outcome{events: []decoded{{MessageBinary, big}}}},
		{"64 KiB", client(1 << 20), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + huge,
			outcome{events: []decoded{{MessageBinary, huge}}}},
	}
	for _, tt := range tests {
		if got := play(t, tt.ws, []byte(tt.in)); !got.equal(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Frames of all sizes around those where the header changes, in both directions.
func TestWebSocketLengths(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 7, 8, 9, 124, 125, 126, 127, 4095, 4096, 4097, 65534, 65535, 65536, 65537, 1 << 20} {
		payload := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		if got := string(server(n).Append(nil, []byte(payload), true)); got != string(plainFrame(0x81, payload)) {
			t.Errorf("%d bytes: a server's frame begins %x", n, got[:min(len(got), 14)])
		}
		want := outcome{events: []decoded{{MessageText, payload}}}
		if got := play(t, server(n), client(n).Append(nil, []byte(payload), true)); !got.equal(want) {
			t.Errorf("%d bytes: from a client: %v", n, got)
		}
		if got := play(t, server(n), frameOf(0x81, payload)); !got.equal(want) {
			t.Errorf("%d bytes: %v", n, got)
		}
		if n > 1 {
			whole := frameOf(0x82, payload)
			for _, in := range [][]byte{whole, whole[:len(whole)-n]} { // the header alone tells
				if got := play(t, server(n-1), slices.Clone(in)); !errors.Is(got.err, ErrTooBig) {
					t.Errorf("%d bytes of a frame of %d where %d are allowed: %v", len(in), n, n-1, got)
				}
			}
		}
	}
}

func TestWebSocketRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		code uint16
	}{
		{"no mask", "\x81\x05", 1002},
		{"RSV1 without compression", "\xc1\x85", 1002},
		{"RSV2", "\xa1\x85", 1002},
		{"RSV3", "\x91\x85", 1002},
		{"opcode 3", "\x83\x80", 1002}, {"opcode 7", "\x87\x80", 1002}, {"opcode 11", "\x8b\x80", 1002},
		{"opcode 15", "\x8f\x80", 1002},
		{"ping in fragments", "\x09\x80", 1002},
		{"ping of 126 bytes", "\x89\xfe", 1002},
		{"close of 126 bytes", "\x88\xfe", 1002},
		{"continuation of nothing", "\x80\x80", 1002},
		{"first fragment twice", string(frameOf(0x01, "a")) + "\x01\x80", 1002},
		{"125 in two bytes", "\x82\xfe\x00\x7d", 1002},
		{"65535 in eight bytes", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 1002},
		{"top bit of the length", "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 1002},
		{"2^63-1 bytes", "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 1009},
		{"more than allowed", "\x82\xfe\x04\x01" + "\x00\x00\x00\x00", 1009},
		{"more than allowed in fragments", string(frameOf(0x02, strings.Repeat("a", 600))) +
			string(frameOf(0x00, strings.Repeat("a", 425))), 1009},
		{"not UTF-8", string(frameOf(0x81, "a\xff")), 1007},
		{"not UTF-8, frame not whole", string(frameOf(0x81, "a\xff and more")[:8]), 1007},
		{"surrogate over fragments", string(frameOf(0x01, "\xed")) + string(frameOf(0x00, "\xa0")), 1007},
		{"character cut by the end", string(frameOf(0x01, "\xe2\x82")) + string(frameOf(0x80, "")), 1007},
		{"close of one byte", string(frameOf(0x88, "\x03")), 1002},
		{"close 999", string(frameOf(0x88, closing(999, ""))), 1002},
		{"close 1005", string(frameOf(0x88, closing(1005, ""))), 1002},
		{"close 1015", string(frameOf(0x88, closing(1015, ""))), 1002},
		{"close 5000", string(frameOf(0x88, closing(5000, ""))), 1002},
		{"close with bad text", string(frameOf(0x88, closing(1000, "\xff"))), 1007},
	}
	for _, tt := range tests {
		w := server(1024)
		got := play(t, w, []byte(tt.in))
		if code, why := farewell(got.reply); code != tt.code || why == "" || got.err == nil || len(got.events) > 0 {
			t.Errorf("%s: %v, want a close frame with %d that says why", tt.name, got, tt.code)
		}
		want := ErrProtocol
		if tt.code == 1009 {
			want = ErrTooBig
		}
		if !errors.Is(got.err, want) {
			t.Errorf("%s: error %v, want %v", tt.name, got.err, want)
		}
		if b := w.AppendClose(nil, 1000, ""); len(b) > 0 {
			t.Errorf("%s: a second close frame %x", tt.name, b)
		}
		if ev, _, n, reply, err := w.Decode(frameOf(0x81, "more"), nil); ev != None || n != 10 || len(reply) > 0 ||
			err != nil {
			t.Errorf("%s: afterwards event %d, %d bytes, reply %x, error %v", tt.name, ev, n, reply, err)
		}
	}
	if got := play(t, client(1024), frameOf(0x81, "a")); !errors.Is(got.err, ErrProtocol) {
		t.Errorf("a mask from a server: %v", got)
	}
}

// farewell returns the code and the reason of a server's close frame.
func farewell(frame string) (code uint16, why string) {
	if len(frame) < 4 || frame[0] != 0x88 || int(frame[1]) != len(frame)-2 {
		return 0, ""
	}
	return binary.BigEndian.Uint16([]byte(frame[2:])), frame[4:]
}

func TestWebSocketClose(t *testing.T) {
	t.Parallel()
	for code := range 5100 {
		code := uint16(code)
		legal := code >= 1000 && code < 1004 || code > 1006 && code < 1015 || code >= 3000 && code < 5000
		got := play(t, server(99), frameOf(0x88, closing(code, "bye")))
		if (got.err == nil) != legal || legal && (got.reply != string(plainFrame(0x88, closing(code, ""))) ||
			got.events[0] != decoded{Closed, closing(code, "bye")}) {
			t.Fatalf("close %d: %v", code, got)
		}
	}
	if got := play(t, server(99), frameOf(0x88, "")); got.reply != "\x88\x00" || got.err != nil {
		t.Errorf("close without a code: %v", got)
	}

	w := server(99)
	if b := w.AppendClose(nil, 1001, strings.Repeat("ä", 100)); len(b) != 2+2+122 || !utf8.Valid(b[4:]) {
		t.Errorf("a long reason: %x", b)
	}
	if b := w.AppendPing(nil); len(b) > 0 {
		t.Errorf("a ping behind a close frame: %x", b)
	}
	// What the peer had sent before it saw our close frame still counts; pings need no answer any
	// more.
	got := play(t, w, slices.Concat(frameOf(0x81, "a"), frameOf(0x89, ""), frameOf(0x88, "")))
	if want := (outcome{events: []decoded{{MessageText, "a"}, {Closed, ""}}}); !got.equal(want) {
		t.Errorf("the peer answers our close frame: %v", got)
	}
	if b := server(99).AppendClose(nil, 1005, "\xff"); string(b) != string(plainFrame(0x88, closing(1011, "\ufffd"))) {
		t.Errorf("a code and a reason that must not be on the wire: %x", b)
	}
}

// dialogue has all kinds of frames and messages.
func dialogue(large int) [][]byte {
	long := strings.Repeat("κόσμε ", large/6)
	return [][]byte{
		frameOf(0x81, "κόσμε"), frameOf(0x82, ""), frameOf(0x81, ""), frameOf(0x89, "ping"),
		frameOf(0x01, "κό\xcf"), frameOf(0x89, ""), frameOf(0x00, "\x83"), frameOf(0x00, ""), frameOf(0x8a, "pong"),
		frameOf(0x80, "με"),
		frameOf(0x02, "\xff"), frameOf(0x80, "\xfe"), frameOf(0x81, long[:132]), frameOf(0x82, long), frameOf(0x81, long),
		frameOf(0x88, closing(4001, "κόσμε")), frameOf(0x81, "never read"),
	}
}

func TestWebSocketSplitAnywhere(t *testing.T) {
	t.Parallel()
	for _, large := range []int{600, 2 * waitFor} {
		all := slices.Concat(dialogue(large)...)
		want := play(t, server(1<<20), slices.Clone(all))
		if len(want.events) != 9 || want.err != nil {
			t.Fatalf("whole: %v", want)
		}
		single := make([][]byte, len(all))
		for i := range all {
			single[i] = []byte{all[i]}
			if large > waitFor && i%17 > 0 {
				continue
			}
			if got := play(t, server(1<<20), slices.Clone(all[:i]), slices.Clone(all[i:])); !got.equal(want) {
				t.Fatalf("split at %d: %v", i, got)
			}
		}
		if got := play(t, server(1<<20), single...); !got.equal(want) {
			t.Fatalf("byte by byte: %v", got)
		}
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		b, key, pos := make([]byte, n), [4]byte{}, n%7
		binary.LittleEndian.PutUint32(key[:], r.Uint32())
		want := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
			want[i] = b[i] ^ key[(pos+i)%4]
		}
		if maskBytes(key, pos, b); !bytes.Equal(b, want) {
			t.Fatalf("%d bytes from %d: %x, want %x", n, pos, b, want)
		}
	}
}

// For each pair of cuts through texts of all widths the result agrees with utf8.Valid, and invalid
// text is found at its first byte.
func TestUTF8Check(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "abc", "κόσμε", "a€b", "𐍈x𐍈", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "a\x80", "\xc0\xaf",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x9f\x98", "\xf8\x88", "ok\xfe"} {
		for i := range len(s) + 1 {
			for j := i; j <= len(s); j++ {
				var c utf8Check
				got := c.more([]byte(s[:i])) && c.more([]byte(s[i:j])) && c.more([]byte(s[j:])) && c.end()
				if got != utf8.ValidString(s) {
					t.Errorf("%q cut at %d and %d: %v", s, i, j, got)
				}
			}
		}
	}
	for bad, at := range map[string]int{"abc\xff": 3, "\xed\xa0": 1, "\xf4\x90": 1, "\xe0\x80": 1, "€\xe2\x82a": 5,
		"\xc1": 0, "\xf5": 0} {
		var c utf8Check
		for i := range len(bad) {
			if ok := c.more([]byte{bad[i]}); ok != (i < at) {
				t.Errorf("%q, byte %d: %v", bad, i, ok)
			}
			if i == at {
				break
			}
		}
	}
}

// A claimed length costs no memory: neither the header of a large frame nor its first bytes do.
func TestWebSocketBelievesNoLength(t *testing.T) {
	t.Parallel()
	w := server(1 << 30)
	in := append([]byte("\x82\xff\x00\x00\x00\x00\x3f\xff\xff\xff\x00\x00\x00\x00"), make([]byte, 1000)...)
	if _, _, n, _, err := w.Decode(in, nil); n != len(in) || err != nil || cap(w.assembly.message) > 4096 {
		t.Errorf("%d bytes taken, %d reserved, error %v", n, cap(w.assembly.message), err)
	}
}

// A message in many fragments is not copied for each of them.
func TestWebSocketGrowsByDoubling(t *testing.T) {
	t.Parallel()
	w, moved, room := server(1<<20), 0, 0
	for i := range 1 << 14 {
		first := byte(0x00)
		if i == 0 {
			first = 0x02
		}
		if _, _, _, _, err := w.Decode(frameOf(first, strings.Repeat("x", 64)), nil); err != nil {
			t.Fatal(err)
		}
		if cap(w.assembly.message) != room {
			room, moved = cap(w.assembly.message), moved+1
		}
	}
	if moved > 20 || room > maxDeflated(w.max) {
		t.Errorf("the buffer moved %d times and has %d bytes", moved, room)
	}
}

func TestWebSocketIdle(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(WebSocket{}); size > 48 {
		t.Errorf("a WebSocket has %d bytes", size)
	}
	w := server(1 << 20)
	play(t, w, frameOf(0x01, "a"), frameOf(0x80, "b"))
	if w.Release(); w.assembly != nil {
		t.Error("a buffer stays after Release")
	}
}

func TestWebSocketAllocatesNothing(t *testing.T) {
	text, small := frameOf(0x81, "hello, κόσμε"), frameOf(0x82, strings.Repeat("x", 4096))
	ping, out := frameOf(0x89, "ping"), make([]byte, 0, 8192)
	w, c, payload := server(1<<20), client(1<<20), make([]byte, 4096)
	scratch := make([]byte, 8192)
	decode := func(in []byte) {
		if _, _, _, _, err := w.Decode(scratch[:copy(scratch, in)], out); err != nil {
			t.Error(err)
		}
	}
	for name, f := range map[string]func(){
		"text":     func() { decode(text) },
		"binary":   func() { decode(small) },
		"part":     func() { decode(small[:99]) },
		"textpart": func() { decode(text[:9]) },
		"ping":     func() { decode(ping) },
		"append":   func() { w.Append(out, payload, true) },
		"client":   func() { c.Append(out, payload, false) },
	} {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
