package engine

import (
	"io"
	"net"
	"runtime"
	"testing"
	"unsafe"
)

// A Conn contains everything that a silent connection costs, besides gnet's own part. 192 bytes are
// a size class and three cache lines. One byte more would cost 16, and most conns would start
// within a line.
func TestConnIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Conn{}); size > 192 {
		t.Errorf("Conn has %d bytes", size)
	}
	if size := unsafe.Sizeof(Timer{}); size > 40 {
		t.Errorf("Timer has %d bytes", size)
	}
}

// Messages cost no allocation. A turn costs gnet two, for its task queue; with bursts of messages
// that is almost nothing per message.
func TestMessagesDoNotAllocate(t *testing.T) {
	// Not parallel: it counts the allocations of the process.
	e := start(t, Config{Loops: 1})
	nc := dial(t, serve(t, e, funcs{data: echoFrames}, ListenOptions{}))
	const messages = 400
	burst := make([]byte, messages*benchFrame)
	exchange := func() {
		if _, err := nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, burst); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		exchange()
	}
	before := figures(e)[0]
	allocs := testing.AllocsPerRun(200, exchange)
	after := figures(e)[0]
	turns := float64(after.Turns-before.Turns) / 200
	if allocs > 2*turns+1 {
		t.Errorf("%d messages in %.1f turns took %.1f allocations", messages, turns, allocs)
	}
}

// This benchmark measures the path of a message in the engine, without gnet and the kernel.
func TestOutputAndInputDoNotAllocate(t *testing.T) {
	e := start(t, Config{Loops: 1})
	message := make([]byte, 100)
	c, nc := opened(t, e, funcs{data: func(c *Conn, in []byte) int { return len(in) - 10 }}, ConnOptions{})
	go func() { _, _ = io.Copy(io.Discard, nc) }()
	on(t, c.Loop(), func() {
		c.loop.armed = true // avoids gnet's task queue
		defer func() { c.loop.armed = false }()
		allocs := testing.AllocsPerRun(1000, func() {
			for range 10 {
				_ = c.Write(message)
				_ = c.Commit(append(c.Begin(len(message)), message...))
			}
			c.receive(message)
			c.loop.dirty = flushAll(c.loop.dirty)
		})
		if allocs > 0 {
			t.Errorf("%.2f allocations for 20 messages out and one read in", allocs)
		}
	})
}

// A message that does not fit in a buffer gets a larger buffer from the loop, without an
// allocation.
func TestLargeMessagesDoNotAllocate(t *testing.T) {
	e := start(t, Config{Loops: 1})
	c, _ := opened(t, e, funcs{}, ConnOptions{})
	on(t, c.Loop(), func() {
		for _, size := range []int{400, 1000, 10_000} {
			message := make([]byte, size)
			allocs := testing.AllocsPerRun(10, func() {
				for range 10 {
					_ = c.Commit(append(c.Begin(size), message...))
				}
				c.emptied() // as if all was sent
			})
			if allocs > 0 {
				t.Errorf("%.2f allocations for 10 messages of %d bytes", allocs, size)
			}
		}
	})
}

// BenchmarkIdleConn reports the heap cost of an idle connection. It subtracts the client's half of
// each connection.
func BenchmarkIdleConn(b *testing.B) {
	const conns = 8000
	for range b.N {
		e := start(b, Config{})
		ln := serve(b, e, funcs{data: echo}, ListenOptions{})
		empty := heap()
		clients := make([]net.Conn, conns)
		for i := range clients {
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			clients[i] = nc
		}
		eventually(b, "all are open", func() bool { return ln.Stats().Conns == conns })
		for _, nc := range clients { // every connection has been used
			if !alive(nc) {
				b.Fatal("not served")
			}
		}
		both := heap()
		stop(b, e)
		clientsOnly := heap()
		b.ReportMetric(float64(both-clientsOnly)/conns, "B/conn")
		_ = empty
		for _, nc := range clients {
			nc.Close()
		}
	}
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
