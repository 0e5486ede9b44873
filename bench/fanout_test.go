package bench_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// BenchmarkFanOut compares a broadcast to 1,000 clients, in text lines and in WebSocket, with a
// loop of write(2): CPU time per delivery of all server processes.
//
//	go test -run '^$' -bench FanOut/loops=1 -benchtime 1x ./bench
func BenchmarkFanOut(b *testing.B) {
	bin, lines, frames := proctest.Build(b), startFloor(b, bench.Text), startFloor(b, bench.WebSocket)
	for _, loops := range []int{1, 2} {
		for _, inFlight := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("loops=%d/inflight=%d", loops, inFlight), func(b *testing.B) {
				o := bench.Options{Mode: bench.Broadcast, InFlight: inFlight}
				sides := []side{
					serverSide("text-floor", o, bench.Text, lines),
					sluiceSide("text", "text-floor", o, bench.Text, bin, loops),
					serverSide("ws-floor", o, bench.WebSocket, frames),
					sluiceSide("ws", "ws-floor", o, bench.WebSocket, bin, loops),
				}
				compare(b, sides, cpu)
			})
		}
	}
}

// startFloor starts the floor of a fan-out.
func startFloor(tb testing.TB, c bench.Codec) *proctest.Process {
	tb.Helper()
	if runtime.GOOS != "linux" {
		tb.Skip("NOT TESTED: the floor of a fan-out needs epoll(7)")
	}
	return proctest.Start(tb, []string{floorEnv + "=" + string(c)}, os.Args[0])
}

// TestFanOutFloor runs broadcasts of two senders on the floor. A comparison with it is worthless
// if it loses or repeats messages.
func TestFanOutFloor(t *testing.T) {
	t.Parallel()
	for _, c := range []bench.Codec{bench.Text, bench.WebSocket} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			o := short(bench.Options{Mode: bench.Broadcast, InFlight: 3, Senders: 2})
			floor := serverSide("floor", o, c, startFloor(t, c))
			if r := run(t, floor.load); r.Messages == 0 || r.Audit.Received != r.Audit.Expected {
				t.Errorf("%d messages, %+v", r.Messages, r.Audit)
			}
		})
	}
}
