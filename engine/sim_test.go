package engine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
)

// Tests on a network in memory.

// funcs is a Handler of functions, of which any may be nil.
type funcs struct {
	open  func(*engine.Conn)
	data  func(*engine.Conn, []byte) int
	close func(*engine.Conn, error)
}

func (f funcs) OnOpen(c *engine.Conn) {
	if f.open != nil {
		f.open(c)
	}
}

func (f funcs) OnData(c *engine.Conn, in []byte) int {
	if f.data != nil {
		return f.data(c, in)
	}
	return len(in)
}

func (f funcs) OnClose(c *engine.Conn, err error) {
	if f.close != nil {
		f.close(c, err)
	}
}

// enders is a funcs with an OnEnd.
type enders struct {
	funcs
	end func(*engine.Conn)
}

func (e enders) OnEnd(c *engine.Conn) { e.end(c) }

func echo(c *engine.Conn, in []byte) int {
	_ = c.Write(in)
	return len(in)
}

func newSim(t *testing.T) *enginetest.Sim {
	t.Helper()
	s, err := enginetest.New(engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each step of a simulated engine happens only when the test asks for it: a loop reads, ends its
// turn, and the output is at the other end.
func TestSim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := enginetest.New(engine.Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var end error
		p := s.Open(1, netip.AddrPort{}, funcs{data: echo, close: func(_ *engine.Conn, err error) { end = err }},
			engine.ConnOptions{MaxOutput: 1 << 20})
		p.Send([]byte("hello"))
		if p.Read(2); len(p.Take()) > 0 || p.Unread() != 3 {
			t.Error("a loop writes before the end of its turn, or reads more than it is to")
		}
		s.Turn(1)
		if b := p.Take(); string(b) != "he" {
			t.Errorf("the peer has %q", b)
		}
		p.Limit(4)
		p.Send(bytes.Repeat([]byte("x"), 100<<10))
		s.Settle()
		if b := p.Take(); string(b) != "llox" {
			t.Errorf("the peer has %q", b)
		}
		p.Limit(1 << 20)
		s.Settle()
		if n := len(p.Take()); n != 100<<10-1 {
			t.Errorf("the peer has %d bytes", n)
		}
		p.Send([]byte("last"))
		p.HangUp()
		s.Settle()
		if b := p.Take(); string(b) != "last" || !errors.Is(end, io.EOF) || !p.Closed() {
			t.Errorf("the peer has %q, and the end is %v", b, end)
		}
	})
}

// A paused connection reads nothing and does not see its end. A timer fires when it is due and a
// turn runs.
func TestSimPauseAndTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t)
		l := s.Engine().Loops()[0]
		var c *engine.Conn
		ended := false
		p := s.Open(0, netip.AddrPort{},
			funcs{open: func(conn *engine.Conn) { c = conn }, close: func(*engine.Conn, error) { ended = true }},
			engine.ConnOptions{})
		c.Pause()
		p.Send([]byte("x"))
		p.HangUp()
		timer := engine.Timer{Target: resume{c}}
		l.Schedule(&timer, 3*time.Second)
		for range 29 {
			time.Sleep(100 * time.Millisecond)
			s.Settle()
		}
		if p.Unread() != 1 || ended {
			t.Error("a paused connection reads")
		}
		time.Sleep(200 * time.Millisecond)
		s.Settle()
		if p.Unread() != 0 || !ended {
			t.Error("the timer did not go off")
		}
	})
}

// Conns that have yielded are offered the rest in the order they asked for, after the other conns
// of the loop. A turn ends with the first one that consumes nothing.
func TestYield(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t)
		l := s.Engine().Loops()[0]
		var order []string
		room := 2 // conns that one turn has time for
		turn, served := uint64(0), 0
		open := func(name string, cost uint64) *enginetest.Peer {
			at := uint64(0)
			return s.Open(0, netip.AddrPort{}, funcs{data: func(c *engine.Conn, in []byte) int {
				if turn != l.Turn() {
					turn, served = l.Turn(), 0
				}
				if served == room {
					c.Yield(at)
					return 0
				}
				served++
				order = append(order, name+string(in[:1]))
				if at += cost; len(in) > 1 {
					c.Yield(at)
				}
				return 1
			}}, engine.ConnOptions{})
		}
		a, b, c := open("a", 4), open("b", 1), open("c", 2)
		for _, p := range []*enginetest.Peer{a, b, c} {
			p.Send([]byte("1234"))
			p.Read(1 << 10)
		}
		d := open("d", 1)
		s.Turn(0) // c has the lowest at, because it has had no turn yet
		d.Send([]byte("9"))
		d.Read(1 << 10)
		s.Settle()
		want := "a1 b1 | c1 b2 | d9 c2 | b3 b4 | a2 c3 | c4 a3 | a4"
		if got := strings.Join(order, " "); got != strings.ReplaceAll(want, "| ", "") {
			t.Errorf("order of service:\n%s\nwant\n%s", got, want)
		}
	})
}

