package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// opened serves one connection and returns its Conn.
func opened(t testing.TB, e *Engine, h funcs, o ConnOptions) (*Conn, net.Conn) {
	t.Helper()
	conns := make(chan *Conn, 1)
	given := h.open
	h.open = func(c *Conn) {
		if given != nil {
			given(c)
		}
		conns <- c
	}
	nc := dial(t, serve(t, e, h, ListenOptions{Conn: o}))
	return receive(t, conns), nc
}

// numbered returns a message of n bytes that contains its number.
func numbered(i, n int) []byte {
	b := bytes.Repeat([]byte{byte(i)}, n)
	binary.BigEndian.PutUint32(b, uint32(i))
	binary.BigEndian.PutUint32(b[4:], uint32(n))
	return b
}

// numbers reads numbered messages until the end of the connection and returns the numbers. It fails
// on a message that is truncated or changed.
func numbers(t testing.TB, nc net.Conn) (got []int) {
	t.Helper()
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(nc, head); err == io.EOF {
			return got
		} else if err != nil {
			t.Fatal(err)
		}
		i, n := int(binary.BigEndian.Uint32(head)), int(binary.BigEndian.Uint32(head[4:]))
		if n < 8 || n > 1<<20 {
			t.Fatalf("a message of %d bytes after number %d: boundaries are lost", n, i)
		}
		if want := numbered(i, n); !bytes.Equal(append(head, readN(t, nc, n-8)...), want) {
			t.Fatalf("message %d came changed", i)
		}
		got = append(got, i)
	}
}

func TestWritesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	c, nc := opened(t, e, funcs{}, ConnOptions{MaxOutput: 64 << 20})
	const messages = 20_000
	on(t, c.Loop(), func() {
		for i := range messages {
			m := numbered(i, 8+i%1000)
			switch i % 3 {
			case 0:
				_ = c.Write(m)
			case 1:
				_ = c.Commit(append(c.Begin(len(m)), m...))
			case 2:
				_ = c.Write(m)
				c.flush()
			}
		}
		c.CloseAfterFlush(nil, patience)
	})
	for i, got := range numbers(t, nc) {
		if got != i {
			t.Fatalf("message %d came in place of %d", got, i)
		}
	}
}

// Closes of connections with ExcludeFromBudget are counted separately.
func TestSlowConsumerIsClosed(t *testing.T) {
	t.Parallel()
	for name, ownBound := range map[string]bool{"client": false, "own bound": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slowConsumerIsClosed(t, ownBound)
		})
	}
}

func slowConsumerIsClosed(t *testing.T, ownBound bool) {
	e := start(t, Config{})
	reasons := make(chan error, 1)
	c, _ := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }},
		ConnOptions{MaxOutput: 256 << 10, ExcludeFromBudget: ownBound})
	chunk := make([]byte, 32<<10)
	most := 0
	var last error
	for range 10_000 {
		on(t, c.Loop(), func() {
			last = c.Write(chunk)
			most = max(most, c.Buffered())
		})
		if last != nil {
			break
		}
	}
	if !errors.Is(last, ErrSlowConsumer) {
		t.Errorf("the last Write returned %v", last)
	}
	if err := receive(t, reasons); !errors.Is(err, ErrSlowConsumer) {
		t.Errorf("OnClose got %v", err)
	}
	if most > 256<<10+len(chunk) {
		t.Errorf("up to %d bytes waited", most)
	}
	slow, own := uint64(1), uint64(0)
	if ownBound {
		slow, own = own, slow
	}
	s := figures(e)[c.Loop().Index()]
	if s.SlowConsumerCloses != slow || s.ExcludedCloses != own || s.BufferBytes > poolBound {
		t.Errorf("stats: %+v", s)
	}
}

