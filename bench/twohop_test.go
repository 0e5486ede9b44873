package bench_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/bench"
	"sluice/internal/proctest"
)

// rounds is how often each side of a comparison runs, in turn.
const rounds = 3

// BenchmarkTwoHop compares the whole path (client, gateway, worker, gateway, client) with a raw gnet echo, which has one hop and no meaning: CPU time
// per message of all server processes, both sides alternating, 1,000 connections, text lines of 128 bytes. It prints the median of the ratios.
//
//	go test -run '^$' -bench TwoHop -benchtime 1x ./bench
func BenchmarkTwoHop(b *testing.B) {
	bin := proctest.Build(b)
	gw := proctest.Start(b, nil, bin, "gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
	wk := proctest.Start(b, nil, bin, "echo", "--worker", "--gateway", gw.Addrs["inner"])
	raw := startRaw(b)
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			for range b.N {
				compare(b,
					bench.ClosedLoop{Addr: gw.Addrs["text"], Conns: 1000, InFlight: inFlight, Size: 127, Procs: []int{gw.PID, wk.PID}},
					bench.ClosedLoop{Addr: raw.Addrs["text"], Conns: 1000, InFlight: inFlight, Size: 127, Procs: []int{raw.PID}})
			}
		})
	}
}

func compare(b *testing.B, twoHop, raw bench.ClosedLoop) {
	var ratios, ours, floor []float64
	var parts [2]time.Duration
	for range rounds {
		r, err := raw.Run(b.Context(), time.Second, 3*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		t, err := twoHop.Run(b.Context(), time.Second, 3*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		floor = append(floor, float64(r.PerMessage().Nanoseconds())/1e3)
		ours = append(ours, float64(t.PerMessage().Nanoseconds())/1e3)
		ratios = append(ratios, ours[len(ours)-1]/floor[len(floor)-1])
		for i, d := range t.CPU {
			parts[i] += d / time.Duration(t.Messages) / rounds
		}
		b.Logf("raw %.2f µs, two hops %.2f µs of CPU a message (%.0f and %.0f messages a second)", floor[len(floor)-1], ours[len(ours)-1],
			float64(r.Messages)/r.Elapsed.Seconds(), float64(t.Messages)/t.Elapsed.Seconds())
	}
	b.ReportMetric(median(floor), "raw-µs/msg")
	b.ReportMetric(median(ours), "twohop-µs/msg")
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(float64(parts[0].Nanoseconds())/1e3, "gateway-µs/msg")
	b.ReportMetric(float64(parts[1].Nanoseconds())/1e3, "worker-µs/msg")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
