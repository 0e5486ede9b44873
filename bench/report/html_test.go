package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
)

// TestHTML checks that plots are complete, that nothing is loaded from
// elsewhere, and that text is escaped.
func TestHTML(t *testing.T) {
	t.Parallel()
	a, b := sample(t, 1000), sample(t, 3000)
	a.Label, b.Label = `<script>alert(1)</script>"'`, "b"
	b.Verdict.Reasons = []string{"<img src=x>"}
	idle := sample(t, 0)
	idle.Options.Mode, idle.Timeline = bench.Idle, nil
	for name, c := range map[string]struct {
		reports []*bench.Report
		plots   int
	}{"one": {[]*bench.Report{a}, 4}, "two": {[]*bench.Report{a, b}, 4}, "nothing measured": {[]*bench.Report{idle}, 0}} {
		var page bytes.Buffer
		if err := HTML(&page, c.reports...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		complete(t, name, page.String(), c.plots)
	}
	if err := HTML(io.Discard); err == nil {
		t.Error("a page of nothing")
	}
}

// complete checks that a page has so many complete plots, and nothing foreign.
func complete(t *testing.T, name, page string, plots int) {
	t.Helper()
	for _, bad := range []string{"<script", "<img", "http:", "https:", "NaN", "Inf", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("%s: there is %q on the page", name, bad)
		}
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(drawings) != plots {
		t.Errorf("%s: %d drawings, want %d", name, len(drawings), plots)
	}
	for _, svg := range drawings {
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in %s", name, err, svg)
			}
		}
		if !strings.Contains(svg, `<path class="curve`) && !strings.Contains(svg, `<circle class="point`) {
			t.Errorf("%s: a drawing of nothing", name)
		}
	}
}

func TestAxes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a    axis
		want []float64
	}{
		{linear(0, 100, 5, Count), []float64{0, 20, 40, 60, 80, 100}},
		{linear(-2, 6, 8, Count), []float64{-2, -1, 0, 1, 2, 3, 4, 5, 6}},
		{linear(0, 0.9, 4, Count), []float64{0, 0.2, 0.4, 0.6, 0.8}},
		{linear(0, 0, 4, Count), []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{logarithmic(150, 900, Count), []float64{100, 200, 500, 1000}},
		{logarithmic(1000, 1000, Count), []float64{1000, 2000}},
		{logarithmic(1, 20, Count), []float64{1, 2, 5, 10, 20}},
		{logarithmic(3, 4000, Count), []float64{10, 100, 1000}},
		{seconds(-60, 540), []float64{0, 120, 240, 360, 480}},
		{logarithmic(0, 1, Count), []float64{1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, .01, .1, 1}},
		{nines(3), []float64{0, 1, 2, 3}},
	} {
		same := slices.EqualFunc(c.a.ticks, c.want, func(x, y float64) bool { return math.Abs(x-y) < 1e-9 })
		if !same || c.a.at(c.a.min) != 0 || c.a.at(c.a.max) != 1 {
			t.Errorf("%v, want %v; from %v to %v", c.a.ticks, c.want, c.a.at(c.a.min), c.a.at(c.a.max))
		}
	}
}

// TestNines checks the labels of percentiles.
func TestNines(t *testing.T) {
	t.Parallel()
	a := nines(8)
	for x, want := range map[float64]string{0: "0", 1: "90", 2: "99", 3: "99.9", 4: "99.99", 7: "99.99999", 1.5: "96.84"} {
		if got := a.show(x); got != want {
			t.Errorf("%v nines: %s, want %s", x, got, want)
		}
	}
}

// TestThin reduces the curve of a long run: its ends and its peaks must stay.
func TestThin(t *testing.T) {
	t.Parallel()
	var l line
	for i := range 36_000 {
		l.x, l.y = append(l.x, float64(i)), append(l.y, 10)
	}
	l.y[17_017], l.y[35_999] = 99, 1
	thin := l.thin()
	if len(thin.x) > pointsDrawn || !slices.IsSorted(thin.x) || len(thin.x) != len(thin.y) {
		t.Errorf("%d points", len(thin.x))
	}
	for _, peak := range []int{17_017, 35_999} {
		if i := slices.Index(thin.x, float64(peak)); i < 0 || thin.y[i] != l.y[peak] {
			t.Errorf("the peak at %d is not among them", peak)
		}
	}
}

// TestGap has curves with gaps: each stretch is a path of its own, and the area below ends with it.
func TestGap(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct {
		y            []float64
		pieces, ways int
	}{
		{[]float64{1, 2, 3}, 1, 2}, {[]float64{1, 2, nan, 3, 4}, 2, 2},
		{[]float64{nan, 1, nan, 2, 3, nan}, 2, 1}, {[]float64{nan, nan}, 0, 0},
	} {
		p := plot{
			x: linear(0, 5, 5, Count), y: linear(0, 5, 5, Count),
			lines: []line{{filled: true, y: c.y, x: []float64{0, 1, 2, 3, 4, 5}[:len(c.y)]}},
		}
		d := regexp.MustCompile(`class="(curve|area)[^>]* d="([^"]*)"`).FindAllStringSubmatch(string(p.SVG()), -1)
		if c.pieces == 0 && len(d) == 0 {
			continue
		}
		if len(d) != 2 || strings.Count(d[0][2], "Z") != c.pieces || strings.Count(d[1][2], "M") != c.pieces ||
			strings.Count(d[1][2], "L") != c.ways {
			t.Errorf("%v is drawn as %v", c.y, d)
		}
	}
}