// With a drop policy a slow reader loses whole messages, and only as many as necessary. Memory
// stays bounded.
func TestDropPoliciesKeepMessagesWhole(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]Overflow{"oldest": DropOldest, "newest": DropNewest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{})
			const limit = 256 << 10
			c, nc := opened(t, e, funcs{}, ConnOptions{MaxOutput: limit, Overflow: policy})
			const messages, size = 40_000, 1000
			most := 0
			for batch := range messages / 100 {
				on(t, c.Loop(), func() {
					for i := range 100 {
						if err := c.Write(numbered(batch*100+i, size+i)); err != nil && !errors.Is(err, ErrDropped) {
							t.Error(err)
						}
						most = max(most, c.Buffered())
					}
				})
			}
			on(t, c.Loop(), func() {
				if cap(c.out) > 4*limit {
					t.Errorf("the buffer has %d bytes", cap(c.out))
				}
				c.CloseAfterFlush(nil, patience)
			})
			if most > limit {
				t.Errorf("up to %d bytes waited", most)
			}
			got := numbers(t, nc)
			for i := 1; i < len(got); i++ {
				if got[i] <= got[i-1] {
					t.Fatalf("%d came after %d", got[i], got[i-1])
				}
			}
			s := figures(e)[c.Loop().Index()]
			if dropped := s.DroppedOldest + s.DroppedNewest; len(got)+int(dropped) != messages {
				t.Errorf("%d came and %d were dropped of %d", len(got), dropped, messages)
			}
			newest := got[len(got)-1] == messages-1
			if policy == DropOldest && (!newest || s.DroppedNewest > 0) {
				t.Error("the newest message was dropped")
			}
			if policy == DropNewest && (newest || s.DroppedOldest > 0) {
				t.Error("an old message was dropped")
			}
		})
	}
}

// More than MaxOutput at once is allowed while the peer reads.
func TestBurstToFastReaderPasses(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	c, nc := opened(t, e, funcs{}, ConnOptions{MaxOutput: 256 << 10})
	const size = 2 << 20
	go func() {
		_ = c.Loop().Post(func() {
			for range size / 4096 {
				if err := c.Write(make([]byte, 4096)); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	readN(t, nc, size)
}

// One message larger than MaxOutput is allowed when nothing else waits.
func TestOneLargeMessagePasses(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	c, nc := opened(t, e, funcs{}, ConnOptions{})
	const size = 16 << 20
	on(t, c.Loop(), func() {
		if err := c.Write(make([]byte, size)); err != nil {
			t.Error(err)
		}
	})
	readN(t, nc, size)
}

func TestCloseAfterFlushDeliversAll(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	bye := errors.New("bye")
	reasons := make(chan error, 1)
	c, nc := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }}, ConnOptions{MaxOutput: 32 << 20})
	const size = 16 << 20
	on(t, c.Loop(), func() {
		_ = c.Write(make([]byte, size))
		c.CloseAfterFlush(bye, patience)
		if err := c.Write([]byte("late")); !errors.Is(err, net.ErrClosed) || !c.Closed() {
			t.Errorf("Write after CloseAfterFlush returned %v", err)
		}
	})
	// Unread input must not make the kernel discard output that is on its way.
	if _, err := nc.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, nc); n != size || err != nil {
		t.Fatalf("%d bytes came, then %v", n, err)
	}
	nc.Close()
	if err := receive(t, reasons); !errors.Is(err, bye) {
		t.Errorf("OnClose got %v", err)
	}
}

func TestCloseAfterFlushIsCutAtItsDeadline(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Tick: patience / 1000})
	bye := errors.New("bye")
	reasons := make(chan error, 1)
	c, _ := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }}, ConnOptions{MaxOutput: 64 << 20})
	on(t, c.Loop(), func() {
		_ = c.Write(make([]byte, 32<<20)) // more than the kernel's buffers hold
		c.CloseAfterFlush(bye, patience/100)
	})
	if err := receive(t, reasons); !errors.Is(err, bye) {
		t.Errorf("OnClose got %v", err)
	}
}
