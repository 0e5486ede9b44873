package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/significance"
)

// compared is a row of a comparison. NaN stands for what was not measured.
type compared struct {
	name   string
	show   func(float64) string
	of     func(*bench.Report) float64
	at     func(bench.Interval) float64 // the same of an interval; nil: intervals do not have it
	higher bool                         // more is better
}

// Compare writes the figures of b's runs against those of a's: the median of each side, the change,
// and a word. A side is one run or more of one load.
//
// A percentage needs a figure that both sides measured, with the same load on the same processors.
// A word also needs that no run is FAILED, INTERRUPTED or INVALID. From 3 runs a side
// significance.Differ decides over the runs. With fewer, significance.Apart decides over the
// intervals of their timelines; figures that intervals do not have get no word. Less than 1 % is no
// difference.
func Compare(w io.Writer, a, b []*bench.Report) error {
	var out strings.Builder
	for i, side := range [][]*bench.Report{a, b} {
		for j, r := range side {
			name, verdict := unless(j > 0, string(rune('A'+i))), unless(Verdict(r) == "OK", "  "+Verdict(r))
			fmt.Fprintf(&out, "%-2s %s  %s%s\n", name, r.Started.Format("2006-01-02 15:04"), titleOf(r), verdict)
		}
	}
	out.WriteByte('\n')
	unlike, others := differences(a, b)
	bad := slices.Concat(reasons("A", a), reasons("B", b))
	rows := [][]string{{"", "A", "±", "B", "±", "change", ""}}
	for _, f := range comparedFigures(a) {
		if row := f.row(a, b, len(unlike) == 0, len(bad) == 0); row != nil {
			rows = append(rows, row)
		}
	}
	table(&out, rows...)
	of := "run from the median"
	if min(len(a), len(b)) < significance.Few {
		of = fmt.Sprintf("interval of a run from the median. To see how runs differ, compare %d a side or more",
			significance.Few)
	}
	fmt.Fprintf(&out, "\n± is the distance of the farthest %s\n", of)
	for _, list := range []struct {
		head  string
		lines []string
	}{
		{"These are not comparable:", unlike},
		{"Nothing is called better or worse, because:", bad},
		{"These differ:", others},
	} {
		if len(list.lines) > 0 {
			fmt.Fprintf(&out, "\n%s\n  %s\n", list.head, strings.Join(list.lines, "\n  "))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// reasons are those of the runs of a side that are not OK.
func reasons(name string, runs []*bench.Report) (all []string) {
	for i, r := range runs {
		if v := Verdict(r); v != "OK" {
			number := unless(len(runs) == 1, fmt.Sprintf(", run %d,", i+1))
			all = append(all, clean(fmt.Sprintf("%s%s is %s: %s", name, number, v, strings.Join(r.Verdict.Reasons, "; "))))
		}
	}
	return all
}

// comparedFigures are those of the runs, and of each process of side a.
func comparedFigures(a []*bench.Report) (all []compared) {
	mode := a[0].Options.Mode
	cpuOf := func(cores float64, m bench.Interval) float64 { // as serverCPU
		if mode == bench.Idle {
			return cores * 1e6 / float64(m.Open)
		}
		return cores * 1e6 / m.Rate()
	}
	field := func(name string) func(bench.Interval) float64 {
		return func(m bench.Interval) float64 { return measured(lookup(m, name)) }
	}
	intervals := map[string]func(bench.Interval) float64{
		"rate": bench.Interval.Rate, "p50": field("P50"), "p99": field("P99"), "max": field("Max"),
		"cpu": func(m bench.Interval) float64 { return cpuOf(serverCores(m), m) },
	}
	titles := map[string]string{"rate": mode.Units() + " a second", "cpu": cpuEach(mode) + ", all servers"}
	for _, name := range []string{"rate", "p50", "p90", "p99", "p99.9", "max", "errors", "cpu"} {
		f, _ := figureOf(name)
		c := compared{cmp.Or(titles[name], name), f.words, f.value, intervals[name], name == "rate"}
		if name != "errors" { // 0 errors is a measurement
			c.of = func(r *bench.Report) float64 { return measured(f.value(r)) }
		}
		all = append(all, c)
	}
	for _, p := range a[0].Servers {
		of := func(value func(*bench.Report) float64) func(*bench.Report) float64 {
			return func(r *bench.Report) float64 {
				i := slices.IndexFunc(r.Servers, func(q bench.ProcessUsage) bool { return q.Name == p.Name })
				if i < 0 {
					return math.NaN()
				}
				return measured(value(only(r.Servers[i])))
			}
		}
		cpu := func(m bench.Interval) float64 { return cpuOf(m.CPU[p.Name], m) }
		name := ", " + clean(p.Name)
		all = append(all, compared{cpuEach(mode) + name, cpuTime, of(serverCPU), cpu, false},
			compared{"memory a connection" + name, sizeOf, of(sum("PerConn")), nil, false})
	}
	return all
}

// measured turns 0, which stands for "not measured" in a report, into NaN.
func measured(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// row shows the figure of both sides; nil if there is nothing to show. same says that the runs made
// the same load, good that all of them are OK.
func (f compared) row(a, b []*bench.Report, same, good bool) []string {
	x, y := f.each(a), f.each(b)
	nonzero := func(v float64) bool { return v != 0 }
	if !slices.ContainsFunc(slices.Concat(x, y), nonzero) {
		return nil
	}
	differ, among := significance.Differ, [2][]float64{x, y}
	if min(len(a), len(b)) < significance.Few {
		// The intervals of a run depend on each other: a test must not take them for runs.
		differ, among = significance.Apart, [2][]float64{f.intervals(a), f.intervals(b)}
	}
	before, after := significance.Median(x), significance.Median(y)
	row := []string{f.name}
	for i, v := range []float64{before, after} {
		row = append(row, unless(math.IsNaN(v), f.show(v)), deviation(among[i]))
	}
	switch {
	case math.IsNaN(before + after):
		return append(row, "not measured in both", "")
	case !same:
		return append(row, "", "")
	case min(slices.Min(x), slices.Min(y)) < 0:
		return append(row, "not comparable", "")
	}
	change := after/before - 1
	row = append(row, unless(before == 0, fmt.Sprintf("%+.1f %%", 100*change)))
	switch {
	case !good || min(len(among[0]), len(among[1])) < significance.Few:
		return append(row, "")
	case !differ(among[0], among[1]), math.Abs(change) < 0.01:
		return append(row, "no difference")
	case after > before == f.higher:
		return append(row, "better")
	}
	return append(row, "worse")
}

// each returns the figure of each run; nothing if one of them did not measure it.
func (f compared) each(runs []*bench.Report) (all []float64) {
	for _, r := range runs {
		v := f.of(r)
		if math.IsNaN(v) {
			return nil
		}
		all = append(all, v)
	}
	return all
}

// intervals returns the figure of each interval after the warm-up, which ends at 0.
func (f compared) intervals(runs []*bench.Report) (all []float64) {
	for _, r := range runs {
		for _, m := range r.Timeline {
			if f.at == nil || m.At < m.Seconds/2 {
				continue
			}
			if v := f.at(m); !math.IsNaN(v) && !math.IsInf(v, 0) { // CPU time where nothing arrived
				all = append(all, v)
			}
		}
	}
	return all
}

// deviation is how far the farthest value is from the median, in
// percent; empty where it means nothing.
func deviation(v []float64) string {
	m := significance.Median(v)
	if len(v) < 2 || !(m > 0) {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*max(slices.Max(v)-m, m-slices.Min(v))/m)
}
