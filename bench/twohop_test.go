package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A load is what a sub-benchmark makes on each side.
type load struct {
	name string
	bench.Options
}

// BenchmarkTwoHop compares the whole path (client, gateway, worker, gateway, client), in text
// lines and in WebSocket, with a raw gnet echo of lines, which has one hop and no messages: CPU
// time per message of all server processes, with as many event loops on both sides, 1,000
// connections, and payloads of 128 bytes.
//
//	go test -run '^$' -bench TwoHop -benchtime 1x ./bench
func BenchmarkTwoHop(b *testing.B) {
	twoHops(b, []int{1, 2}, []load{
		{"inflight=1", bench.Options{InFlight: 1}},
		{"inflight=16", bench.Options{InFlight: 16}},
	}, cpu)
}

// BenchmarkPayload does the same with a short and a long payload.
//
//	go test -run '^$' -bench Payload -benchtime 1x ./bench
func BenchmarkPayload(b *testing.B) {
	twoHops(b, []int{1}, []load{
		{"payload=16/inflight=1", bench.Options{Size: 16, InFlight: 1}},
		{"payload=16/inflight=16", bench.Options{Size: 16, InFlight: 16}},
		{"payload=1024/inflight=1", bench.Options{Size: 1024, InFlight: 1}},
		{"payload=1024/inflight=16", bench.Options{Size: 1024, InFlight: 16}},
	}, cpu)
}

// BenchmarkHops shows what any second hop costs, and what sluice adds: beside the raw echo there
// is a forwarder that only forwards (hopsFloor).
//
//	go test -run '^$' -bench Hops -benchtime 1x ./bench
func BenchmarkHops(b *testing.B) {
	const loops = 1
	bin, raw := proctest.Build(b), startRaw(b, loops)
	hops, peer := startHops(b)
	for _, size := range []int{128, 1024} {
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("payload=%d/inflight=%d", size, inFlight), func(b *testing.B) {
				o := bench.Options{Size: size, InFlight: inFlight}
				compare(b, []side{
					serverSide("raw", o, bench.Text, raw),
					hopsSide("raw", o, hops, peer),
					sluiceSide("text", "hops", o, bench.Text, bin, loops),
				}, cpu)
			})
		}
	}
}

// BenchmarkFewClients does the same with ten clients and one message of each: nothing can be
// batched.
//
//	go test -run '^$' -bench FewClients -benchtime 1x ./bench
func BenchmarkFewClients(b *testing.B) {
	twoHops(b, []int{1, 2}, []load{{"clients=10", bench.Options{Conns: 10}}}, cpu)
}

// BenchmarkLatency compares the latency of an open loop, from when a message was due.
//
//	go test -run '^$' -bench Latency -benchtime 1x ./bench
func BenchmarkLatency(b *testing.B) {
	twoHops(b, []int{1, 2}, []load{
		{"rate=2k", bench.Options{Rate: 2000}},
		{"rate=10k", bench.Options{Rate: 10_000}},
	}, p50, late)
}

// BenchmarkConnect compares connections that are accepted, echo one message and are closed: CPU
// time of all server processes, and connections per second. The generator dials from the same
// processors, so the second figure is also its own.
//
//	go test -run '^$' -bench Connect -benchtime 1x ./bench
func BenchmarkConnect(b *testing.B) {
	twoHops(b, []int{1, 2}, []load{{"echoes=1", bench.Options{Mode: bench.Connect}}}, cpu, rate)
}

// twoHops compares the whole path with the raw echo under every load.
func twoHops(b *testing.B, loops []int, loads []load, figures ...figure) {
	bin := proctest.Build(b)
	for _, n := range loops {
		raw := startRaw(b, n)
		for _, l := range loads {
			b.Run(fmt.Sprintf("loops=%d/%s", n, l.name), func(b *testing.B) {
				sides := []side{
					serverSide("raw", l.Options, bench.Text, raw),
					sluiceSide("text", "raw", l.Options, bench.Text, bin, n),
					sluiceSide("ws", "raw", l.Options, bench.WebSocket, bin, n),
				}
				compare(b, sides, figures...)
			})
		}
	}
}

// BenchmarkManyClients compares the cost of a message with 15,000 and with 1,000 clients, on the
// whole path and, for the part of the machine, on a raw gnet echo.
//
//	go test -run '^$' -bench ManyClients -benchtime 1x ./bench
func BenchmarkManyClients(b *testing.B) {
	const loops = 1
	bin, raw := proctest.Build(b), startRaw(b, loops)
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			few, many := bench.Options{Conns: 1000, InFlight: inFlight}, bench.Options{Conns: 15_000, InFlight: inFlight}
			sides := []side{
				serverSide("raw-1k", few, bench.Text, raw),
				serverSide("raw-15k", many, bench.Text, raw),
				sluiceSide("text-1k", "raw-1k", few, bench.Text, bin, loops),
				sluiceSide("text-15k", "text-1k", many, bench.Text, bin, loops),
			}
			sides[1].floor = sides[0].name
			compare(b, sides, cpu)
		})
	}
}

// serverSide is a server of one process that is already running.
func serverSide(name string, o bench.Options, c bench.Codec, p *proctest.Process) side {
	o.Codec, o.Targets, o.PIDs = c, []string{p.Addrs[string(c)]}, []bench.PID{{Name: name, PID: p.PID}}
	return side{name: name, load: o}
}

// sluiceSide is a gateway and a worker, started for each run.
func sluiceSide(name, floor string, o bench.Options, c bench.Codec, bin string, loops int) side {
	o.Codec, o.Servers = c, bench.Servers{Binary: bin, Reactors: strconv.Itoa(loops)}
	return side{name: name, floor: floor, load: o}
}

// startHops starts the two processes of the floor of two hops.
func startHops(tb testing.TB) (hops, peer *proctest.Process) {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("NOT TESTED: the floor of two hops needs epoll(7)")
	}
	hops = proctest.Start(tb, []string{hopsEnv + "=1"}, os.Args[0])
	return hops, proctest.Start(tb, []string{peerEnv + "=" + hops.Addrs["peer"]}, os.Args[0])
}

func hopsSide(floor string, o bench.Options, hops, peer *proctest.Process) side {
	s := serverSide("hops", o, bench.Text, hops)
	s.floor, s.load.PIDs = floor, append(s.load.PIDs, bench.PID{Name: "peer", PID: peer.PID})
	return s
}

// TestHopsFloor sends more than fits the buffers of the floor. A comparison with it is worthless
// if it loses or repeats messages.
func TestHopsFloor(t *testing.T) {
	t.Parallel()
	hops, peer := startHops(t)
	o := short(bench.Options{InFlight: 64})
	o.Size = 2048
	if r := run(t, hopsSide("", o, hops, peer).load); r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
		t.Errorf("%d messages, %+v", r.Messages, r.Audit)
	}
}
