package engine

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The bytes come back unchanged, however they are split on the way.
func TestEchoAtEveryChunking(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	ln := serve(t, e, funcs{data: echo}, ListenOptions{})
	message := []byte("the quick brown fox jumps over the lazy dog")
	for size := 1; size <= len(message); size++ {
		nc := dial(t, ln)
		for rest := message; len(rest) > 0; {
			n := min(size, len(rest))
			if _, err := nc.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if got := readN(t, nc, len(message)); !bytes.Equal(got, message) {
			t.Fatalf("in chunks of %d came %q", size, got)
		}
		nc.Close()
	}
}

// A handler that consumes only whole frames sees each byte exactly once and in order, however the
// bytes are split: the bytes it leaves are passed again.
func TestUnconsumedInputComesAgain(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	frames := funcs{data: func(c *Conn, in []byte) (n int) {
		for len(in)-n >= 1 && len(in)-n >= 1+int(in[n]) {
			frame := in[n : n+1+int(in[n])]
			_ = c.Write(frame)
			n += len(frame)
		}
		return n
	}}
	ln := serve(t, e, frames, ListenOptions{})
	random := rand.New(rand.NewPCG(1, 2))
	var stream []byte
	for len(stream) < 300_000 {
		n := random.IntN(256)
		stream = append(stream, byte(n))
		for range n {
			stream = append(stream, byte(random.Uint32()))
		}
	}
	nc := dial(t, ln)
	go func() {
		for rest := stream; len(rest) > 0; {
			n := min(1+random.IntN(700), len(rest))
			if _, err := nc.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}()
	if !bytes.Equal(readN(t, nc, len(stream)), stream) {
		t.Fatal("the stream came back changed")
	}
}
