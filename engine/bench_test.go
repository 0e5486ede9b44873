package engine

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// BenchmarkEcho compares the engine's echo with gnet's own, each in a process of
// its own. What counts is cpu-µs/msg, the server's CPU time: compare pairs from
// alternating runs (-count=5), the machine drifts.
func BenchmarkEcho(b *testing.B) {
	for _, flight := range []int{1, 16} {
		for _, conns := range []int{10, 1000} {
			for _, server := range []string{"gnet", "engine", "engine-framed", "engine-prompt"} {
				b.Run(fmt.Sprintf("conns=%d/P=%d/%s", conns, flight, server), func(b *testing.B) {
					benchEcho(b, server, conns, flight)
				})
			}
		}
	}
}

func benchEcho(b *testing.B, server string, conns, flight int) {
	c := startChild(b, server)
	all := make([]net.Conn, conns)
	for i := range all {
		nc, err := net.Dial("tcp", c.addr)
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		all[i] = nc
	}
	exchange := func(rounds int) {
		var wg sync.WaitGroup
		for _, nc := range all {
			wg.Go(func() {
				burst := make([]byte, flight*benchFrame)
				for range rounds {
					if _, err := nc.Write(burst); err != nil {
						b.Error(err)
						return
					}
					if _, err := io.ReadFull(nc, burst); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	exchange(20)
	rounds := max(1, b.N/(conns*flight))
	before := c.ask()
	b.ResetTimer()
	exchange(rounds)
	b.StopTimer()
	used := c.ask() - before
	b.ReportMetric(used.Seconds()*1e6/float64(rounds*conns*flight), "cpu-µs/msg")
}

// BenchmarkAccept compares what it costs to accept, serve once and close.
func BenchmarkAccept(b *testing.B) {
	for _, server := range []string{"gnet", "engine"} {
		b.Run(server, func(b *testing.B) {
			c := startChild(b, server)
			before := c.ask()
			var wg sync.WaitGroup
			const dialers = 8
			for range dialers {
				wg.Go(func() {
					for range b.N / dialers {
						nc, err := net.Dial("tcp", c.addr)
						if err != nil {
							b.Error(err)
							return
						}
						if !alive(nc) {
							b.Error("not served")
						}
						_ = nc.(*net.TCPConn).SetLinger(0) // leaves no TIME_WAIT
						nc.Close()
					}
				})
			}
			wg.Wait()
			used := c.ask() - before
			b.ReportMetric(used.Seconds()*1e6/float64(b.N), "cpu-µs/conn")
		})
	}
}
