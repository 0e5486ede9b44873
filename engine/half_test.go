package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// enders are funcs that are told the end of the peer's side.
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

// The peer ends its side with its last bytes: what they are answered with comes whole, with whatever the Handler does about the end.
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
				var h Handler = enders{funcs{data: echo, close: func(_ *Conn, err error) { closed <- err }}, func(c *Conn) { ended++; end(c) }}
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
					time.Sleep(10 * time.Millisecond) // so that much waits here: the peer is slow
				}
				got, err := io.ReadAll(nc)
				want := n
				if strings.HasPrefix(name, "answered") {
					want++
				}
				if end == nil && n > 1000 && err == nil && len(got) <= want { // as far as the kernel took it
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

// later has f run when what is at hand is done, and a turn has passed.
func later(c *Conn, f func()) {
	_ = c.Loop().Post(func() { _ = c.Loop().Post(f) })
}

// Answers that are written to a peer that has ended its side, and reads slowly, come whole and in order, whatever waited when the end came: with the kernel, with gnet, and here.
func TestASlowHalfClosedPeerGetsAll(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	conns, closed := make(chan *Conn, 1), make(chan error, 1)
	before, after := countedLines(0, 1_500_000), countedLines(1_500_000, 100_000)
	h := enders{funcs{
		data: func(c *Conn, in []byte) int {
			_ = c.Write(before)
			c.flush() // what the kernel takes, and 64 KiB to gnet
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

// countedLines are lines with numbers.
func countedLines(first, n int) (b []byte) {
	for i := range n {
		b = fmt.Appendf(b, "%07d\n", first+i)
	}
	return b
}

// A peer that has ended its side and then goes is found out by the next write, and one that takes nothing by WriteTimeout. No descriptor is left behind.
func TestAHalfClosedPeerThatGoes(t *testing.T) {
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
			for err == nil { // the first write to one that is gone brings the reset, if that is not there already
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

// A conn that is paused, or has yielded, when the end of the peer's side comes is told of it behind all that the peer had sent.
func TestTheEndComesBehindTheData(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"paused", "yields", "kept"} {
		s, err := NewSim(Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		var heard string
		var conn *Conn
		h := enders{funcs{
			open: func(c *Conn) { conn = c },
			data: func(c *Conn, in []byte) int {
				heard += string(in[:1])
				if how == "yields" && len(in) > 1 {
					c.Yield(0)
				}
				if how == "kept" {
					return 0
				}
				return 1
			},
		}, func(c *Conn) {
			heard += "."
			_ = c.Write([]byte("answer"))
		}}
		p := s.Open(0, netip.AddrPort{}, h, ConnOptions{})
		if how == "paused" {
			conn.Pause()
		}
		p.Send([]byte("abc"))
		p.HangUp()
		s.Settle()
		conn.Resume()
		s.Settle()
		want := map[string]string{"paused": "a.", "yields": "abc.", "kept": "a."}[how]
		if got := string(p.Take()); heard != want || got != "answer" {
			t.Errorf("%s: heard %q, it gets %q", how, heard, got)
		}
		conn.Close(nil)
		s.Settle()
		if !p.Closed() {
			t.Errorf("%s: it is open still", how)
		}
	}
}

// Many peers that have ended their side, and wait, cost no turns.
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

// A conn that is handed over goes on with the new Handler, which gets what the old one left; that one is told the end, once, after what is under way.
func TestHandOver(t *testing.T) {
	t.Parallel()
	bye := errors.New("bye")
	for _, state := range []string{"", "paused", "yielded", "paused, yielded", "yielded, paused"} {
		s, err := NewSim(Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		note := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
		next := funcs{
			open:  func(*Conn) { note("open") },
			data:  func(_ *Conn, in []byte) int { note("new %s", in); return len(in) },
			close: func(_ *Conn, err error) { note("closed %v", errors.Is(err, os.ErrDeadlineExceeded)) },
		}
		first := funcs{
			data: func(c *Conn, in []byte) int {
				for do := range strings.SplitSeq(state, ", ") {
					switch do {
					case "paused":
						c.Pause()
					case "yielded":
						c.Yield(0)
					}
				}
				c.HandOver(next, bye)
				note("old %s", in)
				return 1
			},
			close: func(c *Conn, err error) { note("over %v %v", err, c.Closed()) },
		}
		p := s.Open(0, netip.AddrPort{}, first, ConnOptions{})
		p.Send([]byte("ab"))
		s.Settle()
		p.Send([]byte("c"))
		s.Settle()
		p.socket.conn.Close(os.ErrDeadlineExceeded)
		s.Settle()
		if got, want := strings.Join(told, "; "), "old ab; over bye false; new b; new c; closed true"; got != want {
			t.Errorf("%q: %s", state, got)
		}
	}
}
