package engine

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkEcho compares the engine's echo with gnet's own by the CPU time of the servers. Each
// runs in its own process. They run alternately for a fraction of a second, because the speed of
// the machine changes. It reports the median of each and of the ratios to gnet. -benchtime=30x
// makes 30 rounds.
func BenchmarkEcho(b *testing.B) {
	for _, flight := range []int{1, 16} {
		for _, conns := range []int{10, 1000} {
			b.Run(fmt.Sprintf("conns=%d/P=%d", conns, flight), func(b *testing.B) {
				servers := []*echoServer{}
				for _, task := range []string{"gnet", "engine", "engine-framed"} {
					servers = append(servers, newEchoServer(b, task, conns, flight))
				}
				rounds := max(1, 20_000*min(flight, 8)/(conns*flight))
				for range b.N {
					for _, s := range servers {
						s.measure(b, rounds)
					}
				}
				b.ReportMetric(0, "ns/op")
				for _, s := range servers {
					b.ReportMetric(median(s.used), s.task+"-cpu-µs/msg")
					ratios := make([]float64, len(s.used))
					for i := range ratios {
						ratios[i] = s.used[i] / servers[0].used[i]
					}
					b.ReportMetric(median(ratios), s.task+"-ratio")
				}
			})
		}
	}
}

// echoServer is a child process and the connections to it.
type echoServer struct {
	task   string
	child  child
	flight int
	conns  []net.Conn
	used   []float64 // CPU time in us per message, by round
}

func newEchoServer(b *testing.B, task string, conns, flight int) *echoServer {
	s := &echoServer{task: task, child: startChild(b, task), flight: flight}
	for range conns {
		nc, err := net.Dial("tcp", s.child.addr)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
		s.conns = append(s.conns, nc)
	}
	s.exchange(b, 20)
	return s
}

func (s *echoServer) measure(b *testing.B, rounds int) {
	before := s.child.ask()
	s.exchange(b, rounds)
	used := s.child.ask() - before
	s.used = append(s.used, used.Seconds()*1e6/float64(rounds*len(s.conns)*s.flight))
}

func (s *echoServer) exchange(b *testing.B, rounds int) {
	var wg sync.WaitGroup
	for _, nc := range s.conns {
		wg.Go(func() {
			burst := make([]byte, s.flight*benchFrame)
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

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkAccept compares the cost of accepting, serving once and closing.
func BenchmarkAccept(b *testing.B) {
	for _, server := range []string{"gnet", "engine"} {
		b.Run(server, func(b *testing.B) {
			c := startChild(b, server)
			before, begin := c.ask(), time.Now()
			const dialers = 8
			each := max(1, b.N/dialers)
			var wg sync.WaitGroup
			for range dialers {
				wg.Go(func() {
					for range each {
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
			took, used := time.Since(begin), c.ask()-before
			b.ReportMetric(used.Seconds()*1e6/float64(each*dialers), "cpu-µs/conn")
			b.ReportMetric(float64(each*dialers)/took.Seconds(), "conns/s")
		})
	}
}
