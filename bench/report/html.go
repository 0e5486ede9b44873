package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"sluice/bench"
)

//go:embed page.html
var page string

// HTML writes one page with figures and plots of the reports, complete in itself: it loads nothing. Several reports are drawn over each other.
func HTML(w io.Writer, reports ...*bench.Report) error {
	if len(reports) == 0 {
		return errors.New("report: a page of no report")
	}
	t, err := template.New("page").Parse(page)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	v := view{Runs: make([]runView, len(reports))}
	for i, r := range reports {
		v.Runs[i] = viewOf(r, i)
	}
	v.Plots = []plot{throughput(reports), latencies(reports), cpus(reports)}
	curve, err := percentiles(reports)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	v.Plots = slices.Insert(v.Plots, 2, curve)
	v.Plots = slices.DeleteFunc(v.Plots, func(p plot) bool { return len(p.lines) == 0 })
	return t.Execute(w, v)
}

// view is what the page's template is filled with.
type view struct {
	Runs  []runView
	Plots []plot
}

type runView struct {
	*bench.Report
	Title, Loop, Verdict string
	Class                string // of the verdict: ok, failed or invalid
	Colour               string // of its curves, where reports are drawn over each other
	When                 string
	Figures              []pair
	Processes            []processView
	Facts                []pair
}

type pair struct{ Name, Value string }

type processView struct{ Name, CPU, Cores, RSS, PerConn string }

func viewOf(r *bench.Report, i int) runView {
	v := runView{Report: r, Title: Title(r), Loop: loop(r), Verdict: Verdict(r), Class: "ok", Colour: fmt.Sprintf("c%d", i%colours), When: r.Started.Format("2006-01-02 15:04 MST")}
	switch {
	case r.Verdict.Failed:
		v.Class = "failed"
	case !r.Verdict.Valid:
		v.Class = "invalid"
	}
	if r.Options.Mode == bench.Idle {
		v.Figures = append(v.Figures, pair{"connections", Count(float64(r.Opened))})
		for _, p := range r.Servers {
			v.Figures = append(v.Figures, pair{p.Name + ", a connection", Size(p.PerConn)})
		}
	} else {
		v.Figures = append(v.Figures, pair{r.Options.Mode.Units() + " a second", Count(r.Rate)}, pair{"p50", Micros(r.Latency.P50)}, pair{"p99", Micros(r.Latency.P99)},
			pair{"p99.9", Micros(r.Latency.P999)}, pair{"server CPU a " + r.Options.Mode.Unit(), fmt.Sprintf("%.2f µs", serverCPU(r))}, pair{"lost", fmt.Sprint(r.Audit.Lost)})
	}
	for _, p := range append(slices.Clone(r.Servers), r.Own) {
		v.Processes = append(v.Processes, processView{p.Name, unless(p.PerMessage == 0, fmt.Sprintf("%.2f µs", p.PerMessage)), fmt.Sprintf("%.2f", p.Cores), Size(float64(p.RSS)),
			unless(p.PerConn == 0, Size(p.PerConn))})
	}
	m, o := r.Machine, r.Options
	v.Facts = []pair{
		{"command", strings.Join(r.Command, " ")}, {"machine", fmt.Sprintf("%s, %d processors, %s", m.CPU, m.CPUs, Size(float64(m.Memory)))},
		{"system", fmt.Sprintf("%s %s %s, %s", m.OS, m.Arch, m.Kernel, m.Go)},
		{"servers", plural(o.Servers.Gateways, "gateway") + " with " + o.Servers.Reactors + " reactors, " + plural(o.Servers.Workers, "worker")},
		{"generator", plural(max(o.Processes, 1), "process") + " of " + plural(o.Loops, "loop")},
		{"audit", fmt.Sprintf("%d expected, %d received, %d lost, %d duplicated, %d reordered, %d changed", r.Audit.Expected, r.Audit.Received, r.Audit.Lost, r.Audit.Duplicated,
			r.Audit.Reordered, r.Audit.Changed+r.Audit.Unexpected)},
	}
	if o.Servers.Gateways == 0 {
		v.Facts[3] = pair{"servers", strings.Join(o.Targets, ", ")}
	}
	return v
}

// overTime is a chart with the runs' time along it.
func overTime(title string, reports []*bench.Report) plot {
	p := plot{Title: title, shaded: math.NaN()}
	var from, to float64
	for _, r := range reports {
		for _, m := range r.Timeline {
			from, to = min(from, m.At-m.Seconds), max(to, m.At)
		}
	}
	if from < 0 {
		p.shaded = 0
	}
	p.x = linear(from, to, 8, func(v float64) string { return fmt.Sprintf("%g s", math.Round(v*100)/100) })
	return p
}

