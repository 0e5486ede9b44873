package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// plot is a chart of lines, drawn as SVG. Its colours are classes, so that the page's style decides on them, light and dark.
type plot struct {
	Title  string
	x, y   axis
	lines  []line
	shaded float64 // up to this x there is the warm-up; NaN for none
}

// line is a curve; points that are no numbers interrupt it.
type line struct {
	name   string
	class  int // which colour
	dashed bool
	x, y   []float64
}

// axis maps values to a place between 0 and 1.
type axis struct {
	min, max float64
	log      bool
	ticks    []float64
	show     func(float64) string
}

// The size of a chart, in the units of its viewBox.
const (
	width, height         = 720, 300
	left, right, top, low = 64, 16, 12, 34
)

// linear is an axis from 0, or from min if that is below, with about n round ticks.
func linear(min, max float64, n int, show func(float64) string) axis {
	if max <= min {
		max = min + 1
	}
	raw := (max - min) / float64(n)
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, round := range []float64{10, 5, 2} {
		if raw > step*round/2 {
			step *= round
			break
		}
	}
	a := axis{min: min, max: max, show: show}
	for v := math.Ceil(min/step) * step; v <= max+step/1e6; v += step {
		a.ticks = append(a.ticks, v)
	}
	return a
}

// logarithmic is an axis from one of 1, 2, 5, 10, 20 … to another, with a tick at each between.
func logarithmic(min, max float64, show func(float64) string) axis {
	a := axis{log: true, show: show}
	for e := math.Floor(math.Log10(math.Max(min, 1e-9))); a.max == 0; e++ {
		for _, f := range []float64{1, 2, 5} {
			v := f * math.Pow(10, e)
			if v <= min {
				a.ticks = a.ticks[:0]
			}
			if a.ticks = append(a.ticks, v); v >= max && len(a.ticks) > 1 {
				a.min, a.max = a.ticks[0], v
				break
			}
		}
	}
	return a
}

func (a axis) at(v float64) float64 {
	if a.log {
		return (math.Log10(math.Max(v, a.min)) - math.Log10(a.min)) / (math.Log10(a.max) - math.Log10(a.min))
	}
	return (v - a.min) / (a.max - a.min)
}

func (p plot) px(v float64) float64 { return left + p.x.at(v)*(width-left-right) }
func (p plot) py(v float64) float64 { return height - low - p.y.at(v)*(height-low-top) }

// SVG draws the chart.
func (p plot) SVG() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(p.Title))
	if !math.IsNaN(p.shaded) && p.shaded > p.x.min {
		fmt.Fprintf(&b, `<rect class="warm" x="%d" y="%d" width="%.1f" height="%d"/>`, left, top, p.px(p.shaded)-left, height-low-top)
		fmt.Fprintf(&b, `<text class="tick" x="%d" y="%d">warm-up</text>`, left+6, top+14)
	}
	for _, v := range p.y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, width-right, p.py(v), p.py(v))
		fmt.Fprintf(&b, `<text class="tick" text-anchor="end" x="%d" y="%.1f">%s</text>`, left-8, p.py(v)+4, template.HTMLEscapeString(p.y.show(v)))
	}
	for _, v := range p.x.ticks {
		fmt.Fprintf(&b, `<text class="tick" text-anchor="middle" x="%.1f" y="%d">%s</text>`, p.px(v), height-low+20, template.HTMLEscapeString(p.x.show(v)))
	}
	for _, l := range p.lines {
		p.draw(&b, l)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text in it is escaped above
}

func (p plot) draw(b *strings.Builder, l line) {
	var path strings.Builder
	move := true
	for i := range l.x {
		if math.IsNaN(l.y[i]) || l.y[i] <= 0 && p.y.log {
			move = true
			continue
		}
		command := 'L'
		if move {
			command, move = 'M', false
		}
		fmt.Fprintf(&path, "%c%.1f %.1f", command, p.px(l.x[i]), p.py(l.y[i]))
	}
	if path.Len() == 0 {
		return
	}
	dash := ""
	if l.dashed {
		dash = " dashed"
	}
	fmt.Fprintf(b, `<path class="curve c%d%s" d="%s"><title>%s</title></path>`, l.class%colours, dash, path.String(), template.HTMLEscapeString(l.name))
}

// colours is how many classes of curve the style knows.
const colours = 8

// Legend names the curves.
func (p plot) Legend() []legend {
	var all []legend
	for _, l := range p.lines {
		all = append(all, legend{Name: l.name, Class: fmt.Sprintf("c%d", l.class%colours), Dashed: l.dashed})
	}
	return all
}

type legend struct {
	Name, Class string
	Dashed      bool
}
