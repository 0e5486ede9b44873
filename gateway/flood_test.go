package gateway_test

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

// A flood of connections that end at any point of their handshake leaves no goroutine, no descriptor, no session and no memory. The test runs beside no other, for it looks at the
// whole process; real processes are looked at in the test of the same name in e2e/abuse.
func TestConnectionFlood(t *testing.T) {
	g, _ := start(t, ws(gateway.ListenerConfig{}))
	request := codec.AppendUpgrade(nil, "gateway.example", "/", codec.NewKey(), &codec.DialOptions{})
	began := 0
	flood := func(n int) {
		for i := range n {
			conn, err := net.Dial("tcp", hostport(g.Addrs()[0]))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(request[:i%(len(request)+1)])
			if i%(len(request)+1) == len(request) {
				_, _ = io.ReadFull(conn, make([]byte, 1))
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
		began += n
		wait(t, "all gone", func() bool {
			s := g.Stats()
			ends := uint64(0)
			for _, n := range s.ClosesByReason {
				ends += n
			}
			return s.Accepted+s.Listeners[0].Failed == uint64(began) && ends == s.Accepted && s.Clients == 0 && s.Listeners[0].Conns == 0
		})
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	flood(1000)
	goroutines, files, memory := runtime.NumGoroutine(), len(leaktest.Descriptors()), heap()
	flood(3000)
	const spare = 512 // of the pool in gnet that enrols connections: it has as many as were on their way at once, and the engine lets no more be
	wait(t, "no goroutine and no descriptor left", func() bool {
		return runtime.NumGoroutine() <= goroutines+spare && len(leaktest.Descriptors()) <= files
	})
	if grown := heap() - memory; grown > 1<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
}
