package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/tune"
)

// tuned is a tuning of two knobs. Of 1, 2 and 4 reactors, 4 is the default, 2 is better, and 1 is
// the fastest but was limited by the generator.
func tuned(t *testing.T) []tune.Stage {
	trial := func(value string, s tune.Setting, rates ...float64) tune.Trial {
		x := tune.Trial{Value: value, Setting: s}
		for _, rate := range rates {
			r := sample(t, 1000)
			r.Options.Mode, r.Rate = bench.Echo, rate
			r.Servers = []bench.ProcessUsage{
				{Name: "gateway", PerMessage: 1e6 / rate}, {Name: "worker", PerMessage: 2},
			}
			x.Reports = append(x.Reports, r)
		}
		return x
	}
	with := func(reactors int, pin bool) tune.Setting {
		return tune.Setting{Reactors: reactors, Workers: 2, WorkerProcs: 8, Pin: pin}
	}
	stages := []tune.Stage{
		{Knob: "reactors", Before: with(4, false), Trials: []tune.Trial{
			trial("1", with(1, false), 300e3, 300e3, 300e3, 310e3),
			trial("2", with(2, false), 90e3, 100e3, 110e3, 100e3),
			trial("4", with(4, false), 40e3, 50e3, 50e3, 60e3),
		}},
		{Knob: "pin", Before: with(2, false), Trials: []tune.Trial{
			trial("false", with(2, false), 100e3, 90e3, 110e3),
			trial("true", with(2, true), 105e3, 90e3, 110e3),
		}},
	}
	stages[0].Trials[0].Reports[2].Verdict = bench.Verdict{Reasons: []string{"the generator was \x1b[31m the limit"}}
	return stages
}

func TestTuning(t *testing.T) {
	t.Parallel()
	stages := tuned(t)
	var text, page bytes.Buffer
	if err := Tuning(&text, stages); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"reactors  messages a second     ±  CPU a message     ±      p99",
		"\n  1                      300k   3 %        5.33 µs   2 %",
		"\n  2                      100k  10 %       12.00 µs   9 %", "  best\n",
		"\n  reactors 1 left out, INVALID: the generator was  [31m the limit\n",
		"\n  reactors 2 is better by more than the spread of its runs\n\n  pin  ", "  kept\n",
		"\n  no difference beyond the spread of the runs: keep pin false\n",
		"Use\n  sluice gateway --reactors 2\n  gateway.Config{Loops: 2}\n  GOMAXPROCS=8 sluice chat --worker  # 2 of these\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	stages[1].Before.Pin = true // as --pin=true alone has it
	stages[1].Trials[1].Reports[0].Verdict = bench.Verdict{Failed: true, Reasons: []string{"<3 lost>"}}
	if err := TuningHTML(&page, stages); err != nil {
		t.Fatal(err)
	}
	complete(t, "tuning", page.String(), 4)
	for _, want := range []string{
		"sluice gateway --reactors 2 --pin", `<tr class="best"><td>2</td>`, `<tr class="out"><td>1</td>`,
		"left out, FAILED: &lt;3 lost&gt;", "with workers=2 worker-procs=8 pin=false",
		"pin true was left out, so there is nothing to compare with: keep it",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q on the page", want)
		}
	}
}

// TestKnobPlot joins values that have an order, with a gap for one that was
// left out, and does not join others.
func TestKnobPlot(t *testing.T) {
	t.Parallel()
	for i, want := range []struct{ curves, moves, lines, points int }{{1, 1, 1, 12}, {0, 0, 0, 6 + 2}} {
		svg := string(knobPlot(tuned(t)[i], "rate", Count, tune.Trial.Rate).SVG())
		curve := regexp.MustCompile(`<path class="curve[^>]* d="([^"]*)"`).FindAllStringSubmatch(svg, -1)
		if len(curve) != want.curves || strings.Count(svg, `class="point`) != want.points {
			t.Fatalf("%d curves and %d points, want %+v", len(curve), strings.Count(svg, `class="point`), want)
		}
		if want.curves > 0 &&
			(strings.Count(curve[0][1], "M") != want.moves || strings.Count(curve[0][1], "L") != want.lines) {
			t.Errorf("%s, want the two values that were not left out joined", curve[0][1])
		}
	}
}
