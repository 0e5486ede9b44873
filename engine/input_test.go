package engine

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
)

func TestInputBeyondMaxInputCloses(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	reasons := make(chan error, 1)
	_, nc := opened(t, e, funcs{
		data:  func(*Conn, []byte) int { return 0 },
		close: func(_ *Conn, err error) { reasons <- err },
	}, ConnOptions{MaxInput: 1000})
	if _, err := nc.Write(make([]byte, 1001)); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, reasons); !errors.Is(err, ErrInputTooLarge) {
		t.Errorf("OnClose got %v", err)
	}
}

// While a conn is paused, TCP stops its peer. Nothing is lost when it resumes.
func TestPauseHoldsThePeerUpAndLosesNothing(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	var received atomic.Int64
	sum := make(chan []byte, 1)
	var all []byte
	const size = 24 << 20
	c, nc := opened(t, e, funcs{data: func(c *Conn, in []byte) int {
		all = append(all, in...)
		received.Add(int64(len(in)))
		if len(all) == size {
			sum <- all
		}
		return len(in)
	}}, ConnOptions{})
	on(t, c.Loop(), func() { c.Pause() })
	sent := make([]byte, size)
	chacha := rand.NewChaCha8([32]byte{7})
	_, _ = chacha.Read(sent)
	var written atomic.Int64
	go func() {
		for rest := sent; len(rest) > 0; {
			n, err := nc.Write(rest[:min(len(rest), 64<<10)])
			if err != nil {
				return
			}
			written.Add(int64(n))
			rest = rest[n:]
		}
	}()
	stuck := func() bool {
		before := written.Load()
		time.Sleep(100 * time.Millisecond) // for this time nothing is received
		return before > 0 && before == written.Load()
	}
	eventually(t, "the peer's send blocks", stuck)
	if written.Load() == size || received.Load() > 0 {
		t.Fatalf("%d bytes were sent to a paused conn and %d received", written.Load(), received.Load())
	}
	on(t, c.Loop(), func() { c.Resume() })
	if !bytes.Equal(receive(t, sum), sent) {
		t.Fatal("the bytes came changed")
	}
}

// Bytes that were read before Pause and not consumed are delivered after Resume, without a new byte
// from the peer.
func TestResumeOffersWhatWaits(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	got := make(chan string, 4)
	c, nc := opened(t, e, funcs{data: func(c *Conn, in []byte) int {
		c.Pause()
		got <- string(in[:1])
		return 1
	}}, ConnOptions{})
	if _, err := io.WriteString(nc, "abc"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "c"} {
		if s := receive(t, got); s != want {
			t.Fatalf("got %q, want %q", s, want)
		}
		on(t, c.Loop(), func() {
			if len(got) > 0 {
				t.Error("OnData was called while paused")
			}
			c.Resume()
		})
	}
}

// gnet enables reading again by itself when a full socket has drained. A paused conn must stay
// paused then.
func TestPausedStaysPausedWhileOutputDrains(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	var inputs atomic.Int64
	c, nc := opened(t, e, funcs{data: func(_ *Conn, in []byte) int {
		inputs.Add(int64(len(in)))
		return len(in)
	}}, ConnOptions{MaxOutput: 64 << 20})
	const size = 16 << 20
	on(t, c.Loop(), func() {
		c.Pause()
		_ = c.Write(make([]byte, size))
	})
	if _, err := io.WriteString(nc, "hello"); err != nil {
		t.Fatal(err)
	}
	readN(t, nc, size)
	on(t, c.Loop(), func() {
		if inputs.Load() != 0 {
			t.Error("OnData was called while paused")
		}
		c.Resume()
	})
	eventually(t, "the input comes", func() bool { return inputs.Load() == 5 })
}

// The bytes that are read although a conn is paused are limited. They do not count against the
// peer: there is room for the rest of one read and one more read, whatever MaxInput is.
func TestInputOfPausedConnIsBounded(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	reasons := make(chan error, 1)
	c, _ := opened(t, e, funcs{
		data:  func(c *Conn, _ []byte) int { c.Pause(); return 0 },
		close: func(_ *Conn, err error) { reasons <- err },
	}, ConnOptions{MaxInput: 1000})
	on(t, c.Loop(), func() {
		c.receive(make([]byte, readBuffer))
		c.receive(make([]byte, readBuffer))
		c.receive(make([]byte, 1000))
		if c.Closed() {
			t.Error("closed too early")
		}
		c.receive(make([]byte, 1))
	})
	if err := receive(t, reasons); !errors.Is(err, ErrInputTooLarge) {
		t.Errorf("OnClose got %v", err)
	}
}

// The input of a peer that sends without end does not accumulate when the handler consumes a little
// after each Resume: no more is read before everything that was read is consumed.
func TestAFastPeerDoesNotPileUp(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	got := make(chan int)
	c, nc := opened(t, e, funcs{data: func(c *Conn, in []byte) int {
		c.Pause()
		got <- len(in)
		return min(len(in), 1000)
	}}, ConnOptions{})
	_, other := opened(t, e, funcs{data: func(_ *Conn, in []byte) int {
		c.Resume() // while the loop reads
		return len(in)
	}}, ConnOptions{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64<<10); ; {
			if _, err := nc.Write(b); err != nil {
				return
			}
		}
	}()
	for range 1000 {
		if n := receive(t, got); n > readBuffer {
			t.Errorf("%d bytes were read and not taken", n)
			break
		}
		if _, err := other.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Loop().Post(func() { c.Close(nil) }); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-got:
		case <-done:
			return
		}
	}
}

// Writes to a conn that must not be read do not cause it to be read, however often the kernel
// accepts no more output. Otherwise its peer, which continues to send, would be closed without a
// fault of its own.
func TestOutputOfAPausedConnReadsNothing(t *testing.T) {
	t.Parallel()
	for _, deafen := range []struct {
		name string
		f    func(*Conn)
	}{{"paused", (*Conn).Pause}, {"yielded", func(c *Conn) { c.Yield(0) }}} {
		t.Run(deafen.name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{Loops: 1})
			ends := make(chan error, 1)
			c, nc := opened(t, e, funcs{
				data:  func(c *Conn, _ []byte) int { deafen.f(c); return 0 },
				close: func(_ *Conn, err error) { ends <- err },
			}, ConnOptions{MaxInput: 1000, MaxOutput: 1 << 30})
			sending := make(chan struct{})
			go func() {
				defer close(sending)
				for b := make([]byte, 64<<10); ; {
					if _, err := nc.Write(b); err != nil {
						return
					}
				}
			}()
			eventually(t, "something is read", func() (some bool) {
				on(t, c.Loop(), func() { some = c.Unread() > 0 })
				return some
			})
			sent := make([]byte, 24<<20)
			for i := range sent {
				sent[i] = byte(i >> 8 * 7)
			}
			on(t, c.Loop(), func() { _ = c.Write(sent) })
			if !bytes.Equal(readN(t, nc, len(sent)), sent) {
				t.Error("not what was written")
			}
			on(t, c.Loop(), func() {
				if n := c.Unread(); n > pausedInput {
					t.Errorf("%d bytes were read of a conn that was not to be read", n)
				}
				c.Close(nil)
			})
			if err := receive(t, ends); err != nil {
				t.Errorf("ended: %v", err)
			}
			<-sending
		})
	}
}
