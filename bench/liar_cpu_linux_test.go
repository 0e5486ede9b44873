package bench_test

import (
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestCPU compares the CPU time of a server in a report with that of the process over the whole
// run: it is a part of it, and without a warm-up most of it. If the machine is so busy that the
// server used almost nothing, the run is repeated with more time.
func TestCPU(t *testing.T) {
	t.Parallel()
	p := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0")
	o := bench.Options{Mode: bench.Echo, Codec: bench.Text, Conns: 8, InFlight: 4, Loops: 1, Warmup: -1, Window: time.Second, Targets: []string{p.Addrs["text"]}, PIDs: []bench.PID{{Name: "echo", PID: p.PID}}}
	for range 3 {
		before := procfs.CPUTime(p.PID)
		r, err := bench.Run(t.Context(), o, nil)
		own := (procfs.CPUTime(p.PID) - before).Seconds()
		if err != nil || r.Verdict.Failed {
			t.Fatal(err, r)
		}
		if own < 0.2 {
			o.Window *= 3
			continue
		}
		said := r.Servers[0].CPU
		if said > own+1e-6 || said < own*0.7-0.05 { // connections come before the window, and the last answers after it
			t.Errorf("the report says that the server has taken %.2f s in the window, and of the whole run it is %.2f s", said, own)
		}
		if all := r.Servers[0].PerMessage * float64(r.Messages) / 1e6; all > own+1e-6 || all < said-1e-6 {
			t.Errorf("%.3f µs for each of %d messages are %.2f s, and the server has taken %.2f s", r.Servers[0].PerMessage, r.Messages, all, own)
		}
		return
	}
	t.Fatal("the server has taken no time")
}
