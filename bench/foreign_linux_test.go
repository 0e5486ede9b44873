package bench_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestRunBesideBusyProgram runs beside a program that takes a quarter of the machine. The run is
// INVALID and reports that CPU time, if the server process is known.
func TestRunBesideBusyProgram(t *testing.T) {
	t.Parallel()
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "frame://127.0.0.1:0")
	proctest.Start(t, []string{busyEnv + "=1"}, os.Args[0])
	o := bench.Options{
		Codec: bench.Frame, Conns: 2, Rate: 100, Warmup: -1, Window: 1200 * time.Millisecond,
		Targets: []string{server.Addrs["frame"]},
	}
	blamed := func() bool {
		r, err := bench.Run(t.Context(), o, nil)
		if err != nil || r.Verdict.Failed || r.Foreign == nil {
			t.Fatal(err, r)
		}
		most := float64(r.Foreign.CPUs) * 1.05 // ticks
		if r.Foreign.Cores < float64(r.Foreign.CPUs)*0.1 || r.Foreign.Cores > most ||
			r.Foreign.Servers != (len(o.PIDs) == 0) {
			t.Errorf("%+v", r.Foreign)
		}
		is := slices.ContainsFunc(r.Verdict.Reasons,
			func(s string) bool { return strings.HasPrefix(s, "other programs kept ") })
		if is && r.Verdict.Valid {
			t.Errorf("%+v", r.Verdict)
		}
		return is
	}
	if blamed() {
		t.Error("the other program may be the server, and the run is INVALID for it")
	}
	o.PIDs = []bench.PID{{Name: "echo", PID: server.PID}}
	if !blamed() {
		t.Error("another program keeps a quarter of the machine busy, and the run is not INVALID for it")
	}
}
