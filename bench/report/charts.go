package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// curve is a figure of each moment of a run.
type curve struct {
	name string
	of   func(bench.Interval) float64
}

// charts are the plots of a page; those without a curve are left out.
func charts(reports []*bench.Report) ([]plot, error) {
	percentiles, err := percentiles(reports)
	if err != nil {
		return nil, err
	}
	throughput := overTime("Throughput", reports[0].Options.Mode.Units()+" a second", reports, rates).upwards(0, 5, Count)
	throughput.marks = failed(reports)
	for i := range throughput.lines {
		throughput.lines[i].filled = len(reports) == 1
	}
	all := []plot{
		throughput, overTime("Latency over time", "logarithmic", reports, latencies).fit(), percentiles,
		overTime("Processor", "cores kept busy", reports, cpus).upwards(0.1, 4, func(v float64) string { return fmt.Sprintf("%g", math.Round(v*1000)/1000) }),
	}
	return slices.DeleteFunc(all, func(p plot) bool { return len(p.lines) == 0 }), nil
}

// overTime is a chart with the runs' time along it. The curves of a single run differ in colour; those of several have their run's colour and differ in their pattern. A
// moment's figure stands at the middle of it.
func overTime(title, note string, reports []*bench.Report, curves func(several []*bench.Report, r *bench.Report) []curve) plot {
	p := plot{Title: title, Note: note}
	var from, to float64
	for i, r := range reports {
		for j, c := range curves(reports, r) {
			l := line{run: runName(reports, i), name: c.name, class: i, dash: j}
			if len(reports) == 1 {
				l.class, l.dash = j, 0
			}
			for _, m := range r.Timeline {
				l.x, l.y = append(l.x, m.At-m.Seconds/2), append(l.y, c.of(m))
				from, to = min(from, m.At-m.Seconds), max(to, m.At)
			}
			if len(l.x) > 0 {
				p.lines = append(p.lines, l.thin())
			}
		}
	}
	if p.warm = from < 0; p.warm {
		p.Note += "; warm-up shaded"
	}
	p.x = seconds(from, to)
	return p
}

func rates(_ []*bench.Report, r *bench.Report) []curve {
	if r.Options.Mode == bench.Idle {
		return nil
	}
	return []curve{{r.Options.Mode.Units() + " a second", bench.Interval.Rate}}
}

// latencies are three quantiles, or two where there are so many runs that more could not be told apart.
func latencies(reports []*bench.Report, r *bench.Report) []curve {
	if r.Latency.Count == 0 {
		return nil
	}
	all := []curve{
		{"p50", func(m bench.Interval) float64 { return float64(m.P50) }}, {"p99", func(m bench.Interval) float64 { return float64(m.P99) }},
		{"max", func(m bench.Interval) float64 { return float64(m.Max) }},
	}
	if len(reports) > 2 {
		return all[:2]
	}
	return all
}

// cpus is what each process took; with several runs what all servers of one took together, beside its generator.
func cpus(reports []*bench.Report, r *bench.Report) (all []curve) {
	names := processes(r)
	if len(reports) > 1 && len(names) > 0 {
		return []curve{{"servers", serverCores}, {generatorName, func(m bench.Interval) float64 { return m.CPU[generatorName] }}}
	}
	for _, name := range names {
		all = append(all, curve{clean(name), func(m bench.Interval) float64 { return m.CPU[name] }})
	}
	return all
}

// generatorName is the generator's in Interval.CPU.
const generatorName = "generator"

func serverCores(m bench.Interval) float64 {
	var sum float64
	for name, cores := range m.CPU {
		if name != generatorName {
			sum += cores
		}
	}
	return sum
}

// failed are the moments with errors.
func failed(reports []*bench.Report) (all []mark) {
	for i, r := range reports {
		for _, m := range r.Timeline {
			if m.Errors > 0 && len(all) < pointsNamed {
				all = append(all, mark{m.At - m.Seconds/2, fmt.Sprintf("%s %d errors", runName(reports, i), m.Errors)})
			}
		}
	}
	return all
}

// runName tells a run from the others; it is empty if there are none.
func runName(reports []*bench.Report, i int) string {
	if len(reports) == 1 {
		return ""
	}
	name, number := clean(reports[i].Label), fmt.Sprintf("run %d", i+1)
	for j, r := range reports {
		if j != i && clean(r.Label) == name {
			return strings.TrimSpace(number + " " + name)
		}
	}
	return cmp.Or(name, number)
}

// bounds are the lowest and the highest of the values above 0; where there are none the highest is 0.
func (p plot) bounds() (low, high float64) {
	low = math.Inf(1)
	for _, l := range p.lines {
		for _, v := range l.y {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	return low, high
}

// upwards gives the chart an axis from 0, of at least so much.
func (p plot) upwards(least float64, ticks int, show func(float64) string) plot {
	_, high := p.bounds()
	p.y = linear(0, max(high*1.08, least), ticks, show)
	return p
}

// fit gives the chart a logarithmic axis of microseconds for all its curves.
func (p plot) fit() plot {
	low, high := p.bounds()
	high = max(high, 1)
	p.y = logarithmic(min(low, high), high, axisMicros)
	return p
}

// axisMicros is Micros without the zeros after the point: 1 ms.
func axisMicros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.3g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.3g µs", us)
}

// percentiles is the whole distribution: how slow the slowest one of 10, 100, 1,000 … is.
func percentiles(reports []*bench.Report) (plot, error) {
	p := plot{Title: "Latency by percentile", Note: "both logarithmic", gridX: true}
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
			l.x, l.y = append(l.x, x), append(l.y, float64(max(h.ValueAtQuantile(100*(1-math.Pow(10, -x))), 1)))
		}
		end = max(end, last)
		p.lines = append(p.lines, l)
	}
	p.x = nines(end)
	return p.fit(), nil
}
