package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// curve is a figure of each interval of a run.
type curve struct {
	name string
	of   func(bench.Interval) float64
}

func fieldCurve(name, field string) curve {
	return curve{name, func(m bench.Interval) float64 { return lookup(m, field) }}
}

// charts returns the plots of a page, without those that have no curve. Each of
// several runs has one curve in a plot.
func charts(reports []*bench.Report) ([]plot, error) {
	several := len(reports) > 1
	units := reports[0].Options.Mode.Units() + " a second"
	rate := overTime("Throughput", units, reports, func(r *bench.Report) []curve {
		if r.Options.Mode == bench.Idle {
			return nil
		}
		return []curve{{units, bench.Interval.Rate}}
	}).fromZero(0, 5, Count)
	for i, r := range reports {
		for _, m := range r.Timeline {
			if m.Errors > 0 && len(rate.marks) < pointsNamed {
				name := fmt.Sprintf("%s %d errors", runName(reports, i), m.Errors)
				rate.marks = append(rate.marks, mark{m.At - m.Seconds/2, name})
			}
		}
	}
	for i := range rate.lines {
		rate.lines[i].filled = !several
	}
	note := unless(!several, "p99, ") + "logarithmic"
	latency := overTime("Latency over time", note, reports, func(r *bench.Report) []curve {
		all := []curve{fieldCurve("p50", "P50"), fieldCurve("p99", "P99"), fieldCurve("max", "Max")}
		switch {
		case r.Latency.Count == 0:
			return nil
		case several:
			return all[1:2]
		}
		return all
	}).logarithmic()
	note = "cores kept busy" + unless(!several, " by the servers")
	cpu := overTime("Processor", note, reports, func(r *bench.Report) (all []curve) {
		for _, name := range processes(r) {
			all = append(all, curve{clean(name), func(m bench.Interval) float64 { return m.CPU[name] }})
		}
		if several && len(all) > 0 {
			return []curve{{"servers", serverCores}}
		}
		return all
	}).fromZero(0.1, 4, func(v float64) string { return fmt.Sprintf("%g", math.Round(v*1000)/1000) })
	percentiles, err := percentiles(reports)
	all := []plot{rate, latency, percentiles, cpu}
	return slices.DeleteFunc(all, func(p plot) bool { return len(p.lines) == 0 }), err
}

// overTime returns a chart with time on the x axis. The figure of an
// interval is drawn at its middle.
func overTime(title, note string, reports []*bench.Report, curves func(*bench.Report) []curve) plot {
	p := plot{Title: title, Note: note}
	var from, to float64
	for i, r := range reports {
		for j, c := range curves(r) {
			l := line{name: cmp.Or(runName(reports, i), c.name), class: i + j}
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

// generatorName is the key of the generator in Interval.CPU.
const generatorName = "generator"

func serverCores(m bench.Interval) (sum float64) {
	for name, cores := range m.CPU {
		if name != generatorName {
			sum += cores
		}
	}
	return sum
}

// runName tells a run from the others. It is empty for a single run.
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

// bounds returns the lowest and the highest value above 0; +Inf and 0 where there is none.
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

// fromZero sets a y axis that begins at 0 and reaches at least to the value given.
func (p plot) fromZero(least float64, ticks int, show func(float64) string) plot {
	_, high := p.bounds()
	p.y = linear(0, max(high*1.08, least), ticks, show)
	return p
}

// logarithmic sets a logarithmic y axis in microseconds.
func (p plot) logarithmic() plot {
	low, high := p.bounds()
	high = max(high, 1)
	p.y = logarithmic(min(low, high), high, axisMicros)
	return p
}

// axisMicros is Micros without zeros after the decimal point: 1 ms.
func axisMicros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.3g s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.3g µs", us)
}

// percentiles returns the whole latency distribution. Both axes are logarithmic.
func percentiles(reports []*bench.Report) (plot, error) {
	const step = 0.04
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
		l := line{name: cmp.Or(runName(reports, i), "latency"), class: i}
		last := max(math.Log10(float64(h.TotalCount())), 1)
		for x := 0.0; x < last+step; x += step {
			x := min(x, last)
			us := max(h.ValueAtQuantile(100*(1-math.Pow(10, -x))), 1)
			l.x, l.y = append(l.x, x), append(l.y, float64(us))
		}
		end = max(end, last)
		p.lines = append(p.lines, l)
	}
	p.x = nines(end)
	return p.logarithmic(), nil
}
