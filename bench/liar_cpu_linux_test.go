package bench_test

import (
	"testing"
	"time"

	"sluice/bench"
	"sluice/internal/proc"
	"sluice/internal/proctest"
)

// TestCPU holds the CPU time that a report says of a server against what the system says of that process before and after the run: it is a part of it, and without a warm-up most of it.
func TestCPU(t *testing.T) {
	t.Parallel()
	p := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0")
	o := bench.Options{Mode: bench.Echo, Codec: bench.Text, Conns: 8, InFlight: 4, Loops: 1, Warmup: -1, Window: time.Second, Targets: []string{p.Addrs["text"]}, PIDs: []bench.PID{{Name: "echo", PID: p.PID}}}
	before := proc.CPUTime(p.PID)
	r, err := bench.Run(t.Context(), o, nil)
	after := proc.CPUTime(p.PID)
	if err != nil || r.Verdict.Failed {
		t.Fatal(err, r)
	}
	own, said := (after - before).Seconds(), r.Servers[0].CPU
	if own < 0.05 {
		t.Fatalf("the server has taken %.2f s", own)
	}
	if said > own+1e-6 || said < own*0.7-0.05 { // connections come before the window, and the last answers after it
		t.Errorf("the report says that the server has taken %.2f s in the window, and of the whole run it is %.2f s", said, own)
	}
	if each := r.Servers[0].PerMessage * float64(r.Messages) / 1e6; each > own+1e-6 || each < said-1e-6 {
		t.Errorf("%.3f µs for each of %d messages are %.2f s, and the server has taken %.2f s", r.Servers[0].PerMessage, r.Messages, each, own)
	}
}
