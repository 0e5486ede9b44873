package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/bench"
)

// Live makes the lines that show a run in progress on a terminal.
type Live struct {
	Colour bool // allow escape sequences for colours

	opts      bench.Options
	intervals []bench.Interval
}

// NewLive returns the view of a run with these options. Their times must be set.
func NewLive(o bench.Options) *Live { return &Live{opts: o} }

// Add adds an interval.
func (l *Live) Add(m bench.Interval) { l.intervals = append(l.intervals, m) }

// Widths of the view, in columns.
const (
	labelWide = 10
	barWide   = 40 // at most
	leastWide = 30
)

// Lines returns the view. since is the time since the last Add, or since the start of the run. No
// line is wider than columns, which is at least 30.
func (l *Live) Lines(since time.Duration, columns int) (lines []string) {
	columns = max(columns, leastWide)
	add := func(name string, cells ...cell) {
		if name != "" {
			cells = append([]cell{{dim, name + strings.Repeat(" ", labelWide-len(name))}}, cells...)
		}
		lines = append(lines, l.join(cells, columns))
	}
	title := titleOf(&bench.Report{Options: l.opts, Label: l.opts.Label})
	how, _, _ := strings.Cut("  "+loop(l.opts), ":")
	if utf8.RuneCountInString(title+how) > columns {
		how = ""
	}
	add("", cell{bold, title}, cell{dim, how})
	if len(l.intervals) == 0 {
		add("opening", cell{plain, fmt.Sprintf("%.1f s", since.Seconds())})
		return lines
	}
	last := l.intervals[len(l.intervals)-1]
	name, style, at, length := l.phase(last.At, since.Seconds())
	done := fmt.Sprintf("  %.1f of %.1f s", at, length)
	full, rest := bar(at/length, min(barWide, columns-labelWide-len(done)))
	add(name, cell{style, full}, cell{dim, rest}, cell{plain, done})

	open := whole(uint64(max(last.Open, 0)))
	if l.opts.Mode == bench.Idle {
		add("held", cell{bold, open + " connections"})
	} else {
		now, unit := fmt.Sprintf("%-7s", Count(last.Rate())), " "+l.opts.Mode.Units()+" a second  "
		room := columns - labelWide - len(now) - len(unit)
		add("rate", cell{bold, now}, cell{plain, unit}, cell{strong, l.spark(bench.Interval.Rate, room)})
	}
	if last.Max == 0 {
		add("latency", cell{dim, "not measured yet"})
	} else {
		text := fmt.Sprintf("p50 %-8s p99 %-8s max %-8s  ", Micros(last.P50), Micros(last.P99), Micros(last.Max))
		p99 := func(m bench.Interval) float64 { return float64(m.P99) }
		add("latency", cell{plain, text}, cell{strong, l.spark(p99, columns-labelWide-utf8.RuneCountInString(text))})
	}
	errors, style := 0, plain
	for _, m := range l.intervals {
		errors += int(m.Errors)
	}
	if errors > 0 {
		style = alarm
	}
	add("clients", cell{plain, open + " open   "}, cell{style, plural(errors, "error")})
	var cores []cell
	for _, name := range slices.Sorted(maps.Keys(last.CPU)) {
		cores = append(cores, cell{dim, clean(name) + " "}, cell{strong, fmt.Sprintf("%.2f   ", last.CPU[name])})
	}
	add("cores", cores...)
	return lines
}

// phase returns the phase of the run, how long it lasts already, and its length, in seconds.
func (l *Live) phase(last, since float64) (name, style string, at, length float64) {
	warmup, window := l.opts.Warmup.Seconds(), l.opts.Window.Seconds()
	switch at = last + since; {
	case at < 0:
		return "warm-up", dim, at + warmup, warmup
	case last >= window-1e-6:
		return "finishing", strong, window, window
	}
	return "measuring", strong, min(at, window), window
}

// spark draws the last values, at most so many, as columns of text. The highest is full.
func (l *Live) spark(value func(bench.Interval) float64, columns int) string {
	shown := l.intervals[max(len(l.intervals)-max(columns, 0), 0):]
	top := 0.0
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

// bar draws a part of 1 as a bar, and the rest of its room.
func bar(part float64, columns int) (full, rest string) {
	columns = max(columns, 0)
	n := int(min(max(part, 0), 1)*float64(columns)*8 + 0.5)
	full = strings.Repeat("█", n/8)
	if n%8 > 0 {
		full += string([]rune("▏▎▍▌▋▊▉")[n%8-1])
	}
	return full, strings.Repeat("·", columns-(n+7)/8)
}

// cell is a piece of a line. Its style is an escape sequence.
type cell struct{ style, text string }

// The styles are readable on light and dark terminals.
const (
	plain  = ""
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	strong = "\x1b[36m" // cyan
	alarm  = "\x1b[1;31m"
	reset  = "\x1b[0m"
)

// join makes a line of at most so many columns.
func (l *Live) join(cells []cell, columns int) string {
	var b strings.Builder
	for _, c := range cells {
		text := []rune(c.text)
		text = text[:min(len(text), columns)]
		columns -= len(text)
		if l.Colour && c.style != plain && len(text) > 0 {
			b.WriteString(c.style + string(text) + reset)
		} else {
			b.WriteString(string(text))
		}
	}
	return strings.TrimRight(b.String(), " ")
}
