package engine

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
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
			if err := receive(t, reasons); err != ErrWriteTimeout || !errors.Is(err, ErrSlowConsumer) {
				t.Errorf("OnClose got %v", err)
			}
			if took := time.Since(begun); took < 250*time.Millisecond {
				t.Errorf("after %v", took)
			}
			if s := figures(e)[c.Loop().Index()]; s.WriteTimeoutCloses != 1 || s.SlowConsumerCloses != 0 || s.BufferedBytes != 0 || s.SlowConns != 0 {
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
	c, nc := opened(t, e, funcs{close: func(_ *Conn, err error) { reasons <- err }}, ConnOptions{MaxOutput: 64 << 20, WriteTimeout: stall})
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
func TestTheWorstAreCutFirst(t *testing.T) {
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
		if reasons[first] != ErrOverBudget || !errors.Is(reasons[first], ErrSlowConsumer) {
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

// A loop near its limit is overloaded until half of the memory is free, for at most 10 s. Then the
// conns with the most waiting bytes are closed, as many as necessary.
func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const bound, mib = 8 << 20, 1 << 20
		s, err := NewSim(Config{Loops: 1, MaxBuffered: bound})
		if err != nil {
			t.Fatal(err)
		}
		l := s.Engine().Loops()[0]
		reasons := make(map[*Conn]error)
		var conns []*Conn
		var peers []*SimPeer
		h := funcs{open: func(c *Conn) { conns = append(conns, c) }, close: func(c *Conn, err error) { reasons[c] = err }}
		for range 3 {
			peers = append(peers, s.Open(0, netip.AddrPort{}, h, ConnOptions{MaxOutput: bound}))
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
				t.Fatalf("with %d of %d bytes: overloaded %v, %d times", got.BufferedBytes, bound, got.Overloaded, got.OverloadEvents)
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
		if expect(false, 2); len(reasons) != 1 || reasons[conns[1]] != ErrOverBudget || l.Stats().MemoryLimitCloses != 1 {
			t.Errorf("cut were %v", reasons)
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
	eventually(t, "five go to the other", func() bool { s := figures(e); return s[here].Conns == 1 && s[1-here].Conns == 5 })
	on(t, c.Loop(), func() { c.Close(ErrStopped) })
	eventually(t, "it is not overloaded any more", func() bool { return !c.Loop().Overloaded() })
	dial(t, ln)
	eventually(t, "the sixth goes there", func() bool { return figures(e)[here].Conns == 1 })
}

// A large amount of output within one callback is sent before the callback ends: output to many
// conns is not all held in memory first.
func TestAFloodDoesNotWait(t *testing.T) {
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
