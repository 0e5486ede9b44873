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

// Many connections that end at random points of their handshake leave no goroutine, file
// descriptor, session or memory behind. The test is not parallel, because it measures the whole
// process. The test of the same name in e2e/abuse measures real processes.
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
			return s.Accepted+s.Listeners[0].Failed == uint64(began) && ends == s.Accepted && s.Clients == 0 &&
				s.Listeners[0].Conns == 0
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
	// of gnet's pool that registers connections: as many as were registered at once, which the
	// engine bounds
	const spare = 512
	wait(t, "no goroutine and no descriptor left", func() bool {
		return runtime.NumGoroutine() <= goroutines+spare && len(leaktest.Descriptors()) <= files
	})
	if grown := heap() - memory; grown > 1<<20 {
		t.Errorf("the heap grew by %d KB", grown>>10)
	}
}
