package bench_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestPacing has open loops of one and more processes and event loops, with even and uneven shares.
// The due times of all messages form one even grid, and no message arrives before its due time.
func TestPacing(t *testing.T) {
	t.Parallel()
	const rate, window = 200, 500 * time.Millisecond
	bin := proctest.Build(t)
	for _, c := range []struct{ processes, loops, conns int }{
		{1, 1, 8}, {1, 2, 7}, {2, 1, 8}, {2, 2, 7}, {4, 1, 8}, {4, 2, 11},
	} {
		t.Run(fmt.Sprintf("processes=%d/loops=%d/conns=%d", c.processes, c.loops, c.conns), func(t *testing.T) {
			t.Parallel()
			o := bench.Options{
				Mode: bench.Echo, Codec: bench.Text, Rate: rate, Conns: c.conns, Processes: c.processes, Loops: c.loops, Warmup: -1,
				Window: window, Servers: bench.Servers{Binary: bin},
			}
			s := newLiar(t, o, lie{})
			o.Targets = []string{s.ln.Addr().String()}
			r, err := bench.Run(t.Context(), o, nil)
			if err != nil || r.Verdict.Failed {
				t.Fatal(err, r)
			}
			s.stop()
			due := make([]uint32, 0, len(s.marks))
			for _, m := range s.marks {
				due = append(due, m.at)
			}
			slices.Sort(due)
			want := int(rate * window.Seconds())
			if len(due) < want {
				t.Fatalf("%d messages came in %v, and %d were due", len(due), window, want)
			}
			for i, at := range due[:want] { // what is due after the window may be cut off at one part before the other
				if grid := float64(due[0]) + float64(i)*1e6/rate; math.Abs(float64(at)-grid) > 1 {
					t.Errorf("message %d is due at %d µs, and the grid has %.0f", i, at, grid)
					break
				}
			}
			for i, m := range s.marks {
				if due := r.Started.Add(time.Duration(m.at) * time.Microsecond); due.Sub(s.times[i]) > clockError {
					t.Fatalf("a message came %v before it was due", due.Sub(s.times[i]))
				}
			}
		})
	}
}
