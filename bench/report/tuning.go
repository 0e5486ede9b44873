package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench/tune"
	"github.com/seed-7410fe32/sluice/internal/stat"
)

//go:embed tuning.html
var tuningPage string

// stageView is a stage as text and page show it.
type stageView struct {
	Knob, Rest string // Rest is what else was set
	Result     string
	Plots      []plot
	Head       []string
	Rows       []trialRow
}

type trialRow struct {
	Class string // best, or out for one that was left out
	Cells []string
	Note  string
	rate  float64
}

func stageOf(s tune.Stage) stageView {
	best, sure := s.Best()
	mode := s.Trials[0].Reports[0].Options.Mode
	v := stageView{
		Knob: s.Knob, Head: []string{s.Knob, mode.Units() + " a second", "±", "CPU a " + mode.Unit(), "±", "p99"},
		Result: fmt.Sprintf("%s %s is better by more than the spread of its runs", s.Knob, best.Value),
		Plots:  []plot{knobPlot(s, mode.Units()+" a second", Count, tune.Trial.Rate), knobPlot(s, "CPU a "+mode.Unit()+", all servers", axisMicros, tune.Trial.CPU)},
	}
	if !sure {
		v.Result = fmt.Sprintf("no difference past the spread of the runs: keep %s %s", s.Knob, best.Value)
	}
	if reason := best.LeftOut(); reason != "" {
		v.Result = fmt.Sprintf("nothing to compare with, for %s %s was left out: keep it", s.Knob, best.Value)
	}
	for f := range strings.FieldsSeq(best.Setting.String()) {
		if name, _, _ := strings.Cut(f, "="); name != s.Knob {
			v.Rest = strings.TrimSpace(v.Rest + " " + f)
		}
	}
	for _, t := range s.Trials {
		rate, cpu := stat.Median(t.Rate()), stat.Median(t.CPU())
		row := trialRow{Cells: []string{t.Value, Count(rate), deviation(t.Rate()), cpuTime(cpu), deviation(t.CPU()), Micros(int64(stat.Median(t.P99())))}, Note: clean(t.LeftOut()), rate: rate}
		switch {
		case row.Note != "":
			row.Class = "out"
		case t.Setting == best.Setting && sure:
			row.Class, row.Note = "best", "best"
		case t.Setting == best.Setting:
			row.Note = "kept"
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// knobPlot has the values of a knob along it: the median of the trials, joined where the values have an order, and each run as a point. What was left out has no median.
func knobPlot(s tune.Stage, title string, show func(float64) string, figure func(tune.Trial) []float64) plot {
	p := plot{Title: title, Note: "by " + s.Knob}
	median, runs := line{name: "median"}, line{name: "each run", loose: true}
	if s.Knob == "pin" {
		median.loose, median.class = true, 1
	}
	for i, t := range s.Trials {
		x, middle := float64(i), stat.Median(figure(t))
		if t.LeftOut() != "" {
			middle = math.NaN()
		}
		median.x, median.y = append(median.x, x), append(median.y, middle)
		runs.x, runs.y = append(runs.x, slices.Repeat([]float64{x}, len(t.Reports))...), append(runs.y, figure(t)...)
		p.x.ticks = append(p.x.ticks, x)
	}
	p.x.min, p.x.max = -0.5, float64(len(s.Trials))-0.5
	p.x.show = func(x float64) string { return s.Trials[int(x)].Value }
	p.lines = []line{runs, median}
	return p.upwards(0, 4, show)
}

// Tuning writes what a tuning tried, knob by knob, and what to set.
func Tuning(w io.Writer, stages []tune.Stage) error {
	var b strings.Builder
	for _, s := range stages {
		v := stageOf(s)
		rows, top := [][]string{append(v.Head, "")}, 1.0
		for _, r := range v.Rows {
			top = max(top, r.rate)
		}
		for _, r := range v.Rows {
			bar, _ := bar(r.rate/top, 22)
			rows = append(rows, append(r.Cells, fmt.Sprintf("  %-28s", bar+" "+unless(r.Class == "out", r.Note))))
		}
		table(&b, rows...)
		for _, r := range v.Rows {
			if r.Class == "out" {
				fmt.Fprintf(&b, "  %s %s %s\n", v.Knob, r.Cells[0], r.Note)
			}
		}
		fmt.Fprintf(&b, "  %s\n\n", v.Result)
	}
	fmt.Fprintf(&b, "Use\n  %s\n", strings.Join(configLines(stages), "\n  "))
	_, err := io.WriteString(w, b.String())
	return err
}

// configLines are the commands, and what they are in Go, that have the setting to use.
func configLines(stages []tune.Stage) []string {
	best, _ := stages[len(stages)-1].Best()
	s, pin, pinned := best.Setting, "", ""
	if s.Pin {
		pin, pinned = " --pin", ", PinCPUs: true"
	}
	return []string{
		fmt.Sprintf("sluice gateway --reactors %d%s", s.Reactors, pin), fmt.Sprintf("gateway.Config{Loops: %d%s}", s.Reactors, pinned),
		fmt.Sprintf("GOMAXPROCS=%d sluice chat --worker  # %d of these", s.WorkerProcs, s.Workers),
	}
}

// TuningHTML writes a page with a plot of each knob, complete in itself.
func TuningHTML(w io.Writer, stages []tune.Stage) error {
	t, err := template.New("tuning").Parse(tuningPage)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	first := stages[0].Trials[0].Reports[0]
	v := struct {
		Style      template.CSS
		Title, Sub string
		Config     []string
		Stages     []stageView
		Facts      []pair
	}{
		Style: template.CSS(style), Title: "Tuning: " + load(first.Options), Config: configLines(stages), // the style is our own file
		Sub: first.Started.Format("2006-01-02 15:04 MST") + " · " + plural(len(stages[0].Trials[0].Reports), "round") + ", the median counts",
	}
	for _, p := range facts(first) {
		if slices.Contains([]string{"machine", "system", "command", "version", "generator"}, p.Name) {
			v.Facts = append(v.Facts, p)
		}
	}
	for _, s := range stages {
		v.Stages = append(v.Stages, stageOf(s))
	}
	return t.Execute(w, v)
}
