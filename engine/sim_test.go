package engine

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func newSim(t *testing.T) *Sim {
	t.Helper()
	s, err := NewSim(Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
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
		s, err := NewSim(Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var end error
		p := s.Open(1, netip.AddrPort{}, funcs{data: echo, close: func(_ *Conn, err error) { end = err }}, ConnOptions{MaxOutput: 1 << 20})
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
		var c *Conn
		ended := false
		p := s.Open(0, netip.AddrPort{}, funcs{open: func(conn *Conn) { c = conn }, close: func(*Conn, error) { ended = true }}, ConnOptions{})
		c.Pause()
		p.Send([]byte("x"))
		p.HangUp()
		timer := Timer{Target: resume{c}}
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

type resume struct{ c *Conn }

func (r resume) OnTimer(*Timer) { r.c.Resume() }
