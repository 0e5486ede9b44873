package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// plot is a chart of lines, drawn as SVG. Its colours are classes, so that the page's style decides on them, light and dark.
type plot struct {
	Title, Note string // Note says what is counted, and in which unit
	x, y        axis
	lines       []line
	marks       []mark
	shaded      float64 // up to this x there is the warm-up; NaN for none
	gridX       bool
}

// line is a curve; points that are no numbers interrupt it.
type line struct {
	run, name string // run is empty where there is one only
	class     int    // which colour
	dash      int    // which pattern, 0 for none
	filled    bool   // down to the axis
	scattered bool   // its points are seen, and are not joined
	x, y      []float64
}

// mark is a line across at x.
type mark struct {
	x    float64
	name string
}

// The size of a chart, in the units of its viewBox, and what it holds at most.
const (
	width, height         = 560, 290
	left, right, top, low = 70, 16, 14, 34
	colours, dashes       = 8, 4 // how many the style knows
	pointsDrawn           = 600  // of a curve
	roomy                 = 5    // so many ticks along there is always room for
	pointsNamed           = 400  // of all curves, to be read when the pointer rests on them
)

func (p plot) px(v float64) float64 { return left + p.x.at(v)*(width-left-right) }
func (p plot) py(v float64) float64 { return height - low - p.y.at(v)*(height-low-top) }

// SVG draws the chart.
func (p plot) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(p.Title+", "+p.Note))
	if !math.IsNaN(p.shaded) && p.shaded > p.x.min {
		fmt.Fprintf(&b, `<rect class="warm" x="%d" y="%d" width="%.1f" height="%d"/>`, left, top, p.px(p.shaded)-left, height-low-top)
	}
	p.frame(&b)
	for _, m := range p.marks {
		fmt.Fprintf(&b, `<line class="mark" x1="%.1f" x2="%.1f" y1="%d" y2="%d"><title>%s</title></line>`, p.px(m.x), p.px(m.x), top, height-low, template.HTMLEscapeString(m.name))
	}
	points := 0
	for _, l := range p.lines {
		p.draw(&b, l)
		points += len(l.x)
	}
	if points <= pointsNamed {
		for _, l := range p.lines {
			p.name(&b, l)
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped above
}

// frame draws the axes. Every other tick along gives way on a narrow screen.
func (p plot) frame(b *strings.Builder) {
	for _, v := range p.y.ticks {
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, width-right, p.py(v), p.py(v))
		fmt.Fprintf(b, `<text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>`, left-8, p.py(v)+4, template.HTMLEscapeString(p.y.show(v)))
	}
	fmt.Fprintf(b, `<line class="base" x1="%d" x2="%d" y1="%d" y2="%d"/>`, left, width-right, height-low, height-low)
	for i, v := range p.x.ticks {
		class, from := "", height-low
		if i%2 == 1 && len(p.x.ticks) > roomy {
			class = " odd"
		}
		if p.gridX {
			from = top
		}
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, p.px(v), p.px(v), from, height-low+5)
		fmt.Fprintf(b, `<text class="tick%s" text-anchor="middle" x="%.1f" y="%d">%s</text>`, class, p.px(v), height-low+22, template.HTMLEscapeString(p.x.show(v)))
	}
}

// draw is the curve, and what is under it.
func (p plot) draw(b *strings.Builder, l line) {
	if l.scattered {
		for i := range l.x {
			fmt.Fprintf(b, `<circle class="point c%d" cx="%.1f" cy="%.1f" r="4"/>`, l.class%colours, p.px(l.x[i]), p.py(l.y[i]))
		}
		return
	}
	var path, area strings.Builder
	first, last := -1, -1
	for i := range l.x {
		if !p.shows(l.y[i]) {
			first = -1
			continue
		}
		command := 'L'
		if first < 0 {
			command, first = 'M', i
			if area.Len() > 0 {
				fmt.Fprintf(&area, "V%dZ", height-low)
			}
			fmt.Fprintf(&area, "M%.1f %d", p.px(l.x[i]), height-low)
		}
		last = i
		fmt.Fprintf(&path, "%c%.1f %.1f", command, p.px(l.x[i]), p.py(l.y[i]))
		fmt.Fprintf(&area, "L%.1f %.1f", p.px(l.x[i]), p.py(l.y[i]))
	}
	if last < 0 {
		return
	}
	if l.filled {
		fmt.Fprintf(b, `<path class="area c%d" d="%sV%dZ"/>`, l.class%colours, &area, height-low)
	}
	fmt.Fprintf(b, `<path class="curve c%d d%d" d="%s"/>`, l.class%colours, l.dash%dashes, &path)
}

// name puts a point that shows under the pointer, with its value, on each of the curve's.
func (p plot) name(b *strings.Builder, l line) {
	for i := range l.x {
		if p.shows(l.y[i]) {
			text := strings.TrimSpace(l.run+" "+l.name) + " " + p.y.show(l.y[i]) + " at " + p.x.show(l.x[i])
			fmt.Fprintf(b, `<circle class="dot c%d" cx="%.1f" cy="%.1f" r="5"><title>%s</title></circle>`, l.class%colours, p.px(l.x[i]), p.py(l.y[i]), template.HTMLEscapeString(text))
		}
	}
}

// shows tells whether there is a place for the value.
func (p plot) shows(v float64) bool { return !math.IsNaN(v) && (v > 0 || !p.y.log) }

// thin leaves the lowest and the highest of each few points, where a curve has more than can be told apart.
func (l line) thin() line {
	n := (2*len(l.x) + pointsDrawn - 1) / pointsDrawn
	if len(l.x) <= pointsDrawn {
		return l
	}
	x, y := l.x, l.y
	l.x, l.y = nil, nil
	for from := 0; from < len(x); from += n {
		low, high := from, from
		for i := from; i < min(from+n, len(x)); i++ {
			if y[i] < y[low] {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		l.x, l.y = append(l.x, x[min(low, high)], x[max(low, high)]), append(l.y, y[min(low, high)], y[max(low, high)])
	}
	return l
}

// Legend names the curves; with several runs it names first the runs by their colour and then the curves by their pattern.
func (p plot) Legend() []legend {
	var all []legend
	add := func(l legend) {
		for _, other := range all {
			if l == other {
				return
			}
		}
		all = append(all, l)
	}
	for _, l := range p.lines {
		name := l.name
		if l.run != "" {
			name = l.run
		}
		class := fmt.Sprintf("c%d", l.class%colours)
		if l.scattered {
			class += " points"
		}
		add(legend{name, class})
	}
	for _, l := range p.lines {
		if l.run != "" {
			add(legend{l.name, fmt.Sprintf("ink d%d", l.dash%dashes)})
		}
	}
	if len(p.marks) > 0 {
		add(legend{"errors", "marked"})
	}
	return all
}

type legend struct{ Name, Class string }
