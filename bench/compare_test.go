package bench_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// A side is a server in a comparison, and its load.
type side struct {
	name  string
	floor string // the side that it is put in proportion to; empty: none
	load  bench.Options
}

// A figure is a number by which sides are compared.
type figure struct {
	name, unit string
	of         func(*bench.Report) float64
}

var (
	cpu = figure{"cpu", "µs", func(r *bench.Report) (sum float64) { // of all server processes, a message
		for _, s := range r.Servers {
			sum += s.PerMessage
		}
		return sum
	}}
	rate = figure{"rate", "/s", func(r *bench.Report) float64 { return r.Rate }}
	p50  = figure{"p50", "µs", func(r *bench.Report) float64 { return float64(r.Latency.P50) }}
	// late is the median time between the moment a message was due and the moment it was sent.
	late = figure{"late", "µs", func(r *bench.Report) float64 { return float64(r.Lateness.P50) }}
)

// rounds is how often each side runs, in turn.
const rounds = 5

// compare runs all sides in turn, round after round. It prints the median figures of each
// side, and of its ratios to the floor of the same round the median, the lowest and the
// highest. With -v it prints every run.
func compare(b *testing.B, sides []side, figures ...figure) {
	b.Helper()
	runs := make(map[string][]*bench.Report, len(sides))
	for range b.N * rounds {
		for _, s := range sides {
			r := measure(b, s.load)
			runs[s.name] = append(runs[s.name], r)
			b.Log(line(s, r, figures))
		}
	}
	for _, s := range sides {
		for _, f := range figures {
			b.ReportMetric(median(each(runs[s.name], f.of)), s.name+"-"+f.name+"-"+f.unit)
		}
		for i, p := range runs[s.name][0].Servers[1:] { // of several processes, what each but the first took
			b.ReportMetric(median(each(runs[s.name], func(r *bench.Report) float64 { return r.Servers[i+1].PerMessage })),
				s.name+"-"+p.Name+"-cpu-µs")
		}
	}
	for _, s := range sides {
		for _, f := range figures {
			if s.floor == "" {
				continue
			}
			ratios, floor := each(runs[s.name], f.of), each(runs[s.floor], f.of)
			for i := range ratios {
				ratios[i] /= floor[i]
			}
			name := s.name + ":" + s.floor + "-" + f.name
			b.ReportMetric(median(ratios), name)
			b.ReportMetric(slices.Min(ratios), name+"-min")
			b.ReportMetric(slices.Max(ratios), name+"-max")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// measure makes one run. A run that fails ends the benchmark.
func measure(b *testing.B, o bench.Options) *bench.Report {
	b.Helper()
	o.Warmup, o.Window = 500*time.Millisecond, 1500*time.Millisecond
	if o.Rate == 0 {
		// With fewer loops the generator may be slower than a fast server, and the run is invalid.
		o.Loops = runtime.NumCPU()
	}
	r, err := bench.Run(b.Context(), o, nil)
	if err != nil {
		b.Fatal(err)
	}
	if r.Verdict.Failed {
		b.Fatal(r.Verdict.Reasons)
	}
	return r
}

// line formats one run for the log.
func line(s side, r *bench.Report, figures []figure) string {
	text := s.name
	for _, f := range figures {
		text += fmt.Sprintf(" %s %.2f %s", f.name, f.of(r), f.unit)
	}
	for _, p := range r.Servers {
		text += fmt.Sprintf(", %s %.2f cores", p.Name, p.Cores)
	}
	text += fmt.Sprintf(", generator %.2f", r.Own.Cores)
	if !r.Verdict.Valid {
		text += ", INVALID: " + strings.Join(r.Verdict.Reasons, "; ")
	}
	return text
}

func each(runs []*bench.Report, of func(*bench.Report) float64) []float64 {
	v := make([]float64, len(runs))
	for i, r := range runs {
		v[i] = of(r)
	}
	return v
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
