package bench_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice/bench"
	"sluice/internal/proctest"
)

// rounds is how often each side of a comparison runs, in turn.
const rounds = 5

// BenchmarkTwoHop compares the whole path (client, gateway, worker, gateway, client) with a raw gnet echo, which has one hop and no meaning: CPU time
// per message of all server processes, both sides alternating and with as many event loops, 1,000 connections, text lines of 128 bytes. It prints the median of the ratios.
//
//	go test -run '^$' -bench TwoHop -benchtime 1x ./bench
func BenchmarkTwoHop(b *testing.B) {
	bin := proctest.Build(b)
	for _, loops := range []int{1, 2} {
		raw := startRaw(b, loops)
		for _, inFlight := range []int{1, 16} {
			b.Run(fmt.Sprintf("loops=%d/inflight=%d", loops, inFlight), func(b *testing.B) {
				for range b.N {
					compare(b, bench.Options{Codec: bench.Text, Conns: 1000, InFlight: inFlight, Size: 127, Warmup: time.Second, Window: 3 * time.Second},
						bench.Options{Servers: bench.Servers{Binary: bin, Reactors: strconv.Itoa(loops)}},
						bench.Options{Targets: []string{raw.Addrs["text"]}, PIDs: []bench.PID{{Name: "raw", PID: raw.PID}}})
				}
			})
		}
	}
}

// compare runs the load of o against the two-hop path and the raw echo.
func compare(b *testing.B, o, twoHop, raw bench.Options) {
	var ratios, ours, floor, gateway, worker []float64
	for range rounds {
		r, t := measure(b, o, raw), measure(b, o, twoHop)
		floor, ours = append(floor, r[0].PerMessage), append(ours, t[0].PerMessage+t[1].PerMessage)
		gateway, worker = append(gateway, t[0].PerMessage), append(worker, t[1].PerMessage)
		ratios = append(ratios, ours[len(ours)-1]/floor[len(floor)-1])
		b.Logf("raw %.2f µs, two hops %.2f µs of CPU a message", floor[len(floor)-1], ours[len(ours)-1])
	}
	b.ReportMetric(median(floor), "raw-µs/msg")
	b.ReportMetric(median(ours), "twohop-µs/msg")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(gateway), "gateway-µs/msg")
	b.ReportMetric(median(worker), "worker-µs/msg")
	b.ReportMetric(0, "ns/op")
}

// measure runs o against the servers of at and returns what they took.
func measure(b *testing.B, o, at bench.Options) []bench.ProcessUsage {
	b.Helper()
	o.Targets, o.PIDs, o.Servers = at.Targets, at.PIDs, at.Servers
	r, err := bench.Run(b.Context(), o, nil)
	if err != nil {
		b.Fatal(err)
	}
	if r.Verdict.Failed {
		b.Fatal(r.Verdict.Reasons)
	}
	return r.Servers
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
