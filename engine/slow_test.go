package engine

import (
	"errors"
	"net"
	"testing"
	"time"
)

// fill writes to c without a pause until n bytes wait.
func fill(t *testing.T, c *Conn, n int) {
	t.Helper()
	on(t, c.Loop(), func() {
		for c.Buffered() < n && !c.Closed() {
			_ = c.Write(make([]byte, 64<<10))
			c.flush()
		}
	})
}

// A peer that accepts nothing is closed, however little waits and whatever the policy is.
func TestAStalledPeerIsCut(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]Overflow{"close": CloseSlow, "oldest": DropOldest, "newest": DropNewest} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{Tick: 10 * time.Millisecond})
			reasons := make(chan error, 1)
			c, _ := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }},
				ConnOptions{MaxOutput: 64 << 20, Overflow: policy, WriteTimeout: 300 * time.Millisecond})
			fill(t, c, 100<<10)
			begun := time.Now()
			if err := receive(t, reasons); !errors.Is(err, ErrWriteTimeout) || !errors.Is(err, ErrSlowConsumer) {
				t.Errorf("OnClose got %v", err)
			}
			if took := time.Since(begun); took < 250*time.Millisecond {
				t.Errorf("after %v", took)
			}
			s := figures(e)[c.Loop().Index()]
			if s.WriteTimeoutCloses != 1 || s.SlowConsumerCloses != 0 || s.BufferedBytes != 0 || s.SlowConns != 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

// A peer that reads slowly does not count as one that does not read, although the kernel, which
// wakes us when a third of its buffer is free, reports nothing for long.
func TestASlowPeerIsNotStalled(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Tick: 10 * time.Millisecond})
	const stall, rounds = 2 * time.Second, 25
	reasons := make(chan error, 1)
	c, nc := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }},
		ConnOptions{MaxOutput: 64 << 20, WriteTimeout: stall})
	_ = nc.(*net.TCPConn).SetReadBuffer(16 << 10)
	fill(t, c, 8<<20)
	beat := time.NewTicker(4 * stall / rounds / 2)
	defer beat.Stop()
	for range rounds {
		<-beat.C
		readN(t, nc, 16<<10)
		select {
		case err := <-reasons:
			t.Fatalf("cut while it reads: %v", err)
		default:
		}
	}
}

// When too many bytes wait in a loop, the conns with the most are closed, and those with fewer are
// not. Conns with ExcludeFromBudget do not count.
func TestTheLargestBacklogsAreClosedFirst(t *testing.T) {
	t.Parallel()
	const bound = 8 << 20
	e := start(t, Config{Loops: 1, MaxBuffered: bound})
	reasons := make(map[*Conn]error)
	note := funcs{close: func(c *Conn, err error) { reasons[c] = err }}
	exempt, _ := opened(t, e, note, ConnOptions{MaxOutput: 64 << 20, ExcludeFromBudget: true})
	fill(t, exempt, bound+1<<20)
	var conns []*Conn
	for i := range 4 { // 1, 2, 3, 1 MiB
		c, _ := opened(t, e, note, ConnOptions{MaxOutput: 64 << 20})
		fill(t, c, (i%3+1)<<20)
		conns = append(conns, c)
	}
	on(t, conns[0].Loop(), func() {
		if len(reasons) > 0 {
			t.Errorf("cut with room to spare: %v", reasons)
		}
		if s := conns[0].Loop().Stats(); s.BufferedBytes < 7<<20 || s.BufferedBytes > bound || s.SlowConns != 5 {
			t.Errorf("stats: %+v", s)
		}
		for range 3 << 4 { // another 3 MiB
			_ = conns[0].Write(make([]byte, 64<<10))
		}
	})
	eventually(t, "the worst is cut", func() bool { return figures(e)[0].MemoryLimitCloses > 0 })
	on(t, conns[0].Loop(), func() {
		first := conns[2]
		if !errors.Is(reasons[first], ErrOverBudget) || !errors.Is(reasons[first], ErrSlowConsumer) {
			t.Errorf("the one with most got %v", reasons[first])
		}
		for _, c := range []*Conn{exempt, conns[1], conns[3]} {
			if err, over := reasons[c]; over {
				t.Errorf("one with less got %v", err)
			}
		}
		if s := conns[0].Loop().Stats(); s.MemoryLimitCloses > 2 || s.BufferedBytes > bound {
			t.Errorf("stats: %+v", s)
		}
	})
}

// New connections go to a loop that is not overloaded, however many it has.
func TestAnOverloadedLoopGetsNoNewConns(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 2, MaxBuffered: 1 << 20})
	ln := serve(t, e, funcs{}, ListenOptions{})
	c, _ := opened(t, e, funcs{}, ConnOptions{MaxOutput: 64 << 20})
	fill(t, c, 900<<10)
	if !c.Loop().Overloaded() {
		t.Fatalf("not overloaded: %+v", figures(e))
	}
	for range 5 {
		dial(t, ln)
	}
	here := c.Loop().Index()
	eventually(t, "five go to the other",
		func() bool { s := figures(e); return s[here].Conns == 1 && s[1-here].Conns == 5 })
	on(t, c.Loop(), func() { c.Close(ErrStopped) })
	eventually(t, "it is not overloaded any more", func() bool { return !c.Loop().Overloaded() })
	dial(t, ln)
	eventually(t, "the sixth goes there", func() bool { return figures(e)[here].Conns == 1 })
}

// A large amount of output within one callback is sent before the callback ends: output to many
// conns is not all held in memory first.
func TestAFloodIsSentWithinTheCallback(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	var conns []*Conn
	for range 64 {
		c, nc := opened(t, e, funcs{}, ConnOptions{})
		conns = append(conns, c)
		go func() {
			for b := make([]byte, 64<<10); ; {
				if _, err := nc.Read(b); err != nil {
					return
				}
			}
		}()
	}
	const size = 512 << 10
	message := make([]byte, size)
	on(t, conns[0].Loop(), func() {
		most := 0
		for _, c := range conns {
			_ = c.Write(message)
			waiting := 0
			for _, c := range conns {
				waiting += len(c.out) - c.sent
			}
			most = max(most, waiting)
		}
		if want := immediateFlush + immediateFlush/2; most > want {
			t.Errorf("up to %d bytes waited", most)
		}
	})
	for _, c := range conns {
		on(t, c.Loop(), func() { c.Close(ErrStopped) })
	}
}