// Bytes that arrive while a conn has yielded wait in order. Pause, Resume and Close work as usual
// meanwhile.
func TestYieldPauseResumeClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t)
		var got []byte
		var conn *engine.Conn
		p := s.Open(0, netip.AddrPort{}, funcs{
			open: func(c *engine.Conn) { conn = c },
			data: func(c *engine.Conn, in []byte) int {
				got = append(got, in[0])
				if len(in) > 1 {
					c.Yield(0)
				}
				return 1
			},
		}, engine.ConnOptions{})
		p.Send([]byte("abc"))
		p.Read(1 << 10)
		p.Send([]byte("def"))
		if p.Read(1 << 10) {
			t.Error("a conn that has yielded is read")
		}
		conn.Pause()
		for range 3 {
			s.Turn(0)
		}
		if string(got) != "a" {
			t.Errorf("paused, and it was offered %q", got)
		}
		conn.Resume()
		s.Settle()
		if string(got) != "abcdef" {
			t.Errorf("it was offered %q", got)
		}
		p.Send([]byte("xyz"))
		p.Read(1 << 10)
		conn.Pause()
		conn.Resume()
		conn.Close(nil)
		s.Settle()
		if string(got) != "abcdefx" || conn.Loop().Yielded() > 0 {
			t.Errorf("closed, and it was offered %q", got)
		}
	})
}

// A conn that is paused or has yielded when the FIN comes receives OnEnd after all bytes of the
// peer.
func TestTheEndComesBehindTheData(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"paused", "yields", "kept"} {
		s, err := enginetest.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		var received string
		var conn *engine.Conn
		h := enders{funcs{
			open: func(c *engine.Conn) { conn = c },
			data: func(c *engine.Conn, in []byte) int {
				received += string(in[:1])
				if how == "yields" && len(in) > 1 {
					c.Yield(0)
				}
				if how == "kept" {
					return 0
				}
				return 1
			},
		}, func(c *engine.Conn) {
			received += "."
			_ = c.Write([]byte("answer"))
		}}
		p := s.Open(0, netip.AddrPort{}, h, engine.ConnOptions{})
		if how == "paused" {
			conn.Pause()
		}
		p.Send([]byte("abc"))
		p.HangUp()
		s.Settle()
		conn.Resume()
		s.Settle()
		want := map[string]string{"paused": "a.", "yields": "abc.", "kept": "a."}[how]
		if got := string(p.Take()); received != want || got != "answer" {
			t.Errorf("%s: received %q, it gets %q", how, received, got)
		}
		conn.Close(nil)
		s.Settle()
		if !p.Closed() {
			t.Errorf("%s: it is open still", how)
		}
	}
}

// After HandOver the new Handler gets the bytes that the old one left. The old one gets OnClose
// once, after the current callback.
func TestHandOver(t *testing.T) {
	t.Parallel()
	bye := errors.New("bye")
	for _, state := range []string{"", "paused", "yielded", "paused, yielded", "yielded, paused"} {
		s, err := enginetest.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		note := func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }
		next := funcs{
			open:  func(*engine.Conn) { note("open") },
			data:  func(_ *engine.Conn, in []byte) int { note("new %s", in); return len(in) },
			close: func(_ *engine.Conn, err error) { note("closed %v", errors.Is(err, os.ErrDeadlineExceeded)) },
		}
		var conn *engine.Conn
		first := funcs{
			open: func(c *engine.Conn) { conn = c },
			data: func(c *engine.Conn, in []byte) int {
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
			close: func(c *engine.Conn, err error) { note("over %v %v", err, c.Closed()) },
		}
		p := s.Open(0, netip.AddrPort{}, first, engine.ConnOptions{})
		p.Send([]byte("ab"))
		s.Settle()
		p.Send([]byte("c"))
		s.Settle()
		conn.Close(os.ErrDeadlineExceeded)
		s.Settle()
		if got, want := strings.Join(told, "; "), "old ab; over bye false; new b; new c; closed true"; got != want {
			t.Errorf("%q: %s", state, got)
		}
	}
}

