package engine

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

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
		open := func(name string, cost uint64) *SimPeer {
			at := uint64(0)
			return s.Open(0, netip.AddrPort{}, funcs{data: func(c *Conn, in []byte) int {
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
			}}, ConnOptions{})
		}
		a, b, c := open("a", 4), open("b", 1), open("c", 2)
		for _, p := range []*SimPeer{a, b, c} {
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
		var conn *Conn
		p := s.Open(0, netip.AddrPort{}, funcs{
			open: func(c *Conn) { conn = c },
			data: func(c *Conn, in []byte) int {
				got = append(got, in[0])
				if len(in) > 1 {
					c.Yield(0)
				}
				return 1
			},
		}, ConnOptions{})
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
		if string(got) != "abcdefx" || len(conn.loop.yielded) > 0 {
			t.Errorf("closed, and it was offered %q", got)
		}
	})
}

// A conn with much input does not use a loop until its end: the loop reads its other sockets
// between two of the conn's turns.
func TestYieldLetsOthersIn(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	const size = 4000
	said := make(chan string, size+1)
	var other *Conn
	_, flood := opened(t, e, funcs{data: func(c *Conn, in []byte) int {
		said <- "flood"
		if len(in) > 1 {
			c.Yield(0)
		}
		return 1
	}}, ConnOptions{})
	other, quiet := opened(t, e, funcs{data: func(_ *Conn, in []byte) int {
		said <- string(in)
		return len(in)
	}}, ConnOptions{})
	hold := make(chan struct{})
	if err := other.Loop().Post(func() { <-hold }); err != nil {
		t.Fatal(err)
	}
	if _, err := flood.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(quiet, "quiet"); err != nil {
		t.Fatal(err)
	}
	close(hold)
	for n := 0; ; n++ {
		if what := receive(t, said); what != "flood" {
			if n > size/4 {
				t.Errorf("%d turns of the flood came before it", n)
			}
			break
		}
	}
}

// The lowest at comes first.
func TestYieldHeap(t *testing.T) {
	t.Parallel()
	var h yieldHeap
	for i := range 200 {
		h.push(yielded{at: uint64(i * 7919 % 31), nth: uint64(i)})
		if i%3 == 0 {
			h.pop()
		}
	}
	var last yielded
	for n := len(h); n > 0; n-- {
		y := h.pop()
		if y.before(last) {
			t.Fatal(fmt.Sprint(y, " comes after ", last))
		}
		last = y
	}
}
