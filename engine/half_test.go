package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// enders is a funcs with an OnEnd.
type enders struct {
	funcs
	end func(*Conn)
}

func (e enders) OnEnd(c *Conn) { e.end(c) }

// hangUp ends nc's side.
func hangUp(t testing.TB, nc net.Conn) {
	t.Helper()
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// The peer ends its side with its last bytes. The answer arrives completely, whatever the Handler
// does about the end.
func TestAHalfClosedPeerIsAnswered(t *testing.T) {
	t.Parallel()
	bye := errors.New("bye")
	for name, end := range map[string]func(*Conn){
		"closed at once":  func(c *Conn) { c.CloseAfterFlush(bye, patience) },
		"closed later":    func(c *Conn) { later(c, func() { c.CloseAfterFlush(bye, patience) }) },
		"answered, later": func(c *Conn) { later(c, func() { _ = c.Write([]byte("!")); c.CloseAfterFlush(bye, patience) }) },
		"no Ender":        nil,
	} {
		for _, n := range []int{1, 1000, 3 << 20} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, n), func(t *testing.T) {
				t.Parallel()
				e := start(t, Config{Loops: 1})
				closed := make(chan error, 2)
				ended := 0 // owned by the loop
				var h Handler = enders{
					funcs{data: echo, close: func(_ *Conn, err error) { closed <- err }},
					func(c *Conn) { ended++; end(c) },
				}
				if end == nil {
					h = h.(enders).funcs
				}
				ln := serve(t, e, h, ListenOptions{Conn: ConnOptions{MaxOutput: 8 << 20}})
				nc := dial(t, ln)
				sent := make(chan error, 1)
				go func() {
					_, err := nc.Write(bytes.Repeat([]byte("x"), n))
					sent <- errors.Join(err, nc.(*net.TCPConn).CloseWrite())
				}()
				if n > 1000 {
					time.Sleep(10 * time.Millisecond) // so that much output waits here: the peer is slow
				}
				got, err := io.ReadAll(nc)
				want := n
				if strings.HasPrefix(name, "answered") {
					want++
				}
				if end == nil && n > 1000 && err == nil && len(got) <= want { // as far as the kernel accepted it
					want = len(got)
				}
				if err := errors.Join(err, receive(t, sent)); err != nil || len(got) != want {
					t.Errorf("%d of %d bytes came, %v", len(got), want, err)
				}
				reason := receive(t, closed)
				if end != nil && !errors.Is(reason, bye) || end == nil && !errors.Is(reason, io.EOF) {
					t.Errorf("OnClose got %v", reason)
				}
				on(t, e.Loops()[0], func() {
					if want := 1; end != nil && ended != want {
						t.Errorf("OnEnd came %d times", ended)
					}
				})
				if len(closed) > 0 || figures(e)[0].Conns != 0 {
					t.Error("the conn is there still, or ended twice")
				}
			})
		}
	}
}

// later runs f after the current work and one more turn.
func later(c *Conn, f func()) {
	_ = c.Loop().Post(func() { _ = c.Loop().Post(f) })
}

// Answers to a peer that has ended its side and reads slowly arrive completely and in order,
// wherever they waited when the FIN came: in the kernel, in gnet, and here.
func TestASlowHalfClosedPeerGetsAll(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	conns, closed := make(chan *Conn, 1), make(chan error, 1)
	before, after := countedLines(0, 1_500_000), countedLines(1_500_000, 100_000)
	h := enders{funcs{
		data: func(c *Conn, in []byte) int {
			_ = c.Write(before)
			c.flush() // as much as the kernel accepts, and 64 KiB to gnet
			if c.Buffered() < 64<<10 {
				t.Error("nothing waits here")
			}
			return len(in)
		},
		close: func(_ *Conn, err error) { closed <- err },
	}, func(c *Conn) {
		_ = c.Write(after)
		conns <- c
	}}
	ln := serve(t, e, h, ListenOptions{Conn: ConnOptions{MaxOutput: 64 << 20}})
	nc := dial(t, ln)
	if _, err := nc.Write([]byte("go")); err != nil {
		t.Fatal(err)
	}
	hangUp(t, nc)
	c := receive(t, conns)
	on(t, c.Loop(), func() { c.CloseAfterFlush(nil, patience) })
	got, err := io.ReadAll(nc)
	if want := append(before, after...); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes came, %v", len(got), len(want), err)
	}
	_ = receive(t, closed)
}

// countedLines returns numbered lines.
func countedLines(first, n int) (b []byte) {
	for i := range n {
		b = fmt.Appendf(b, "%07d\n", first+i)
	}
	return b
}

// A peer that disconnects after it has ended its side is detected by the next write, and one that
// accepts nothing by WriteTimeout. No descriptor is left behind.
func TestAHalfClosedPeerThatBreaks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		leave func(nc net.Conn)
		want  error
	}{
		"gone":    {func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0); nc.Close() }, nil},
		"stalled": {func(net.Conn) {}, ErrWriteTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{Loops: 1, Tick: 10 * time.Millisecond})
			conns, closed := make(chan *Conn, 1), make(chan error, 1)
			h := enders{funcs{close: func(_ *Conn, err error) { closed <- err }}, func(c *Conn) { conns <- c }}
			ln := serve(t, e, h, ListenOptions{Conn: ConnOptions{MaxOutput: 64 << 20, WriteTimeout: 200 * time.Millisecond}})
			nc := dial(t, ln)
			hangUp(t, nc)
			conn := receive(t, conns)
			c.leave(nc)
			on(t, conn.Loop(), func() { _ = conn.Write(make([]byte, 32<<20)) })
			var err error
			for err == nil { // the first write to a peer that is gone causes the reset, if it has not come yet
				on(t, conn.Loop(), func() { _ = conn.Write([]byte("x")) })
				select {
				case err = <-closed:
				case <-time.After(10 * time.Millisecond):
				}
			}
			if c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, ErrWriteTimeout) {
				t.Errorf("OnClose got %v", err)
			}
			eventually(t, "it is gone", func() bool { return figures(e)[0].Conns == 0 })
		})
	}
}

// Many waiting peers that have ended their side cost no turns.
func TestHalfClosedConnsDoNotSpin(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1, Tick: time.Second})
	ended := make(chan *Conn, 100)
	ln := serve(t, e, enders{funcs{}, func(c *Conn) { ended <- c }}, ListenOptions{})
	for range cap(ended) {
		nc := dial(t, ln)
		hangUp(t, nc)
		receive(t, ended)
	}
	before := figures(e)[0].Turns
	time.Sleep(100 * time.Millisecond)
	if turns := figures(e)[0].Turns - before; turns > 20 {
		t.Errorf("%d turns in a tenth of a second", turns)
	}
}
