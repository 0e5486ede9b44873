package link

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// Next never panics. Append writes what Next reads. A stream split anywhere gives the same frames.
func FuzzNext(f *testing.F) {
	for _, g := range goldens() {
		f.Add(Append(nil, &g.frame), uint16(3))
	}
	f.Add([]byte{0, 0, 0, 23, 0}, uint16(0))
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF}, uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, split uint16) {
		const limit = 1 << 16
		whole, err := frames(t, in, limit)
		cut := min(int(split), len(in))
		var parts []Frame
		rest := in[:cut]
		first, errFirst := frames(t, rest, limit)
		for i := range first {
			rest = rest[HeaderSize+len(first[i].Payload):]
		}
		parts = append(parts, first...)
		if errFirst == nil {
			var second []Frame
			second, errFirst = frames(t, append(bytes.Clone(rest), in[cut:]...), limit)
			parts = append(parts, second...)
		}
		if !errors.Is(errFirst, err) || !reflect.DeepEqual(parts, whole) {
			t.Fatalf("split at %d: %v, %v; whole: %v, %v", cut, parts, errFirst, whole, err)
		}
	})
}

// frames reads all whole frames and checks that writing them gives the same bytes.
func frames(t *testing.T, in []byte, limit int) (all []Frame, err error) {
	for {
		var f Frame
		n, err := Next(in, limit, &f)
		if n == 0 || err != nil {
			return all, err
		}
		if got := Append(nil, &f); !bytes.Equal(got, in[:n]) {
			t.Fatalf("%x written as %x", in[:n], got)
		}
		_ = f.Type.String()
		all = append(all, f)
		in = in[n:]
	}
}

// The readers of parts never panic, and read what was written.
func FuzzParts(f *testing.F) {
	for _, g := range goldens() {
		f.Add(g.frame.Payload)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := Read(in)
		if a := c.Attachment(); !c.Bad() {
			mustEqual(t, "attachment", AppendAttachment(nil, &a), in[:len(in)-len(c.Rest())])
		}
		c = Read(in)
		if a := c.Attributes(); !c.Bad() {
			mustEqual(t, "attributes", AppendAttributes(nil, a), in[:len(in)-len(c.Rest())])
		}
		c = Read(in)
		if q := c.Question(); c.End() {
			mustEqual(t, "question", AppendQuestion(nil, q), in)
			for range RequestHeaders(q.Request) {
				_ = RequestTarget(q.Request)
			}
		}
		c = Read(in)
		if k := c.Known(); c.End() && k.Expires.UnixMilli() < 1<<62 {
			mustEqual(t, "identity", AppendKnown(nil, &k), in)
		}
		c = Read(in)
		if b := c.Bytes(); !c.Bad() {
			mustEqual(t, "bytes", AppendBytes(nil, b), in[:len(in)-len(c.Rest())])
		}
		c = Read(in)
		id, u8, u16, u32, u64 := c.ID(), c.U8(), c.U16(), c.U32(), c.U64()
		if c.Bad() && len(c.Rest()) > 0 {
			t.Fatal("bad, and goes on reading")
		}
		if c.Bad() != (len(in) < 16+1+2+4+8) {
			t.Fatalf("%d bytes, bad %v: %v %d %d %d %d", len(in), c.Bad(), id, u8, u16, u32, u64)
		}
		if back, err := ParseClientID(id.String()); err != nil || back != id {
			t.Fatalf("%v reads back as %v, %v", id, back, err)
		}
		if id, err := ParseClientID(string(in)); err == nil && id.String() != string(in) {
			t.Fatalf("%q taken for %v", in, id)
		}
	})
}

func mustEqual(t *testing.T, what string, got, want []byte) {
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %x written as %x", what, want, got)
	}
}

// Whatever a peer sends, the opening never panics, admits nobody, and sends at most message 2.
func FuzzHello(f *testing.F) {
	f.Add(firstMessage(version, version))
	f.Add(append(firstMessage(version, version), append([]byte{0, 64}, make([]byte, 64)...)...))
	f.Add(encodeWorkerHello(&aWorker))
	f.Add(encodeGatewayHello(&aGateway))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := newScript(in)
		if _, err := Accept(s, []byte("secret"), mustNotAnswer); err == nil || s.out.Len() > 46 {
			t.Fatalf("%v, %d bytes learnt", err, s.out.Len())
		}
		if _, err := Connect(newScript(in), []byte("secret"), aWorker); err == nil {
			t.Fatal("a false gateway was believed")
		}
		if h, err := parseWorkerHello(in); err == nil && len(h.Name) <= MaxName && len(h.Build) <= MaxName {
			mustEqual(t, "worker's hello", encodeWorkerHello(&h), in)
		}
		if g, err := parseGatewayHello(in); err == nil && len(g.Name) <= MaxName {
			known := bytes.Clone(in)
			// The worker ignores other features.
			known[22] &= featureInvoke | featureReport | featureNarrow | featureShared | featureBlocked
			mustEqual(t, "gateway's hello", encodeGatewayHello(&g), known)
		}
	})
}
