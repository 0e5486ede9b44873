package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/bench"
)

// Live is a run in progress as a terminal shows it: some lines that are drawn anew in place. It only makes the lines; who draws them has the terminal.
type Live struct {
	Colour bool // may lines hold escape sequences for colours?

	opts    bench.Options
	moments []bench.Interval
	top     map[string]float64 // the most cores that each process kept busy
}

// NewLive shows a run of o, whose times must be set.
func NewLive(o bench.Options) *Live { return &Live{opts: o, top: make(map[string]float64)} }

// Add takes an interval in.
func (l *Live) Add(m bench.Interval) {
	l.moments = append(l.moments, m)
	for name, cores := range m.CPU {
		l.top[name] = max(l.top[name], cores)
	}
}

// The measures of the view, in columns.
const (
	labelWide = 10
	barWide   = 40 // at most
	coreWide  = 8
	leastWide = 30
)

// Lines are the view when so much time has passed since the last interval was added, or since the run began. None is wider than so many columns.
func (l *Live) Lines(since time.Duration, columns int) []string {
	columns = max(columns, leastWide)
	r := &bench.Report{Options: l.opts, Label: l.opts.Label}
	title := Title(r)
	how, _, _ := strings.Cut(loop(r), ":")
	if utf8.RuneCountInString(title+"  "+how) > columns {
		how = ""
	}
	all := [][]cell{{{bold, title}, {dim, "  " + how}}, l.progress(since, columns)}
	if n := len(l.moments); n > 0 {
		m := l.moments[n-1]
		all = append(all, l.rate(m, columns), l.latency(m, columns), l.clients(m))
		all = append(all, l.cores(m, columns)...)
	}
	var lines []string
	for _, cells := range all {
		lines = append(lines, l.join(cells, columns))
	}
	return lines
}

// progress is the phase and how far it is.
func (l *Live) progress(since time.Duration, columns int) []cell {
	o, n := l.opts, len(l.moments)
	if n == 0 {
		return []cell{label("opening"), {plain, fmt.Sprintf("%.1f s", since.Seconds())}}
	}
	last := l.moments[n-1].At
	name, style, at, length := "measuring", strong, last+since.Seconds(), o.Window.Seconds()
	switch {
	case at < 0:
		name, style, at, length = "warm-up", dim, at+o.Warmup.Seconds(), o.Warmup.Seconds()
	case last >= length-1e-6:
		name, at = "finishing", length
	}
	at = min(at, length)
	done := fmt.Sprintf("  %.1f of %.1f s", at, length)
	wide := min(barWide, columns-labelWide-len(done))
	full, rest := bar(at/length, wide)
	return []cell{label(name), {style, full}, {dim, rest}, {plain, done}}
}

func (l *Live) rate(m bench.Interval, columns int) []cell {
	if l.opts.Mode == bench.Idle {
		return []cell{label("held"), {bold, whole(uint64(max(m.Open, 0))) + " connections"}}
	}
	now := fmt.Sprintf("%-7s", Count(m.Rate()))
	unit := " " + l.opts.Mode.Units() + " a second  "
	return []cell{label("rate"), {bold, now}, {plain, unit}, {strong, l.spark(bench.Interval.Rate, columns-labelWide-len(now)-len(unit))}}
}

func (l *Live) latency(m bench.Interval, columns int) []cell {
	if m.Max == 0 {
		return []cell{label("latency"), {dim, "not measured yet"}}
	}
	text := fmt.Sprintf("p50 %-8s p99 %-8s max %-8s  ", Micros(m.P50), Micros(m.P99), Micros(m.Max))
	return []cell{label("latency"), {plain, text}, {strong, l.spark(func(m bench.Interval) float64 { return float64(m.P99) }, columns-labelWide-utf8.RuneCountInString(text))}}
}

func (l *Live) clients(m bench.Interval) []cell {
	var errors uint64
	for _, m := range l.moments {
		errors += m.Errors
	}
	style := plain
	if errors > 0 {
		style = alarm
	}
	return []cell{label("clients"), {plain, whole(uint64(max(m.Open, 0))) + " open   "}, {style, plural(int(errors), "error")}}
}

// cores are the processes, the servers first, as many on a line as there is room for.
func (l *Live) cores(m bench.Interval, columns int) [][]cell {
	names := slices.SortedFunc(maps.Keys(m.CPU), func(a, b string) int {
		return cmp.Or(cmp.Compare(truth(a == generatorName), truth(b == generatorName)), strings.Compare(a, b))
	})
	scale := 1.0
	for _, cores := range l.top {
		scale = max(scale, cores)
	}
	rows, used := [][]cell{{label("cores")}}, labelWide
	for _, name := range names {
		text := clean(name) + " "
		number := fmt.Sprintf(" %.2f   ", m.CPU[name])
		wide := utf8.RuneCountInString(text) + coreWide + len(number)
		if used+wide > columns && used > labelWide {
			rows, used = append(rows, []cell{label("")}), labelWide
		}
		full, rest := bar(m.CPU[name]/scale, coreWide)
		rows[len(rows)-1] = append(rows[len(rows)-1], cell{dim, text}, cell{strong, full}, cell{dim, rest}, cell{plain, number})
		used += wide
	}
	return rows
}

// spark is the last values as a row of small columns, at most so many, the highest of them in full; nothing is a gap.
func (l *Live) spark(value func(bench.Interval) float64, columns int) string {
	shown := l.moments[max(len(l.moments)-max(columns, 0), 0):]
	var top float64
	for _, m := range shown {
		top = max(top, value(m))
	}
	var b strings.Builder
	for _, m := range shown {
		step := ' '
		if v := value(m); v > 0 {
			step = []rune("▁▂▃▄▅▆▇█")[min(int(v/top*8), 7)]
		}
		b.WriteRune(step)
	}
	return b.String()
}

// bar is a part of 1 as a bar, and what is left of its room.
func bar(part float64, columns int) (full, rest string) {
	columns = max(columns, 0)
	n := int(min(max(part, 0), 1)*float64(columns)*8 + 0.5)
	full = strings.Repeat("█", n/8)
	if n%8 > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[n%8-1])
	}
	return full, strings.Repeat("·", columns-(n+7)/8)
}

// cell is a piece of a line; style is an escape sequence.
type cell struct{ style, text string }

// Styles work on light and dark.
const (
	plain  = ""
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	strong = "\x1b[36m" // cyan
	alarm  = "\x1b[1;31m"
	reset  = "\x1b[0m"
)

func label(name string) cell {
	return cell{dim, name + strings.Repeat(" ", labelWide-utf8.RuneCountInString(name))}
}

// join cuts a line off where the terminal ends.
func (l *Live) join(cells []cell, columns int) string {
	var b strings.Builder
	for _, c := range cells {
		text := []rune(c.text)
		text = text[:min(len(text), columns)]
		columns -= len(text)
		if !l.Colour || c.style == plain || len(text) == 0 {
			b.WriteString(string(text))
		} else {
			b.WriteString(c.style + string(text) + reset)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
