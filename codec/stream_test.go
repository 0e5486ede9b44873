package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// stream is the interface of the codecs in this file, and of WebSocket.
type stream interface {
	Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
	AppendClose(dst []byte, code uint16, reason string) []byte
	AppendPing(dst []byte) []byte
	Encoding() uint8
}

func streams(limit int) map[string]stream {
	return map[string]stream{
		"text":  Text{MaxMessage: limit},
		"json":  JSON{MaxMessage: limit},
		"jsonl": JSONLines{MaxMessage: limit},
		"frame": Frame{MaxMessage: limit},
	}
}

// decoded is one event as a test compares it.
type decoded struct {
	ev      Event
	payload string
}

// decodeAll hands in to c piece by piece, as an event loop would, and returns
// the events, the bytes left over, and the error that ended it.
func decodeAll(t testing.TB, c stream, pieces ...[]byte) (all []decoded, rest []byte, err error) {
	t.Helper()
	for _, piece := range pieces {
		rest = append(rest, piece...)
		for {
			ev, payload, n, reply, err := c.Decode(rest, []byte("reply"))
			if string(reply) != "reply" {
				t.Fatalf("reply %q: these codecs answer nothing", reply)
			}
			if n < 0 || n > len(rest) || (n == 0 || err != nil) && (ev != None || payload != nil) {
				t.Fatalf("Decode(%q) = event %d, payload %q, %d bytes, error %v", rest, ev, payload, n, err)
			}
			if err != nil {
				return all, rest, err
			}
			if n == 0 {
				break
			}
			if ev != None {
				all = append(all, decoded{ev, string(payload)})
			}
			rest = rest[n:]
		}
	}
	return all, rest, nil
}

// framed returns a payload after a length that counts itself.
func framed(payload string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(4+len(payload)))) + payload
}

func TestStreamDecode(t *testing.T) {
	t.Parallel()
	const limit = 16
	long := strings.Repeat("x", limit)
	number := strings.Repeat("1", limit)
	tests := []struct {
		codec, in string
		want      []decoded
		left      int // bytes not taken
		err       error
	}{
		{"text", "", nil, 0, nil},
		{"text", "hi", nil, 2, nil},
		{"text", "hi\n", []decoded{{MessageText, "hi"}}, 0, nil},
		{"text", "hi\r\n", []decoded{{MessageText, "hi"}}, 0, nil},
		{"text", "hi\r\r\n", []decoded{{MessageText, "hi\r"}}, 0, nil}, // one \r is the line's end
		{"text", "\n\r\n", []decoded{{MessageText, ""}, {MessageText, ""}}, 0, nil},
		{"text", "a\nb\nc", []decoded{{MessageText, "a"}, {MessageText, "b"}}, 1, nil},
		{"text", "a\x00\tb\n", []decoded{{MessageText, "a\x00\tb"}}, 0, nil},
		{"text", "\xff\n", []decoded{{MessageBinary, "\xff"}}, 0, nil},
		{"text", "\xed\xa0\x80\n", []decoded{{MessageBinary, "\xed\xa0\x80"}}, 0, nil}, // a surrogate in UTF-8
		{"text", long + "\n", []decoded{{MessageText, long}}, 0, nil},
		{"text", long + "\r\n", []decoded{{MessageText, long}}, 0, nil},
		{"text", long, nil, limit, nil},
		{"text", long + "\r", nil, limit + 1, nil}, // its \n may follow
		{"text", long + "\r\r", nil, limit + 2, ErrTooBig},
		{"text", long + "x", nil, limit + 1, ErrTooBig}, // no end in sight, too long already
		{"text", long + "x\n", nil, limit + 2, ErrTooBig},
		{"text", "a\n" + long + "x\n", []decoded{{MessageText, "a"}}, limit + 2, ErrTooBig},

		{"frame", "\x00\x00\x00", nil, 3, nil},
		{"frame", framed(""), []decoded{{MessageBinary, ""}}, 0, nil},
		{"frame", framed("a") + framed("\n\xff") + "\x00", []decoded{{MessageBinary, "a"}, {MessageBinary, "\n\xff"}}, 1,
			nil},
		{"frame", framed(long), []decoded{{MessageBinary, long}}, 0, nil},
		{"frame", framed(long + "x")[:4], nil, 4, ErrTooBig}, // before any of it is here
		{"frame", "\xff\xff\xff\xff", nil, 4, ErrTooBig},
		{"frame", "\x80\x00\x00\x00", nil, 4, ErrTooBig},
		{"frame", "\x00\x00\x00\x00", nil, 4, ErrProtocol},
		{"frame", "\x00\x00\x00\x03", nil, 4, ErrProtocol},

		{"json", framed(`{"a":1}`) + framed(` null `), []decoded{{MessageText, `{"a":1}`}, {MessageText, " null "}}, 0, nil},
		{"json", framed(`{"a":1}`)[:10], nil, 10, nil},
		{"json", framed(number), []decoded{{MessageText, number}}, 0, nil},
		{"json", framed(number + "1")[:4], nil, 4, ErrTooBig},
		{"json", "\x00\x00\x00\x02", nil, 4, ErrProtocol},
		{"json", framed(""), nil, 4, ErrDocument},
		{"json", framed(`{"a":1}x`), nil, 12, ErrDocument},
		{"json", framed(`1`) + framed(`{"a":1,"a":2}`), []decoded{{MessageText, "1"}}, 17, ErrDocument},

		{"jsonl", "{\"a\":1}\n[]\r\n", []decoded{{MessageText, `{"a":1}`}, {MessageText, "[]"}}, 0, nil},
		{"jsonl", "\n\r\n \t\n1\n", []decoded{{MessageText, "1"}}, 0, nil}, // blank lines are skipped
		{"jsonl", "{\n\"a\":1}\n", nil, 10, ErrDocument},                   // one document is one line
		{"jsonl", "1 2\n", nil, 4, ErrDocument},
		{"jsonl", number + "\r\n", []decoded{{MessageText, number}}, 0, nil},
		{"jsonl", number + "1\n", nil, limit + 2, ErrTooBig},
		{"jsonl", strings.Repeat(" ", limit+2), nil, limit + 2, ErrTooBig},
	}
	for _, test := range tests {
		c := streams(limit)[test.codec]
		for at := range len(test.in) + 1 { // split at every byte
			got, rest, err := decodeAll(t, c, []byte(test.in[:at]), []byte(test.in[at:]))
			if fmt.Sprint(got) != fmt.Sprint(test.want) || !errors.Is(err, test.err) {
				t.Errorf("%s %q split at %d: got %v, error %v; want %v, error %v", test.codec, test.in, at, got, err, test.want,
					test.err)
			}
			if err == nil && len(rest) != test.left {
				t.Errorf("%s %q split at %d: %d bytes left, want %d", test.codec, test.in, at, len(rest), test.left)
			}
		}
		one := slices.Collect(slices.Chunk([]byte(test.in), 1)) // byte by byte
		if got, _, err := decodeAll(t, c, one...); fmt.Sprint(got) != fmt.Sprint(test.want) || !errors.Is(err, test.err) {
			t.Errorf("%s %q byte by byte: got %v, error %v; want %v, error %v", test.codec, test.in, got, err, test.want,
				test.err)
		}
	}
}

