package report

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// plot is a line chart, drawn as SVG. Colours are CSS classes: the page defines them.
type plot struct {
	Title, Note string // Note names the unit
	x, y        axis
	lines       []line
	marks       []mark
	gridX       bool
	warm        bool // shade what is left of x = 0, the warm-up
}

// line is a curve. A NaN interrupts it.
type line struct {
	name   string
	class  int  // index of the colour
	filled bool // fill the area below
	loose  bool // draw the points and do not join them
	x, y   []float64
}

type mark struct {
	x    float64
	name string
}

// The geometry of a chart, in units of its viewBox, and its limits.
const (
	width, height            = 560, 290
	left, right, top, bottom = 70, width - 16, 14, height - 34
	colours                  = 8   // that page.css defines
	pointsDrawn              = 600 // of a curve
	pointsNamed              = 400 // of all curves: points that show their value under the pointer
)

func (p plot) px(v float64) float64 { return left + p.x.at(v)*(right-left) }
func (p plot) py(v float64) float64 { return bottom - p.y.at(v)*(bottom-top) }

// shows reports whether v has a position on the y axis.
func (p plot) shows(v float64) bool { return !math.IsNaN(v) && (v > 0 || !p.y.log) }

type svg struct{ strings.Builder }

// put appends an element. It escapes arguments that are strings.
func (b *svg) put(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = template.HTMLEscapeString(text)
		}
	}
	_, _ = fmt.Fprintf(b, format, args...)
}

// SVG draws the chart. On a narrow screen page.css hides every other label of the x axis.
func (p plot) SVG() template.HTML {
	var b svg
	b.put(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s, %s">`, width, height, p.Title, p.Note)
	if p.warm {
		b.put(`<rect class="warm" x="%d" y="%d" width="%.1f" height="%d"/>`, left, top, p.px(0)-left, bottom-top)
	}
	for _, v := range p.y.ticks {
		b.put(`<path class="grid" d="M%d %.1fH%d"/>`, left, p.py(v), right)
		b.put(`<text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>`, left-8, p.py(v)+4, p.y.show(v))
	}
	b.put(`<path class="base" d="M%d %dH%d"/>`, left, bottom, right)
	for i, v := range p.x.ticks {
		class, from := "tick", bottom
		if i%2 == 1 && len(p.x.ticks) > 5 {
			class = "tick odd"
		}
		if p.gridX {
			from = top
		}
		b.put(`<path class="grid" d="M%.1f %dV%d"/>`, p.px(v), from, bottom+5)
		b.put(`<text class="%s" text-anchor="middle" x="%.1f" y="%d">%s</text>`, class, p.px(v), bottom+22, p.x.show(v))
	}
	for _, m := range p.marks {
		b.put(`<path class="mark" d="M%.1f %dV%d"><title>%s</title></path>`, p.px(m.x), top, bottom, m.name)
	}
	points := 0
	for _, l := range p.lines {
		p.curve(&b, l)
		points += len(l.x)
	}
	for _, l := range p.lines {
		p.points(&b, l, points <= pointsNamed)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // put has escaped all text
}

// curve draws a line that is not loose, and the area below it: one
// path for each stretch without a gap.
func (p plot) curve(b *svg, l line) {
	var path, area strings.Builder
	for i := 0; i < len(l.x) && !l.loose; i++ {
		var stretch strings.Builder
		from := i
		for ; i < len(l.x) && p.shows(l.y[i]); i++ {
			fmt.Fprintf(&stretch, "L%.1f %.1f", p.px(l.x[i]), p.py(l.y[i]))
		}
		if i > from {
			fmt.Fprintf(&path, "M%s", stretch.String()[1:])
			fmt.Fprintf(&area, "M%.1f %d%sV%dZ", p.px(l.x[from]), bottom, &stretch, bottom)
		}
	}
	if l.filled && area.Len() > 0 {
		b.put(`<path class="area c%d" d="%s"/>`, l.class%colours, area.String())
	}
	if path.Len() > 0 {
		b.put(`<path class="curve c%d" d="%s"/>`, l.class%colours, path.String())
	}
}

// points draws the points of a loose line, or invisible ones that
// show their value under the pointer.
func (p plot) points(b *svg, l line, named bool) {
	class := "dot"
	if l.loose {
		class = "point"
	}
	for i, x := range l.x {
		if (l.loose || named) && p.shows(l.y[i]) {
			b.put(`<circle class="%s c%d" cx="%.1f" cy="%.1f" r="5">`, class, l.class%colours, p.px(x), p.py(l.y[i]))
			b.put(`<title>%s %s at %s</title></circle>`, l.name, p.y.show(l.y[i]), p.x.show(x))
		}
	}
}

// thin reduces a long curve to the lowest and the highest point of each few.
func (l line) thin() line {
	if len(l.x) <= pointsDrawn {
		return l
	}
	n := (2*len(l.x) + pointsDrawn - 1) / pointsDrawn
	x, y := l.x, l.y
	l.x, l.y = nil, nil
	for some := range slices.Chunk(y, n) {
		low, high := slices.Index(some, slices.Min(some)), slices.Index(some, slices.Max(some))
		for _, i := range []int{min(low, high), max(low, high)} {
			l.x, l.y = append(l.x, x[i]), append(l.y, some[i])
		}
		x = x[len(some):]
	}
	return l
}

type legend struct{ Name, Class string }

// Legend names the curves.
func (p plot) Legend() (all []legend) {
	for _, l := range p.lines {
		all = append(all, legend{l.name, fmt.Sprintf("c%d", l.class%colours) + unless(!l.loose, " points")})
	}
	if len(p.marks) > 0 {
		all = append(all, legend{"errors", "marked"})
	}
	return all
}
