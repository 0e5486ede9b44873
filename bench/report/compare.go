package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/stat"
)

// figure is a row of a comparison. NaN is what was not measured.
type figure struct {
	name         string
	show         func(float64) string
	of           func(*bench.Report) float64
	at           func(bench.Interval) float64 // the same of an interval; nil: intervals do not have it
	moreIsBetter bool
}

// alike is a change that is no difference, however sure it is: less than 1 %.
const alike = 0.01

// Compare writes the figures of b's runs against those of a's, the median of each side, and says which are better and which worse. Each side is one run or more of one load.
//
// A figure has a word only where both sides measured it, all their runs made the same load on the same processors and none of them is FAILED, INTERRUPTED or INVALID. From
// 3 runs a side stat.Differ decides over the runs. With fewer it is the intervals of their timelines: their medians must be further apart than both sides together are wide, as
// stat.Apart says; figures that intervals do not have get no word. Less than 1 % is no difference. Runs of different loads have no percentages either.
func Compare(w io.Writer, a, b []*bench.Report) error {
	var out strings.Builder
	for i, side := range [][]*bench.Report{a, b} {
		for j, r := range side {
			fmt.Fprintf(&out, "%-2s %s  %s%s\n", unless(j > 0, string(rune('A'+i))), r.Started.Format("2006-01-02 15:04"), Title(r), unless(Verdict(r) == "OK", "  "+Verdict(r)))
		}
	}
	out.WriteByte('\n')
	unlike, others := differences(a, b)
	bad := slices.Concat(reasons("A", a), reasons("B", b))
	rows := [][]string{{"", "A", "±", "B", "±", "change", ""}}
	for _, f := range figures(a) {
		if row := f.row(a, b, len(unlike) == 0, len(bad) == 0); row != nil {
			rows = append(rows, row)
		}
	}
	table(&out, rows...)
	of := "run from the median"
	if min(len(a), len(b)) < stat.Few {
		of = fmt.Sprintf("interval from the median, for a side has fewer than %d runs: how runs differ is not in it", stat.Few)
	}
	fmt.Fprintf(&out, "\n± is the farthest %s\n", of)
	for _, list := range []struct {
		head  string
		lines []string
	}{{"These are not comparable:", unlike}, {"Nothing is called better or worse, because:", bad}, {"These differ:", others}} {
		if len(list.lines) > 0 {
			fmt.Fprintf(&out, "\n%s\n  %s\n", list.head, strings.Join(list.lines, "\n  "))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// reasons are those of the runs of a side that did not go well.
func reasons(name string, runs []*bench.Report) (all []string) {
	for i, r := range runs {
		if v := Verdict(r); v != "OK" {
			number := unless(len(runs) == 1, fmt.Sprintf(", run %d,", i+1))
			all = append(all, clean(fmt.Sprintf("%s%s is %s: %s", name, number, v, strings.Join(r.Verdict.Reasons, "; "))))
		}
	}
	return all
}

// figures are those of the runs as a whole, and what each process took.
func figures(a []*bench.Report) (all []figure) {
	mode := a[0].Options.Mode
	each := func(cores float64, m bench.Interval) float64 { // CPU time, as cpuEach says
		if mode == bench.Idle {
			return cores * 1e6 / float64(m.Open)
		}
		return cores * 1e6 / m.Rate()
	}
	intervals := map[string]func(bench.Interval) float64{
		"rate": bench.Interval.Rate, "p50": func(m bench.Interval) float64 { return measured(float64(m.P50)) }, "p99": func(m bench.Interval) float64 { return measured(float64(m.P99)) },
		"max": func(m bench.Interval) float64 { return measured(float64(m.Max)) }, "cpu": func(m bench.Interval) float64 { return each(serverCores(m), m) },
	}
	titles := map[string]string{"rate": mode.Units() + " a second", "cpu": cpuEach(mode) + ", all servers"}
	for _, name := range []string{"rate", "p50", "p90", "p99", "p99.9", "max", "errors", "cpu"} {
		m, _ := metrics(name)
		f := figure{cmp.Or(titles[name], name), m.words, m.value, intervals[name], name == "rate"}
		if name != "errors" { // none of which is a figure, too
			f.of = func(r *bench.Report) float64 { return measured(m.value(r)) }
		}
		all = append(all, f)
	}
	for _, p := range a[0].Servers {
		name := ", " + clean(p.Name)
		all = append(all,
			figure{cpuEach(mode) + name, cpuTime, func(r *bench.Report) float64 { return measured(cpuOf(usage(r, p.Name))) }, func(m bench.Interval) float64 { return each(m.CPU[p.Name], m) }, false},
			figure{"memory a connection" + name, Size, func(r *bench.Report) float64 { return measured(usage(r, p.Name).PerConn) }, nil, false})
	}
	return all
}

// usage is what the process of that name took; nothing if there is none.
func usage(r *bench.Report, name string) bench.ProcessUsage {
	for _, p := range r.Servers {
		if p.Name == name {
			return p
		}
	}
	return bench.ProcessUsage{}
}

// measured is v, or NaN for 0: it was not measured.
func measured(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}

// row shows the figure of both sides; nil if there is nothing to show. same tells whether the runs made the same load, good whether all of them went well.
func (f figure) row(a, b []*bench.Report, same, good bool) []string {
	x, y := f.each(a), f.each(b)
	if nothing(x) && nothing(y) {
		return nil
	}
	row, among := []string{f.name}, [][]float64{x, y}
	intervals := min(len(a), len(b)) < stat.Few
	if intervals {
		among = [][]float64{f.intervals(a), f.intervals(b)}
	}
	before, after := stat.Median(x), stat.Median(y)
	for i, v := range []float64{before, after} {
		row = append(row, unless(math.IsNaN(v), f.show(v)), deviation(among[i]))
	}
	if math.IsNaN(before + after) {
		return append(row, "not measured in both", "")
	}
	if !same {
		return append(row, "", "")
	}
	if min(slices.Min(x), slices.Min(y)) < 0 {
		return append(row, "not comparable", "")
	}
	change := after/before - 1
	row = append(row, unless(before == 0, fmt.Sprintf("%+.1f %%", 100*change)))
	if !good || min(len(among[0]), len(among[1])) < stat.Few {
		return append(row, "")
	}
	differ := stat.Differ
	if intervals {
		differ = stat.Apart // those of one run depend on each other: no test may take them for runs
	}
	switch {
	case !differ(among[0], among[1]), math.Abs(change) < alike:
		return append(row, "no difference")
	case after > before == f.moreIsBetter:
		return append(row, "better")
	}
	return append(row, "worse")
}

// each are the runs' figures: of a side in which a run did not measure it there are none.
func (f figure) each(runs []*bench.Report) (all []float64) {
	for _, r := range runs {
		v := f.of(r)
		if math.IsNaN(v) {
			return nil
		}
		all = append(all, v)
	}
	return all
}

// nothing tells whether there is no value but 0.
func nothing(v []float64) bool {
	return !slices.ContainsFunc(v, func(v float64) bool { return v != 0 })
}

// intervals are the figures of all intervals of the runs' windows.
func (f figure) intervals(runs []*bench.Report) (all []float64) {
	for _, r := range runs {
		for _, m := range r.Timeline {
			if f.at == nil || m.At < m.Seconds/2 { // the warm-up ends at 0
				continue
			}
			if v := f.at(m); !math.IsNaN(v) && !math.IsInf(v, 0) { // CPU time where nothing arrived
				all = append(all, v)
			}
		}
	}
	return all
}

// deviation is how far the farthest value is from the median, in percent; empty where that says nothing.
func deviation(v []float64) string {
	m := stat.Median(v)
	if len(v) < 2 || !(m > 0) {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*max(slices.Max(v)-m, m-slices.Min(v))/m)
}