// series takes a value out of each moment.
func series(r *bench.Report, name string, class int, value func(bench.Moment) float64) line {
	l := line{name: name, class: class}
	for _, m := range r.Timeline {
		l.x, l.y = append(l.x, m.At), append(l.y, value(m))
	}
	return l
}

// named puts the run's name before a curve's, where there are several runs.
func named(r *bench.Report, i int, reports []*bench.Report, name string) string {
	if len(reports) == 1 {
		return name
	}
	if r.Label != "" {
		return r.Label + " " + name
	}
	return fmt.Sprintf("run %d %s", i+1, name)
}

func throughput(reports []*bench.Report) plot {
	p := overTime("Throughput", reports)
	var top float64
	for i, r := range reports {
		if r.Options.Mode == bench.Idle {
			continue
		}
		l := series(r, named(r, i, reports, r.Options.Mode.Units()+" a second"), i, bench.Moment.Rate)
		top = max(top, slices.Max(append(l.y, 0)))
		p.lines = append(p.lines, l)
	}
	p.y = linear(0, top*1.1, 5, Count)
	return p
}

func latencies(reports []*bench.Report) plot {
	p := overTime("Latency over time", reports)
	low, high := math.Inf(1), 0.0
	for i, r := range reports {
		for j, q := range []struct {
			name  string
			value func(bench.Moment) float64
		}{
			{"p50", func(m bench.Moment) float64 { return float64(m.P50) }},
			{"p99", func(m bench.Moment) float64 { return float64(m.P99) }},
			{"max", func(m bench.Moment) float64 { return float64(m.Max) }},
		} {
			class := j
			if len(reports) > 1 {
				class = i
			}
			l := series(r, named(r, i, reports, q.name), class, q.value)
			l.dashed = len(reports) > 1 && j > 0
			for _, v := range l.y {
				if v > 0 {
					low, high = min(low, v), max(high, v)
				}
			}
			if high > 0 && !(len(reports) > 1 && q.name == "max") {
				p.lines = append(p.lines, l)
			}
		}
	}
	p.y = logarithmic(min(low, max(high, 1)), high, func(v float64) string { return Micros(int64(v)) })
	return p
}

// percentiles is the whole distribution: how slow the slowest one of 10, 100, 1,000 … is.
func percentiles(reports []*bench.Report) (plot, error) {
	p := plot{Title: "Latency by percentile", shaded: math.NaN()}
	low, high, nines := math.Inf(1), 0.0, 1.0
	for i, r := range reports {
		h, err := r.Latency.Histogram()
		if err != nil {
			return p, err
		}
		if h.TotalCount() == 0 {
			continue
		}
		l := line{name: named(r, i, reports, "latency"), class: i}
		last := math.Max(math.Log10(float64(h.TotalCount())), 1)
		for x := 0.0; x <= last; x += 0.05 {
			v := float64(h.ValueAtQuantile(100 * (1 - math.Pow(10, -x))))
			l.x, l.y = append(l.x, x), append(l.y, v)
			low, high = min(low, math.Max(v, 1)), max(high, v)
		}
		nines = max(nines, last)
		p.lines = append(p.lines, l)
	}
	p.x = axis{max: nines, show: nine}
	for x := 0.0; x <= nines; x++ {
		p.x.ticks = append(p.x.ticks, x)
	}
	p.y = logarithmic(min(low, max(high, 1)), high, func(v float64) string { return Micros(int64(v)) })
	return p, nil
}

// nine names the percentile with x nines.
func nine(x float64) string {
	switch x {
	case 0:
		return "0 %"
	case 1:
		return "90 %"
	case 2:
		return "99 %"
	}
	return "99." + strings.Repeat("9", int(x)-2) + " %"
}

func cpus(reports []*bench.Report) plot {
	p := overTime("Processor cores in use", reports)
	var top float64
	for i, r := range reports {
		for j, name := range processes(r) {
			class := j
			if len(reports) > 1 {
				class = i
			}
			l := series(r, named(r, i, reports, name), class, func(m bench.Moment) float64 { return m.CPU[name] })
			l.dashed = len(reports) > 1 && j > 0
			top = max(top, slices.Max(append(l.y, 0)))
			p.lines = append(p.lines, l)
		}
	}
	p.y = linear(0, max(top*1.1, 0.1), 4, func(v float64) string { return fmt.Sprintf("%g", math.Round(v*1000)/1000) })
	return p
}
