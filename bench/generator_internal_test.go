package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// A message of an open loop is never sent early. A generator that is
// closed does not wait for the next one.
func TestAwait(t *testing.T) {
	t.Parallel()
	g := &generator{began: time.Now()}
	g.ctx, g.cancel = context.WithCancel(t.Context())
	for _, moment := range []time.Duration{-time.Second, 0, 100 * time.Microsecond, timerSlack, 3 * timerSlack} {
		moment += time.Since(g.began)
		if g.await(moment); time.Since(g.began) < moment {
			t.Errorf("%v early", moment-time.Since(g.began))
		}
	}
	g.cancel()
	if g.await(time.Hour); time.Since(g.began) > time.Minute {
		t.Error("late")
	}
}

// TestOpenSilent opens connections to a server that accepts and sends nothing: it must end.
func TestOpenSilent(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	o := Options{Conns: 3, Targets: []string{ln.Addr().String()}}
	o.defaults()
	g, err := newGenerator(o, 0, 3, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g.patience = 50 * time.Millisecond
	if err := g.open(t.Context()); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
	if err := g.close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestFirstMessages starts a closed loop: the first message of each connection is stamped when it
// is sent, not when the first connection sent.
func TestFirstMessages(t *testing.T) {
	t.Parallel()
	const conns = 200
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	stamps := make(chan uint32, conns)
	go func() {
		for range conns {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = nc.Close() }()
				first := make([]byte, stampLen)
				_, err := io.ReadFull(nc, first)
				s, err2 := readStamp(first)
				if err := errors.Join(err, err2); err != nil {
					t.Error(err)
				}
				stamps <- s.at
			}()
		}
	}()
	o := Options{Codec: Text, Conns: conns, Loops: 1, Processes: 1, Targets: []string{ln.Addr().String()}}
	o.defaults()
	g, err := newGenerator(o, 0, conns, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.start(0, 0)
	moments := make(map[uint32]bool)
	for range conns {
		moments[<-stamps] = true
	}
	if len(moments) < conns/10 { // a send takes some microseconds
		t.Errorf("%d messages have %d moments of sending", conns, len(moments))
	}
	if err := g.close(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestReach needs more connections than a process has descriptors, or an address has ports.
func TestReach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		conns     int
		targets   []string
		sources   []string // asked for
		processes int      // asked for
		want      int      // sources
		last      string
	}{
		{conns: 1000, targets: []string{"127.0.0.1:1"}},
		{conns: 25_000, targets: []string{"127.0.0.1:1"}, processes: 1000},
		{conns: 25_001, targets: []string{"127.0.0.1:1"}, processes: 1000, want: 2, last: "127.0.0.2"},
		{conns: 60_000, targets: []string{"127.0.0.1:1", "127.0.0.1:2"}, processes: 1000, want: 2, last: "127.0.0.2"},
		{
			conns: 60_000, targets: []string{"127.0.0.1:1"}, processes: 1000, sources: []string{"127.0.0.9"}, want: 1,
			last: "127.0.0.9",
		},
		{conns: 60_000, targets: []string{"192.0.2.1:1"}, processes: 1000},
		{conns: 1_000_000, targets: []string{"127.0.0.1:1"}, processes: 10_000, want: 40, last: "127.0.0.40"},
	} {
		o := Options{Conns: c.conns, Targets: c.targets, Sources: c.sources, Processes: c.processes}
		if err := o.reach(); err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if len(o.Sources) != c.want || c.want > 0 && o.Sources[c.want-1] != c.last {
			t.Errorf("%d connections to %v come from %v", c.conns, c.targets, o.Sources)
		}
	}
	o := Options{Conns: maxStreams, Targets: []string{"127.0.0.1:1"}}
	if err := o.reach(); err != nil || o.Processes < 2 || o.border(o.Processes) != maxStreams || o.border(1) == 0 {
		t.Errorf("%d connections are for %d processes, %v", maxStreams, o.Processes, err)
	}
	o = Options{Conns: maxStreams, Servers: Servers{Gateways: 1}}
	if err := o.reach(); !errors.Is(err, ErrOptions) {
		t.Errorf("one gateway is to hold %d connections: %v", maxStreams, err)
	}
	o = Options{Conns: 30_000, Servers: Servers{Gateways: 1000}, Processes: 1000} // their targets are on loopback
	if err := o.reach(); err != nil || len(o.Sources) > 0 {
		t.Errorf("%d connections to 1000 gateways come from %v, %v", o.Conns, o.Sources, err)
	}
	for _, o := range []Options{
		{Mode: Chat, RoomSize: maxStreams, Conns: maxStreams, Processes: 1000}, // one room, in one process
		{Conns: 1, SlowReaders: maxStreams, Processes: 1000},                   // in this process
	} {
		o.Targets = []string{"127.0.0.1:1"}
		if err := o.reach(); !errors.Is(err, ErrOptions) {
			t.Errorf("one process is to hold %d connections and %d slow readers: %v", o.Conns, o.SlowReaders, err)
		}
	}
	o = Options{Conns: maxStreams, Targets: []string{"127.0.0.1:1"}, Processes: 1}
	if err := o.reach(); !errors.Is(err, ErrOptions) {
		t.Errorf("one process is to hold %d connections: %v", maxStreams, err)
	}
}
