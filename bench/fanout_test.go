package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"sluice/bench"
	"sluice/internal/proctest"
)

// BenchmarkFanOut compares a broadcast to 1,000 clients, in text lines and in WebSocket, with a loop of write(2): CPU time per delivery of all server processes.
//
//	go test -run '^$' -bench FanOut/loops=1 -benchtime 1x ./bench
func BenchmarkFanOut(b *testing.B) {
	bin, floor := proctest.Build(b), startFloor(b)
	for _, loops := range []int{1, 2} {
		for _, inFlight := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("loops=%d/inflight=%d", loops, inFlight), func(b *testing.B) {
				o := bench.Options{Mode: bench.Broadcast, InFlight: inFlight}
				sides := []side{
					rawSide("floor", o, floor),
					sluiceSide("text", "floor", o, bench.Text, bin, loops),
					sluiceSide("ws", "floor", o, bench.WebSocket, bin, loops),
				}
				compare(b, sides, cpu)
			})
		}
	}
}

// startFloor starts the floor of a fan-out.
func startFloor(tb testing.TB) *proctest.Process {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("SKIPPED: the floor of a fan-out needs epoll(7)")
	}
	return proctest.Start(tb, []string{floorEnv + "=1"}, os.Args[0])
}

// TestFanOutFloor has the floor serve broadcasts of two senders: what a comparison with it says is worth nothing if it loses or repeats one.
func TestFanOutFloor(t *testing.T) {
	t.Parallel()
	floor := rawSide("floor", short(bench.Options{Mode: bench.Broadcast, InFlight: 3, Senders: 2}), startFloor(t))
	if r := run(t, floor.load); r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
		t.Errorf("%d messages, %+v", r.Messages, r.Audit)
	}
}