// A loop near its limit is overloaded until half of the memory is free, for at most 10 s. Then the
// conns with the most waiting bytes are closed, as many as necessary.
func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound, mib = 8 << 20, 1 << 20
		s, err := enginetest.New(engine.Config{Loops: 1, MaxBuffered: bound})
		if err != nil {
			t.Fatal(err)
		}
		l := s.Engine().Loops()[0]
		reasons := make(map[*engine.Conn]error)
		var conns []*engine.Conn
		var peers []*enginetest.Peer
		h := funcs{
			open:  func(c *engine.Conn) { conns = append(conns, c) },
			close: func(c *engine.Conn, err error) { reasons[c] = err },
		}
		for range 3 {
			peers = append(peers, s.Open(0, netip.AddrPort{}, h, engine.ConnOptions{MaxOutput: bound}))
		}
		waits := func(i, n int) { // makes about n bytes wait for conn i
			t.Helper()
			peers[i].Limit(0)
			for conns[i].Buffered() < n {
				_ = conns[i].Write(make([]byte, mib/8))
				s.Turn(0)
			}
			for conns[i].Buffered() > n {
				peers[i].Take()
				peers[i].Limit(mib / 8)
				s.Turn(0)
			}
			peers[i].Limit(0)
		}
		expect := func(over bool, times uint64) {
			t.Helper()
			if got := l.Stats(); got.Overloaded != over || l.Overloaded() != over || got.OverloadEvents != times {
				t.Fatalf("with %d of %d bytes: overloaded %v, %d times",
					got.BufferedBytes, bound, got.Overloaded, got.OverloadEvents)
			}
		}
		waits(0, 3*mib)
		waits(1, 2*mib)
		waits(2, mib)
		expect(false, 0)
		waits(2, 3*mib/2)
		expect(true, 1)
		waits(0, 2*mib) // 5.5 MiB in total
		expect(true, 1)
		waits(0, mib/2)
		expect(false, 1)
		waits(0, 2*mib)
		expect(false, 1)
		waits(1, 3*mib)
		expect(true, 2)
		for end := time.Now().Add(9 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
			s.Turn(0)
		}
		if expect(true, 2); len(reasons) > 0 {
			t.Errorf("cut too early: %v", reasons)
		}
		time.Sleep(2 * time.Second)
		s.Turn(0)
		expect(false, 2)
		if len(reasons) != 1 || !errors.Is(reasons[conns[1]], engine.ErrOverBudget) || l.Stats().MemoryLimitCloses != 1 {
			t.Errorf("cut were %v", reasons)
		}
	})
}

// A conn that is slow, drains and is slow again does not get a new buffer each time.
func TestTheBufferOfASlowConnIsUsedAgain(t *testing.T) {
	t.Parallel()
	s, err := enginetest.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	var c *engine.Conn
	peer := s.Open(0, netip.AddrPort{}, funcs{open: func(opened *engine.Conn) { c = opened }},
		engine.ConnOptions{Overflow: engine.DropOldest})
	fill := func() *byte {
		peer.Limit(0)
		for range 1000 { // of 4 KiB each, more than MaxOutput
			if err := c.Write(make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
			s.Turn(0)
		}
		out, _ := c.Out()
		if cap(out) != engine.MaxBuffer {
			t.Errorf("the buffer has %d bytes", cap(out))
		}
		return &out[:1][0]
	}
	first := fill()
	peer.Limit(64 << 20)
	s.Turn(0)
	if out, _ := c.Out(); out != nil {
		t.Fatalf("%d bytes wait", c.Buffered())
	}
	if fill() != first {
		t.Error("it has another one")
	}
}

// The output of a conn with Retain is returned whole, once and in order, however the kernel accepts
// it. The buffers end between messages and have the serials of their messages. Unsent output is
// available too, also in OnClose. A buffer that is never empty does not grow without limit.
func TestRetain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s, err := enginetest.New(engine.Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			var c *engine.Conn
			var written, handed []byte
			var serials []uint32 // of the buffer of each message
			next := 0            // message that is handed out next
			take := func() {
				for _, f := range c.TakeFlushed(nil) {
					handed = append(handed, f.Bytes...)
					for in := f.Bytes; len(in) > 0; next++ {
						if n := nextMessage(in, next); n == 0 || serials[next] != f.Serial {
							t.Fatalf("seed %d: message %d is in buffer %d, want %d", seed, next, f.Serial, serials[next])
						} else {
							in = in[n:]
						}
					}
					c.Loop().Recycle(f.Bytes)
				}
			}
			unflushed := -1
			p := s.Open(0, netip.AddrPort{}, funcs{
				open:  func(opened *engine.Conn) { c = opened },
				close: func(c *engine.Conn, _ error) { unflushed = len(c.Unflushed()) },
			}, engine.ConnOptions{MaxOutput: 8 << 20, Retain: true})
			p.Limit(2<<10 + rng.IntN(20<<10)) // about as much as is written
			for n := range uint32(3000) {
				m := binary.BigEndian.AppendUint32(nil, uint32(rng.IntN(2000)))
				m = binary.BigEndian.AppendUint32(m, n)
				m = append(m, make([]byte, binary.BigEndian.Uint32(m))...)
				written = append(written, m...)
				serials = append(serials, c.Serial())
				if err := c.Write(m); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(10) == 0 {
					s.Turn(0)
					p.Take()
					take()
				}
				out, sent := c.Out()
				if waiting := len(out) - sent; len(out) > 6*waiting+2*engine.RetainSplit {
					t.Fatalf("seed %d: a buffer has grown to %d bytes, of which %d wait", seed, len(out), waiting)
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
				t.Errorf("seed %d: of %d bytes %d are handed out and %d left, %d in OnClose",
					seed, len(written), len(handed), len(rest), unflushed)
			}
		})
	}
}