func TestStreamAppend(t *testing.T) {
	t.Parallel()
	tests := []struct {
		codec, payload string
		want           string // "" is refused
	}{
		{"text", "", "\n"},
		{"text", "hi", "hi\n"},
		{"text", "hi\r", "hi\r\r\n"},
		{"text", "\xff\x00", "\xff\x00\n"},
		{"text", "one\ntwo", ""},
		{"text", "hi\n", ""},
		{"frame", "", framed("")},
		{"frame", "one\ntwo", framed("one\ntwo")},
		{"json", "{\n}", framed("{\n}")},
		{"json", "hi", ""},
		{"json", "", ""},
		{"json", `{"a":1,"a":2}`, ""},
		{"jsonl", `{"a":"\n"}`, `{"a":"\n"}` + "\n"},
		{"jsonl", "{\r\n  \"a\": [\n1,\n2]\n}\n", "{  \"a\": [1,2]}\n"},
		{"jsonl", "1\n2", ""},
		{"jsonl", "", ""},
	}
	for _, test := range tests {
		c := streams(0)[test.codec]
		for _, text := range []bool{false, true} {
			got := c.Append([]byte("before "), []byte(test.payload), text)
			if string(got) != "before "+test.want {
				t.Errorf("%s Append(%q) = %q, want %q", test.codec, test.payload, got, test.want)
			}
		}
	}
}

func TestStreamFarewell(t *testing.T) {
	t.Parallel()
	seen := map[uint8]string{0: "no encoding"}
	for name, c := range streams(0) {
		if got := c.AppendClose(c.AppendPing([]byte("x")), 1000, "bye"); string(got) != "x" {
			t.Errorf("%s has no farewell and no ping, yet appends %q", name, got)
		}
		if other, taken := seen[c.Encoding()]; taken {
			t.Errorf("%s has the encoding of %s", name, other)
		}
		seen[c.Encoding()] = name
	}
}

func TestStreamDefaultLimit(t *testing.T) {
	t.Parallel()
	for name, c := range streams(0) {
		for size, want := range map[int]error{DefaultMaxMessage: nil, DefaultMaxMessage + 1: ErrTooBig} {
			payload := []byte(`"` + strings.Repeat("x", size-2) + `"`)
			if _, _, _, _, err := c.Decode(c.Append(nil, payload, true), nil); !errors.Is(err, want) {
				t.Errorf("%s with %d bytes: %v, want %v", name, size, err, want)
			}
		}
	}
}

