package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// plot is a chart of lines, drawn as SVG. Its colours are classes, so that the page's style decides on them, light and dark.
type plot struct {
	Title, Note string // Note says what is counted, and in which unit
	x, y        axis
	lines       []line
	marks       []mark
	gridX       bool
	warm        bool // before x = 0 there is the warm-up
}

// line is a curve; points that are no numbers interrupt it.
type line struct {
	run, name string
	class     int  // which colour
	dash      int  // which pattern, 0 for none
	filled    bool // down to the axis
	loose     bool // its points are seen, and are not joined
	x, y      []float64
}

// mark is a line across at x.
type mark struct {
	x    float64
	name string
}

// The size of a chart, in the units of its viewBox, and what it holds at most.
const (
	width, height            = 560, 290
	left, right, top, bottom = 70, width - 16, 14, height - 34 // of what is between the axes
	colours, dashes          = 8, 4                            // how many the style knows
	pointsDrawn              = 600                             // of a curve
	roomy                    = 5                               // so many ticks along there is always room for
	pointsNamed              = 400                             // of all curves, to be read when the pointer rests on them
)

func (p plot) px(v float64) float64 { return left + p.x.at(v)*(right-left) }
func (p plot) py(v float64) float64 { return bottom - p.y.at(v)*(bottom-top) }

// svg is a drawing in the making.
type svg struct{ strings.Builder }

// put writes an element; texts among what it holds are escaped.
func (b *svg) put(format string, parts ...any) {
	for i, p := range parts {
		if text, ok := p.(string); ok {
			parts[i] = template.HTMLEscapeString(text)
		}
	}
	_, _ = fmt.Fprintf(b, format, parts...)
}

// SVG draws the chart. Every other tick along gives way on a narrow screen.
func (p plot) SVG() template.HTML {
	var b svg
	b.put(`<svg viewBox="0 0 %d %d" role="img" aria-label="%s, %s">`, width, height, p.Title, p.Note)
	if p.warm {
		b.put(`<rect class="warm" x="%d" y="%d" width="%.1f" height="%d"/>`, left, top, p.px(0)-left, bottom-top)
	}
	for _, v := range p.y.ticks {
		b.put(`<path class="grid" d="M%d %.1fH%d"/><text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>`, left, p.py(v), right, left-8, p.py(v)+4, p.y.show(v))
	}
	b.put(`<path class="base" d="M%d %dH%d"/>`, left, bottom, right)
	for i, v := range p.x.ticks {
		class, from := "tick", bottom
		if i%2 == 1 && len(p.x.ticks) > roomy {
			class = "tick odd"
		}
		if p.gridX {
			from = top
		}
		b.put(`<path class="grid" d="M%.1f %dV%d"/><text class="%s" text-anchor="middle" x="%.1f" y="%d">%s</text>`, p.px(v), from, bottom+5, class, p.px(v), bottom+22, p.x.show(v))
	}
	for _, m := range p.marks {
		b.put(`<path class="mark" d="M%.1f %dV%d"><title>%s</title></path>`, p.px(m.x), top, bottom, m.name)
	}
	points := 0
	for _, l := range p.lines {
		p.draw(&b, l)
		points += len(l.x)
	}
	for _, l := range p.lines {
		p.points(&b, l, points <= pointsNamed)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped above
}

// draw is the curve, and what is under it: a piece for each stretch without a gap.
func (p plot) draw(b *svg, l line) {
	var path, area strings.Builder
	for i := 0; i < len(l.x) && !l.loose; i++ {
		var piece strings.Builder
		from := i
		for ; i < len(l.x) && p.shows(l.y[i]); i++ {
			fmt.Fprintf(&piece, "L%.1f %.1f", p.px(l.x[i]), p.py(l.y[i]))
		}
		if i > from {
			fmt.Fprintf(&path, "M%s", piece.String()[1:])
			fmt.Fprintf(&area, "M%.1f %d%sV%dZ", p.px(l.x[from]), bottom, &piece, bottom)
		}
	}
	if l.filled && area.Len() > 0 {
		b.put(`<path class="area c%d" d="%s"/>`, l.class%colours, area.String())
	}
	if path.Len() > 0 {
		b.put(`<path class="curve c%d d%d" d="%s"/>`, l.class%colours, l.dash%dashes, path.String())
	}
}

// points are those of a loose line, and with names one on each of a curve's that shows under the pointer, with its value.
func (p plot) points(b *svg, l line, names bool) {
	class := "dot"
	if l.loose {
		class = "point"
	}
	for i := range l.x {
		if (l.loose || names) && p.shows(l.y[i]) {
			b.put(`<circle class="%s c%d" cx="%.1f" cy="%.1f" r="5"><title>%s %s at %s</title></circle>`,
				class, l.class%colours, p.px(l.x[i]), p.py(l.y[i]), strings.TrimSpace(l.run+" "+l.name), p.y.show(l.y[i]), p.x.show(l.x[i]))
		}
	}
}

// shows tells whether there is a place for the value.
func (p plot) shows(v float64) bool { return !math.IsNaN(v) && (v > 0 || !p.y.log) }

// thin leaves the lowest and the highest of each few points, where a curve has more than can be told apart.
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

// legend is what the curves of a class are.
type legend struct{ Name, Class string }

// Legend names the curves; with several runs it names first the runs by their colour and then the curves by their pattern.
func (p plot) Legend() (all []legend) {
	add := func(name, class string) {
		if l := (legend{name, class}); !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	for _, l := range p.lines {
		add(cmp.Or(l.run, l.name), fmt.Sprintf("c%d", l.class%colours)+unless(!l.loose, " points"))
	}
	for _, l := range p.lines {
		if l.run != "" {
			add(l.name, fmt.Sprintf("ink d%d", l.dash%dashes))
		}
	}
	if len(p.marks) > 0 {
		add("errors", "marked")
	}
	return all
}
