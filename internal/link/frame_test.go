package link

import (
	"bytes"
	"errors"
	"testing"
)

// A length outside of the valid range is refused as soon as it is seen. The limits themselves are
// valid.
func TestNextBounds(t *testing.T) {
	t.Parallel()
	const limit = 100
	for _, c := range []struct {
		length uint32
		err    error
	}{
		{0, ErrFrame}, {HeaderSize - 1, ErrFrame}, {HeaderSize, nil}, {limit, nil}, {limit + 1, ErrFrame},
		{1 << 31, ErrFrame}, {1<<32 - 1, ErrFrame},
	} {
		head := []byte{byte(c.length >> 24), byte(c.length >> 16), byte(c.length >> 8), byte(c.length)}
		var f Frame
		if n, err := Next(head, limit, &f); n != 0 || !errors.Is(err, c.err) {
			t.Errorf("length %d: %d, %v", c.length, n, err)
		}
		if c.err != nil {
			continue
		}
		in := append(head, make([]byte, c.length)...)[:c.length]
		if n, err := Next(in, limit, &f); n != int(c.length) || err != nil {
			t.Errorf("length %d, whole: %d, %v", c.length, n, err)
		}
		if n, err := Next(in[:len(in)-1], limit, &f); n != 0 || err != nil {
			t.Errorf("length %d, a byte short: %d, %v", c.length, n, err)
		}
	}
}

// Frames that arrive split at any byte are the frames that were sent.
func TestNextSplitAtEveryByte(t *testing.T) {
	t.Parallel()
	var stream []byte
	for _, g := range goldens() {
		stream = Append(stream, &g.frame)
	}
	want, err := frames(t, stream, MaxFrame)
	if err != nil || len(want) != len(goldens()) {
		t.Fatal(len(want), err)
	}
	for cut := range stream {
		var f Frame
		rest, i := stream[:cut], 0
		for n, err := Next(rest, MaxFrame, &f); n > 0; n, err = Next(rest, MaxFrame, &f) {
			if err != nil || f.Type != want[i].Type || !bytes.Equal(f.Payload, want[i].Payload) {
				t.Fatalf("cut at %d: frame %d is %+v, %v", cut, i, f, err)
			}
			rest, i = rest[n:], i+1
		}
	}
}

// Appending to a payload does not overwrite the next frame.
func TestPayloadIsClosed(t *testing.T) {
	t.Parallel()
	in := Append(Append(nil, &Frame{Type: Message, Payload: []byte("one")}), &Frame{Type: Message, Payload: []byte("two")})
	want := bytes.Clone(in)
	var f Frame
	if _, err := Next(in, MaxFrame, &f); err != nil {
		t.Fatal(err)
	}
	if _ = append(f.Payload, "overwritten"...); !bytes.Equal(in, want) {
		t.Error("appending to a payload changes the next frame")
	}
}

// Begin, Finish and SetHandled write what Append does, also after other bytes.
func TestBeginFinish(t *testing.T) {
	t.Parallel()
	for _, g := range goldens() {
		b := []byte("before")
		start := len(b)
		b = append(Begin(b, &g.frame), g.frame.Payload...)
		Finish(b, start)
		if g.frame.Type == Send {
			SetHandled(b[start:], 0xDEADBEEF)
			g.frame.ID, g.frame.Flags = 0xDEADBEEF, g.frame.Flags|FlagHandled
		}
		if want := Append([]byte("before"), &g.frame); !bytes.Equal(b, want) {
			t.Errorf("%v: %x, want %x", g.frame.Type, b, want)
		}
	}
}

func TestClientID(t *testing.T) {
	t.Parallel()
	for _, id := range []ClientID{{}, anID, other, MakeClientID(1<<32-1, 255, 1<<24-1, 1<<64-1)} {
		text := id.String()
		if back, err := ParseClientID(text); err != nil || back != id || len(text) != 26 {
			t.Errorf("%q: %v, %v", text, back, err)
		}
		if again := MakeClientID(id.Gateway(), id.Loop(), id.Slot(), id.Token()); again != id {
			t.Errorf("%v made again: %v", id, again)
		}
	}
	good := anID.String()
	for _, bad := range []string{
		"", good[:25], good + "0", "A" + good[1:], good[:25] + "1", good[:25] + "\n", "\r\n" + good[2:], good[:25] + "=",
		good[:24] + "é", "00000000000000000000000000"[:25] + "v",
	} {
		if id, err := ParseClientID(bad); !errors.Is(err, ErrClientID) || !id.IsZero() {
			t.Errorf("%q: %v, %v", bad, id, err)
		}
	}
}

func TestFrameAllocations(t *testing.T) {
	f := Frame{Type: Message, Flags: FlagText, ID: 1, Slot: 2, Token: 3, Payload: make([]byte, 100)}
	buf := make([]byte, 0, 1<<12)
	var got Frame
	if n := testing.AllocsPerRun(1000, func() {
		b := Append(buf, &f)
		start := len(b)
		b = append(Begin(b, &f), f.Payload...)
		Finish(b, start)
		for len(b) > 0 {
			n, _ := Next(b, MaxFrame, &got)
			b = b[n:]
		}
	}); n != 0 {
		t.Errorf("%v allocations for two frames written and read", n)
	}
}

func BenchmarkFrame(b *testing.B) {
	f := Frame{Type: Message, Flags: FlagText, ID: 1, Slot: 2, Token: 3, Payload: make([]byte, 64)}
	buf := make([]byte, 0, 1<<12)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = Append(buf, &f)
		}
	})
	wire := Append(nil, &f)
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		var got Frame
		for b.Loop() {
			_, _ = Next(wire, MaxFrame, &got)
		}
	})
}