func TestStreamAllocs(t *testing.T) {
	payload := []byte(`{"type":"say","room":"lobby","text":"héllo","to":null,"n":[1,2.5e3,true],"m":{"k":"\u00e9"}}`)
	for name, c := range streams(0) {
		wire := c.Append(nil, payload, true)
		out := make([]byte, 0, 2*len(wire))
		if n := testing.AllocsPerRun(100, func() {
			if _, p, _, _, err := c.Decode(wire, out); err != nil || len(p) != len(payload) {
				t.Fatal(p, err)
			}
			if out = c.Append(out[:0], payload, true); len(out) != len(wire) {
				t.Fatal(len(out))
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a message in and out, want none", name, n)
		}
		claim := []byte("\x00\x0f\xff\xffx") // 1 MiB to come, or a line without end
		if n := testing.AllocsPerRun(100, func() { _, _, _, _, _ = c.Decode(claim, out) }); n != 0 {
			t.Errorf("%s: %v allocations by a claimed length, want none", name, n)
		}
	}
}

// fuzzStream checks what holds for all codecs: no panic, a split input reads like the whole, no
// payload exceeds the limit, and what was read can be written and read again.
func fuzzStream(f *testing.F, name string, text func(payload []byte) bool) {
	for _, seed := range []string{"", "hi\n", "a\r\r\n\xff\n", framed("x") + framed(`{"a":[1,"\u0061"]}`),
		"{\"a\":1}\n\n[]\r\n", "\xff\xff\xff\xff", "\x00\x00\x00\x00"} {
		f.Add([]byte(seed), 3)
	}
	const limit = 64
	c := streams(limit)[name]
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		at = max(0, min(at, len(in)))
		whole, left, err := decodeAll(t, c, in)
		parts, rest, err2 := decodeAll(t, c, in[:at], in[at:])
		if fmt.Sprint(whole) != fmt.Sprint(parts) || !errors.Is(err2, err) || err == nil && !bytes.Equal(left, rest) {
			t.Fatalf("%q split at %d: %v %v, whole: %v %v", in, at, parts, err2, whole, err)
		}
		var again []byte
		for _, m := range whole {
			if len(m.payload) > limit || (m.ev == MessageText) && !utf8.ValidString(m.payload) {
				t.Fatalf("message %q", m.payload)
			}
			again = c.Append(again, []byte(m.payload), m.ev == MessageText)
		}
		if name == "jsonl" { // which leaves a lone \r out
			for i := range whole {
				whole[i].payload = strings.ReplaceAll(whole[i].payload, "\r", "")
			}
		}
		if got, rest, err := decodeAll(t, c, again); fmt.Sprint(got) != fmt.Sprint(whole) || len(rest) != 0 || err != nil {
			t.Fatalf("%q read again: %v, %q left, error %v; want %v", again, got, rest, err, whole)
		}
		// in as a message: it arrives as it is, or nothing is sent.
		wire := c.Append(nil, in, true)
		got, rest, err := decodeAll(t, streams(0)[name], wire)
		switch want := (decoded{MessageBinary, string(in)}); {
		case len(wire) == 0:
			if name == "frame" || name == "text" && bytes.IndexByte(in, '\n') < 0 {
				t.Fatalf("%q refused", in)
			}
		case err != nil || len(got) != 1 || len(rest) != 0:
			t.Fatalf("%q arrives as %v, %q left, error %v", in, got, rest, err)
		case name == "jsonl":
			if !sameJSON([]byte(got[0].payload), in) {
				t.Fatalf("%q arrives as %v", in, got)
			}
		default:
			if text(in) {
				want.ev = MessageText
			}
			if got[0] != want {
				t.Fatalf("%q arrives as %v", in, got)
			}
		}
	})
}

func sameJSON(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func always([]byte) bool { return true }
func never([]byte) bool  { return false }

func FuzzText(f *testing.F)      { fuzzStream(f, "text", utf8.Valid) }
func FuzzJSON(f *testing.F)      { fuzzStream(f, "json", always) }
func FuzzJSONLines(f *testing.F) { fuzzStream(f, "jsonl", always) }
func FuzzFrame(f *testing.F)     { fuzzStream(f, "frame", never) }

func BenchmarkStream(b *testing.B) {
	for _, name := range []string{"text", "json", "jsonl", "frame"} {
		c := streams(0)[name]
		for _, size := range []int{64, 1024, 64 << 10} {
			payload := []byte(`{"text":"` + strings.Repeat("hello ", size/6) + `"}`)
			wire := c.Append(nil, payload, true)
			b.Run(fmt.Sprintf("decode/%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(wire)))
				for b.Loop() {
					if _, _, _, _, err := c.Decode(wire, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
			out := make([]byte, 0, len(wire))
			b.Run(fmt.Sprintf("append/%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(wire)))
				for b.Loop() {
					out = c.Append(out[:0], payload, true)
				}
			})
		}
	}
}