// nextMessage reads a message of u32 length, u32 number and bytes at the front of b. It returns its
// size, or 0 if it is not whole or has another number.
func nextMessage(b []byte, number int) int {
	if len(b) < 8 || int(binary.BigEndian.Uint32(b[4:])) != number || 8+int(binary.BigEndian.Uint32(b)) > len(b) {
		return 0
	}
	return 8 + int(binary.BigEndian.Uint32(b))
}

type resume struct{ c *engine.Conn }

func (r resume) OnTimer(*engine.Timer) { r.c.Resume() }

// Bytes that OnData leaves after it has paused and resumed its conn are offered again without a new
// byte from the peer. A conn that always does this does not block the loop.
func TestResumeInOnDataOffersWhatItLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t)
		var got, turns []byte
		l := s.Engine().Loops()[0]
		p := s.Open(0, netip.AddrPort{}, funcs{data: func(c *engine.Conn, in []byte) int {
			c.Pause()
			c.Resume()
			got = append(got, in[:min(7, len(in))]...)
			turns = append(turns, byte(l.Turn()))
			return min(7, len(in))
		}}, engine.ConnOptions{})
		sent := bytes.Repeat([]byte("0123456789"), 7)
		p.Send(sent)
		s.Settle()
		if !bytes.Equal(got, sent) {
			t.Errorf("%d of %d bytes were offered: %q", len(got), len(sent), got)
		}
		if slices.Sort(turns); len(slices.Compact(turns)) != len(sent)/7 {
			t.Errorf("one turn offered more than once: %v", turns)
		}
	})
}

// onTimer is a TimerHandler.
type onTimer func(*engine.Timer)

func (f onTimer) OnTimer(t *engine.Timer) { f(t) }

// Connections that say nothing for a while are found by a timer that is moved
// only when it fires: the way heartbeats are meant to be done.
func TestIdleConnectionsAreFound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const idle = 3 * time.Second
		sim, err := enginetest.New(engine.Config{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		errIdle := errors.New("idle")
		type session struct {
			funcs
			timer engine.Timer
			seen  time.Time
		}
		var reasons []error
		s := &session{}
		s.open = func(c *engine.Conn) {
			s.seen = c.Loop().Now()
			s.timer.Target = onTimer(func(t *engine.Timer) {
				if quiet := c.Loop().Now().Sub(s.seen); quiet < idle {
					c.Loop().Schedule(t, idle-quiet)
					return
				}
				c.Close(errIdle)
			})
			c.Loop().Schedule(&s.timer, idle)
		}
		s.data = func(c *engine.Conn, in []byte) int { s.seen = c.Loop().Now(); return len(in) }
		s.close = func(_ *engine.Conn, err error) { reasons = append(reasons, err) }
		p := sim.Open(0, netip.AddrPort{}, s, engine.ConnOptions{})
		pass := func(d time.Duration) {
			for ; d > 0; d -= idle / 10 {
				time.Sleep(idle / 10)
				sim.Settle()
			}
		}
		for range 40 {
			p.Send([]byte("x"))
			pass(idle / 10)
		}
		if pass(idle / 2); len(reasons) > 0 {
			t.Fatal("a busy conn was closed")
		}
		if pass(idle); len(reasons) != 1 || !errors.Is(reasons[0], errIdle) {
			t.Errorf("OnClose got %v", reasons)
		}
	})
}
