package bench_test

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestCPU compares the CPU time of a server in a report with that of the process over the whole
// run: it is a part of it, and without a warm-up most of it. The run ends as soon as the server has
// used enough to tell, however busy the machine is.
func TestCPU(t *testing.T) {
	t.Parallel()
	const enough = 200 * time.Millisecond
	p := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0")
	o := bench.Options{
		Mode: bench.Echo, Codec: bench.Text, Conns: 8, InFlight: 4, Loops: 1, Warmup: -1, Window: time.Minute,
		Targets: []string{p.Addrs["text"]}, PIDs: []bench.PID{{Name: "echo", PID: p.PID}},
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	before := procfs.CPUTime(p.PID)
	taken := func() time.Duration { return procfs.CPUTime(p.PID) - before }
	r, err := bench.Run(ctx, o, func(bench.Interval) {
		if taken() >= enough {
			end()
		}
	})
	own := taken()
	if r == nil || r.Verdict.Failed || own < enough {
		t.Fatalf("the server has taken %v: %v, %+v", own, err, r)
	}
	said := r.Servers[0].CPU
	// Connections are opened before the window, and the last answers are sent after it.
	if said > own.Seconds()+1e-6 || said < own.Seconds()*0.7-0.05 {
		t.Errorf("the report says that the server has taken %.2f s in the window, and of the whole run it is %v", said, own)
	}
	if all := r.Servers[0].PerMessage * float64(r.Messages) / 1e6; all > own.Seconds()+1e-6 || all < said-1e-6 {
		t.Errorf("%.3f µs for each of %d messages are %.2f s, and the server has taken %v",
			r.Servers[0].PerMessage, r.Messages, all, own)
	}
}
