package engine

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
)

// The output of a conn with Retain is returned whole, once and in order, however the kernel accepts
// it. The buffers end between messages and have a mark that covers them. Unsent output is available
// too, also in OnClose. A buffer that is never empty does not grow without limit.
func TestRetain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s, err := NewSim(Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			var c *Conn
			var written, handed []byte
			take := func() {
				for _, f := range c.TakeFlushed(nil) {
					handed = append(handed, f.Bytes...)
					if last, whole := lastMessage(handed); !whole || f.Mark < last {
						t.Fatalf("seed %d: a buffer with mark %d ends with message %d, whole %v", seed, f.Mark, last, whole)
					}
					c.Loop().Recycle(f.Bytes)
				}
			}
			unflushed := -1
			p := s.Open(0, netip.AddrPort{}, funcs{
				open:  func(opened *Conn) { c = opened },
				close: func(c *Conn, _ error) { unflushed = len(c.Unflushed()) },
			}, ConnOptions{MaxOutput: 8 << 20, Retain: true})
			p.Limit(2<<10 + rng.IntN(20<<10)) // about as much as is written
			for n := range uint32(3000) {
				m := binary.BigEndian.AppendUint32(nil, uint32(rng.IntN(2000)))
				m = binary.BigEndian.AppendUint32(m, n)
				m = append(m, make([]byte, binary.BigEndian.Uint32(m))...)
				written = append(written, m...)
				c.SetMark(n)
				if err := c.Write(m); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(10) == 0 {
					s.Turn(0)
					p.Take()
					take()
				}
				if waiting := len(c.out) - c.sent; len(c.out) > 6*waiting+2*retainSplit {
					t.Fatalf("seed %d: a buffer has grown to %d bytes, of which %d wait", seed, len(c.out), waiting)
				}
			}
			if rng.IntN(2) == 0 {
				take() // otherwise OnClose sees everything that was not taken
			}
			rest := bytes.Clone(c.Unflushed())
			p.Reset()
			s.Settle()
			take()
			if !bytes.Equal(append(handed, rest...), written) || unflushed != len(rest) {
				t.Errorf("seed %d: of %d bytes %d are handed out and %d left, %d in OnClose", seed, len(written), len(handed), len(rest), unflushed)
			}
		})
	}
}

// lastMessage reads b, messages of u32 length, u32 number and bytes, to its end.
func lastMessage(b []byte) (number uint32, whole bool) {
	for len(b) >= 8 {
		n := 8 + int(binary.BigEndian.Uint32(b))
		number = binary.BigEndian.Uint32(b[4:])
		if n > len(b) {
			return number, false
		}
		b = b[n:]
	}
	return number, len(b) == 0
}
