package engine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// Messages that may be dropped, and others, are written to a peer that reads slowly, while its conn
// is paused, resumed, and flushed at any time, and while the peer may have ended its side. What
// arrives are whole messages in their order. What is missing was counted, and was allowed to be
// missing.
func TestTLSOutputAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			testTLSOutput(t, rand.New(rand.NewPCG(seed, 0)), seed%3 == 0)
		})
	}
}

func testTLSOutput(t *testing.T, random *rand.Rand, halfClosed bool) {
	const messages = 1500
	opened, ended := make(chan *Conn, 1), make(chan struct{}, 1)
	h := enders{funcs{open: func(c *Conn) {
		_ = secureOf(c).SetWriteBuffer(4096)
		opened <- c
	}}, func(*Conn) { ended <- struct{}{} }}
	s := serveTLS(t, h, ListenOptions{Conn: ConnOptions{MaxOutput: 64 << 10}})
	nc, raw := s.dial(t, s.client())
	_ = raw.Conn.(*net.TCPConn).SetReadBuffer(4096)
	c := receive(t, opened)
	if halfClosed {
		_ = nc.CloseWrite()
		receive(t, ended)
	}
	must, sizes := make(map[int]bool), make(map[int]int)
	l := s.Loops()[0]
	for i := 0; i < messages; {
		on(t, l, func() {
			for range random.IntN(40) {
				sizes[i] = random.IntN(3000)
				options := SendOptions{Overflow: DropOldest}
				switch random.IntN(12) {
				case 0: // closes the conn if it does not fit
					options.Overflow, must[i], sizes[i] = CloseSlow, true, 5
				case 1:
					options.Overflow = DropNewest
				case 2:
					options.ConflateKey = 1 + random.Uint64N(3)
				}
				err := c.WriteAs(fmt.Appendf(nil, "%d %s\n", i, strings.Repeat("x", sizes[i])), options)
				if err != nil && !errors.Is(err, ErrDropped) {
					t.Errorf("message %d: %v", i, err)
				}
				i++
			}
			switch random.IntN(6) {
			case 0:
				c.Pause()
			case 1, 2:
				c.Resume()
			case 3:
				c.flush()
			}
		})
	}
	on(t, l, func() { c.CloseAfterFlush(errors.New("done"), patience) })
	last, arrived := -1, 0
	lines := bufio.NewReaderSize(nc, 512)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 {
				t.Errorf("after message %d: a part of a message: %v", last, err)
			}
			break
		}
		var i int
		number, text, _ := bytes.Cut(line, []byte(" "))
		_, _ = fmt.Sscan(string(number), &i)
		if i <= last || len(text) != sizes[i]+1 {
			t.Fatalf("message %d of %d bytes after %d", i, len(text), last)
		}
		delete(must, i)
		last = i
		arrived++
	}
	if len(must) > 0 {
		t.Errorf("%d messages are missing that must not be dropped", len(must))
	}
	stats := s.loopStats()
	gone := int(stats.DroppedOldest + stats.DroppedNewest + stats.Conflated)
	if arrived+gone != len(sizes) || gone == 0 {
		t.Errorf("%d of %d messages arrived, %d were counted as dropped", arrived, len(sizes), gone)
	}
	eventually(t, "the conn is gone", func() bool {
		now := s.loopStats()
		return now.TLSConns == 0 && now.BufferedBytes == 0 && now.SlowConns == 0
	})
}
