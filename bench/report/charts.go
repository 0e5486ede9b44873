package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sluice/bench"
)

// charts are the plots of a page; those without a curve are left out.
func charts(reports []*bench.Report) ([]plot, error) {
	curve, err := percentiles(reports)
	if err != nil {
		return nil, err
	}
	all := []plot{throughput(reports), latencies(reports), curve, cpus(reports)}
	return slices.DeleteFunc(all, func(p plot) bool { return len(p.lines) == 0 }), nil
}

// overTime is a chart with the runs' time along it.
func overTime(title, note string, reports []*bench.Report) plot {
	p := plot{Title: title, Note: note, shaded: math.NaN()}
	var from, to float64
	for _, r := range reports {
		for _, m := range r.Timeline {
			from, to = min(from, m.At-m.Seconds), max(to, m.At)
		}
	}
	if from < 0 {
		p.shaded = 0
		p.Note += "; warm-up shaded"
	}
	p.x = seconds(from, to)
	return p
}

// series takes a value out of each moment; it stands at the middle of it.
func series(reports []*bench.Report, i int, name string, value func(bench.Moment) float64) line {
	l := line{run: runName(reports, i), name: name, class: i}
	for _, m := range reports[i].Timeline {
		l.x, l.y = append(l.x, m.At-m.Seconds/2), append(l.y, value(m))
	}
	return l.thin()
}

// styled gives the n-th curve of a run a colour of its own, or a pattern where the colours tell the runs apart.
func (l line) styled(n int) line {
	if l.run == "" {
		l.class = n
	} else {
		l.dash = n
	}
	return l
}

// runName tells a run from the others; it is empty if there are none.
func runName(reports []*bench.Report, i int) string {
	if len(reports) == 1 {
		return ""
	}
	name := clean(reports[i].Label)
	for j, r := range reports {
		if j != i && clean(r.Label) == name {
			return strings.TrimSpace(fmt.Sprintf("run %d %s", i+1, name))
		}
	}
	if name == "" {
		return fmt.Sprintf("run %d", i+1)
	}
	return name
}

func throughput(reports []*bench.Report) plot {
	p := overTime("Throughput", reports[0].Options.Mode.Units()+" a second", reports)
	var top float64
	for i, r := range reports {
		if r.Options.Mode == bench.Idle {
			continue
		}
		l := series(reports, i, r.Options.Mode.Units()+" a second", bench.Moment.Rate)
		l.filled = len(reports) == 1
		top = max(top, slices.Max(append(l.y, 0)))
		p.lines = append(p.lines, l)
		for _, m := range r.Timeline {
			if m.Errors > 0 && len(p.marks) < pointsNamed {
				p.marks = append(p.marks, mark{m.At - m.Seconds/2, fmt.Sprintf("%s %d errors", runName(reports, i), m.Errors)})
			}
		}
	}
	p.y = linear(0, top*1.08, 5, Count)
	return p
}

func latencies(reports []*bench.Report) plot {
	p := overTime("Latency over time", "logarithmic", reports)
	quantiles := []struct {
		name  string
		value func(bench.Moment) float64
	}{
		{"p50", func(m bench.Moment) float64 { return float64(m.P50) }},
		{"p99", func(m bench.Moment) float64 { return float64(m.P99) }},
		{"max", func(m bench.Moment) float64 { return float64(m.Max) }},
	}
	if len(reports) > 2 {
		quantiles = quantiles[:2] // more could not be told apart
	}
	for i := range reports {
		for j, q := range quantiles {
			if l := series(reports, i, q.name, q.value).styled(j); slices.Max(append(l.y, 0)) > 0 {
				p.lines = append(p.lines, l)
			}
		}
	}
	p.fit()
	return p
}

// fit gives the chart a logarithmic axis of microseconds for all its curves.
func (p *plot) fit() {
	low, high := math.Inf(1), 1.0
	for _, l := range p.lines {
		for _, v := range l.y {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	p.y = logarithmic(min(low, high), high, axisMicros)
}

// axisMicros is Micros without the zeros after the point: 1 ms.
func axisMicros(us float64) string {
	for _, u := range []struct {
		in   float64
		name string
	}{{1e6, " s"}, {1e3, " ms"}} {
		if us >= u.in {
			return fmt.Sprintf("%.3g", us/u.in) + u.name
		}
	}
	return fmt.Sprintf("%.3g µs", us)
}

// percentiles is the whole distribution: how slow the slowest one of 10, 100, 1,000 … is.
func percentiles(reports []*bench.Report) (plot, error) {
	p := plot{Title: "Latency by percentile", Note: "both logarithmic", shaded: math.NaN(), gridX: true}
	end := 1.0
	for i, r := range reports {
		h, err := r.Latency.Histogram()
		if err != nil {
			return p, fmt.Errorf("report: %w", err)
		}
		if h.TotalCount() == 0 {
			continue
		}
		l := line{run: runName(reports, i), name: "latency", class: i}
		last := math.Max(math.Log10(float64(h.TotalCount())), 1)
		const step = 0.04
		for x := 0.0; x < last+step; x += step {
			x := min(x, last)
			v := float64(h.ValueAtQuantile(100 * (1 - math.Pow(10, -x))))
			l.x, l.y = append(l.x, x), append(l.y, max(v, 1))
		}
		end = max(end, last)
		p.lines = append(p.lines, l)
	}
	p.x = nines(end)
	p.fit()
	return p, nil
}

// cpus is what each process took; with several runs what all servers of one took together, beside its generator.
func cpus(reports []*bench.Report) plot {
	p := overTime("Processor", "cores kept busy", reports)
	var top float64
	add := func(l line, n int) {
		top = max(top, slices.Max(append(l.y, 0)))
		p.lines = append(p.lines, l.styled(n))
	}
	for i, r := range reports {
		if len(reports) > 1 && len(processes(r)) > 0 {
			add(series(reports, i, "servers", serverCores), 0)
			add(series(reports, i, generatorName, func(m bench.Moment) float64 { return m.CPU[generatorName] }), 1)
			continue
		}
		for j, name := range processes(r) {
			add(series(reports, i, clean(name), func(m bench.Moment) float64 { return m.CPU[name] }), j)
		}
	}
	p.y = linear(0, max(top*1.08, 0.1), 4, func(v float64) string { return fmt.Sprintf("%g", math.Round(v*1000)/1000) })
	return p
}

// generatorName is the generator's in Moment.CPU.
const generatorName = "generator"

func serverCores(m bench.Moment) float64 {
	var sum float64
	for name, cores := range m.CPU {
		if name != generatorName {
			sum += cores
		}
	}
	return sum
}
