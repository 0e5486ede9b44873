package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/tune"
	"github.com/seed-7410fe32/sluice/internal/significance"
)

// tuningView is a tuning on a page.
type tuningView struct {
	Title, Sub string
	Config     []string
	Stages     []stageView
	Facts      []pair
}

// stageView is a stage of a tuning in words.
type stageView struct {
	Knob, Rest string // Rest is what else was set
	Result     string
	Plots      []plot
	Head       []string
	Rows       []trialRow
}

type trialRow struct {
	Class string // best, or out for a value that was left out
	Cells []string
	Note  string
}

func stageOf(s tune.Stage) stageView {
	best, sure := s.Best()
	mode := s.Trials[0].Reports[0].Options.Mode
	rates, cpu := mode.Units()+" a second", "CPU a "+mode.Unit()
	v := stageView{
		Knob: s.Knob, Head: []string{s.Knob, rates, "±", cpu, "±", "p99"},
		Plots: []plot{
			knobPlot(s, rates, Count, tune.Trial.Rate), knobPlot(s, cpu+", all servers", axisMicros, tune.Trial.CPU),
		},
	}
	switch {
	case best.LeftOut() != "":
		v.Result = fmt.Sprintf("%s %s was left out, so there is nothing to compare with: keep it", s.Knob, best.Value)
	case sure:
		v.Result = fmt.Sprintf("%s %s is better by more than the spread of its runs", s.Knob, best.Value)
	default:
		v.Result = fmt.Sprintf("no difference beyond the spread of the runs: keep %s %s", s.Knob, best.Value)
	}
	rest := strings.Fields(best.Setting.String())
	rest = slices.DeleteFunc(rest, func(f string) bool { return strings.HasPrefix(f, s.Knob+"=") })
	v.Rest = strings.Join(rest, " ")
	for _, t := range s.Trials {
		row := trialRow{Note: clean(t.LeftOut())}
		row.Cells = []string{
			t.Value, Count(significance.Median(t.Rate())), deviation(t.Rate()),
			cpuTime(significance.Median(t.CPU())), deviation(t.CPU()),
			Micros(int64(significance.Median(t.P99()))),
		}
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

// knobPlot has the values of a knob on the x axis. Each run is a point. The medians are joined
// where the values have an order; a value that was left out has none.
func knobPlot(s tune.Stage, title string, show func(float64) string, figure func(tune.Trial) []float64) plot {
	p := plot{Title: title, Note: "by " + s.Knob}
	median, runs := line{name: "median"}, line{name: "each run", loose: true}
	if s.Knob == "pin" {
		median.loose, median.class = true, 1
	}
	for i, t := range s.Trials {
		x, middle := float64(i), significance.Median(figure(t))
		if t.LeftOut() != "" {
			middle = math.NaN()
		}
		median.x, median.y = append(median.x, x), append(median.y, middle)
		for _, y := range figure(t) {
			runs.x, runs.y = append(runs.x, x), append(runs.y, y)
		}
		p.x.ticks = append(p.x.ticks, x)
	}
	p.x.min, p.x.max = -0.5, float64(len(s.Trials))-0.5
	p.x.show = func(x float64) string { return s.Trials[int(x)].Value }
	p.lines = []line{runs, median}
	return p.fromZero(0, 4, show)
}

// Tuning writes the stages of a tuning and the settings to use.
func Tuning(w io.Writer, stages []tune.Stage) error {
	var b strings.Builder
	for _, s := range stages {
		v := stageOf(s)
		rows, notes := [][]string{append(v.Head, "")}, ""
		for _, r := range v.Rows {
			rows = append(rows, append(r.Cells, fmt.Sprintf("%-4s", unless(r.Class == "out", r.Note))))
			if r.Class == "out" {
				notes += fmt.Sprintf("  %s %s %s\n", v.Knob, r.Cells[0], r.Note)
			}
		}
		table(&b, rows...)
		fmt.Fprintf(&b, "%s  %s\n\n", notes, v.Result)
	}
	fmt.Fprintf(&b, "Use\n  %s\n", strings.Join(configLines(stages), "\n  "))
	_, err := io.WriteString(w, b.String())
	return err
}

// configLines are the commands, and the Go code, for the setting to use.
func configLines(stages []tune.Stage) []string {
	best, _ := stages[len(stages)-1].Best()
	s := best.Setting
	return []string{
		fmt.Sprintf("sluice gateway --reactors %d%s", s.Reactors, unless(!s.Pin, " --pin")),
		fmt.Sprintf("gateway.Config{Loops: %d%s}", s.Reactors, unless(!s.Pin, ", PinCPUs: true")),
		fmt.Sprintf("GOMAXPROCS=%d sluice chat --worker  # %d of these", s.WorkerProcs, s.Workers),
	}
}

// TuningHTML writes a page with a plot of each knob. Like HTML, it is complete in itself.
func TuningHTML(w io.Writer, stages []tune.Stage) error {
	reports := stages[0].Trials[0].Reports
	v := tuningView{
		Title: "Tuning: " + titleOf(&bench.Report{Options: reports[0].Options}), Config: configLines(stages),
		Sub: reports[0].Started.Format("2006-01-02 15:04 MST") + " · median of " + plural(len(reports), "round"),
	}
	for _, p := range facts(reports[0]) {
		if slices.Contains([]string{"command", "version", "CPU", "CPUs", "Kernel", "Go", "loops"}, p.Name) {
			v.Facts = append(v.Facts, p)
		}
	}
	for _, s := range stages {
		v.Stages = append(v.Stages, stageOf(s))
	}
	return writePage(w, page{Tuning: &v})
}
