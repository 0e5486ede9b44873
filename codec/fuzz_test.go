package codec

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// No input causes a panic, its division into pieces makes no difference, and no message is larger
// than allowed or invalid text.
func FuzzWebSocketDecode(f *testing.F) {
	const limit = 10_000
	d := NewDeflate()
	all := slices.Concat(dialogue(600)...)
	f.Add(all, uint16(5), uint16(300), byte(0))
	f.Add(frameOf(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), uint16(3), uint16(9), byte(1))
	// RFC 7692 section 7.2.3.2.
	f.Add(slices.Concat(frameOf(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), frameOf(0xc1, "\xf2\x00\x11\x00\x00")), uint16(3),
		uint16(9), byte(5))
	f.Add(slices.Concat(plainFrame(0x01, "\xe2\x82"), plainFrame(0x89, ""), plainFrame(0x80, "\xac")), uint16(3),
		uint16(4), byte(2))
	f.Add(frameOf(0x82, string(make([]byte, waitFor+9))), uint16(100), uint16(waitFor), byte(0))
	f.Fuzz(func(t *testing.T, in []byte, i, j uint16, kind byte) {
		w := func() *WebSocket {
			w := &WebSocket{max: limit, window: maxWindow, client: kind&2 != 0}
			if kind&1 != 0 {
				w.deflate = d
			}
			if kind&4 != 0 {
				w.past = new(history)
			}
			return w
		}
		whole := play(t, w(), slices.Clone(in))
		for _, e := range whole.events {
			if len(e.payload) > limit || e.ev == MessageText && !utf8.ValidString(e.payload) {
				t.Fatalf("a message of %d bytes, text %v", len(e.payload), e.ev == MessageText)
			}
		}
		a, b := min(int(i), len(in)), min(int(i)+int(j), len(in))
		got := play(t, w(), slices.Clone(in[:a]), slices.Clone(in[a:b]), slices.Clone(in[b:]))
		if !unmaskedReply(got, kind).equal(unmaskedReply(whole, kind)) {
			t.Fatalf("cut at %d and %d: %v\nwhole: %v", a, b, got, whole)
		}
	})
}

// unmaskedReply returns o with a client's reply unmasked, since its keys are random.
func unmaskedReply(o outcome, kind byte) outcome {
	if kind&2 == 0 {
		return o
	}
	plain := ""
	for b := []byte(o.reply); len(b) > 0; { // control frames: 2 bytes, a key, the payload
		end := 6 + int(b[1]&0x7f)
		maskBytes([4]byte(b[2:6]), 0, b[6:end])
		plain += string(b[:2]) + string(b[6:end])
		b = b[end:]
	}
	o.reply = plain
	return o
}

func FuzzRoundTrip(f *testing.F) {
	d := NewDeflate()
	f.Add([]byte("hello"), true, byte(0))
	f.Add(bytes.Repeat([]byte("hello "), 100), true, byte(3))
	f.Add(make([]byte, 70_000), false, byte(1))
	f.Fuzz(func(t *testing.T, payload []byte, text bool, kind byte) {
		text = text && utf8.Valid(payload)
		from := &WebSocket{max: 1 << 20, window: max(8, kind>>4), client: kind&1 != 0}
		to := &WebSocket{max: 1 << 20, client: !from.client}
		if kind&2 != 0 {
			from.deflate, to.deflate = d, d
		}
		ev := MessageBinary
		if text {
			ev = MessageText
		}
		got := play(t, to, from.Append(nil, payload, text))
		if !got.equal(outcome{events: []decoded{{ev, string(payload)}}}) {
			t.Fatalf("%v", got)
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(sampleUpgrade()))
	f.Add([]byte("HEAD / HTTP/1.1\r\nHost: a\r\nCookie: a=b; c\r\n\r\n"))
	f.Add([]byte(sampleUpgrade("none", `Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits="9", x;y=z`)))
	o := &UpgradeOptions{Origins: []string{"*.b"}, Subprotocols: []string{"chat"}, Deflate: NewDeflate()}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, n, err := ReadRequest(in)
		if (r != nil) != (n > 0) || err != nil && n > 0 || n > len(in) || n > maxHead {
			t.Fatalf("request %v, %d bytes of %d, error %v", r, n, len(in), err)
		}
		if err != nil {
			Refusal(err)
		}
		if r == nil {
			return
		}
		for name, value := range r.Headers() {
			if !IsToken(name) || strings.ContainsAny(value, "\r\n\x00") {
				t.Fatalf("%q: %q", name, value)
			}
		}
		r.Query("a")
		r.Cookie("a")
		for i := range n { // nothing that is accepted whole is refused, or complete, before
			if r, n, err := ReadRequest(in[:i]); r != nil || n != 0 || err != nil {
				t.Fatalf("the first %d bytes of %d: %v", i, n, err)
			}
		}
		ws, response, err := Upgrade(r, o)
		if (ws == nil) != (err != nil) || !bytes.HasPrefix(response, []byte("HTTP/1.1 ")) {
			t.Fatalf("error %v, response %q", err, response)
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), uint16(5))
	f.Add([]byte("\x00\x05\x00\xfa\xffHello\x00"), uint16(4))
	d := NewDeflate()
	f.Fuzz(func(t *testing.T, in []byte, limit uint16) {
		out, err := d.inflate(in, int(limit))
		if len(out) > int(limit) || err != nil && out != nil {
			t.Fatalf("%d bytes of %d, error %v", len(out), limit, err)
		}
		again, err2 := d.inflate(in, int(limit))
		if !bytes.Equal(out, again) || errors.Is(err, ErrTooBig) != errors.Is(err2, ErrTooBig) {
			t.Fatalf("%q, then %q: %v, %v", out, again, err, err2)
		}
	})
}

// A server's answer never makes the client panic, and reads the same in any pieces. No answer is
// accepted without the proof that the server read the key.
func FuzzResponse(f *testing.F) {
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	o := &DialOptions{Subprotocols: []string{"chat"}, MaxMessage: 1000}
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\x81\x00"))
	f.Add([]byte("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: a, upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		ws, n, err := ReadResponse(in, key, o)
		if (ws != nil) != (n > 0) || err != nil && ws != nil || n > len(in) || n > maxHead {
			t.Fatalf("%v, %d bytes of %d, error %v", ws, n, len(in), err)
		}
		if ws != nil && !bytes.Contains(in[:n], []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
			t.Fatal("a server is believed that has proved nothing")
		}
		for i := range n {
			if ws, n, err := ReadResponse(in[:i], key, o); ws != nil || n != 0 || err != nil {
				t.Fatalf("the first %d bytes of %d: %v", i, n, err)
			}
		}
	})
}

// A list of extensions never causes a panic. What is accepted of it is within its bounds, and a
// client agrees to no more than it offered.
func FuzzExtensions(f *testing.F) {
	f.Add(deflateOffer)
	f.Add(`permessage-deflate; client_max_window_bits=10, x; y="a\"b", permessage-deflate;server_no_context_takeover`)
	f.Add(`a;b="`)
	f.Fuzz(func(t *testing.T, list string) {
		all, ok := readExtensions(list)
		if !ok {
			return
		}
		for i := range all {
			if window, ok := all[i].accept(); ok && window != 0 && (window < 8 || window > maxWindow) {
				t.Fatalf("a window of %d bits", window)
			}
			all[i].agreed()
		}
	})
}
