package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"

	"sluice/bench"
	"sluice/bench/tune"
)

//go:embed tuning.html
var tuningPage string

// Tuning writes what a tuning tried, knob by knob, and what to set.
func Tuning(w io.Writer, stages []tune.Stage) error {
	var b strings.Builder
	for _, s := range stages {
		best := tune.Best(s.Trials)
		rows := [][]string{append([]string{s.Knob}, trialHead(s)...)}
		for _, t := range s.Trials {
			bar, _ := bar(t.Rate()/best.Rate()*0.9, 22) // what is chosen is not always the fastest
			if t.Value == best.Value {
				bar += " best"
			}
			rows = append(rows, append(append([]string{t.Value}, trialCells(t)...), "  "+bar+strings.Repeat(" ", max(28-len([]rune(bar)), 0))))
		}
		table(&b, rows...)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "Use\n  %s\n", strings.Join(configLines(stages), "\n  "))
	if limited(stages) {
		fmt.Fprintf(&b, "\n%s\n", limitedNote)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func trialHead(s tune.Stage) []string {
	unit := s.Trials[0].Reports[0].Options.Mode
	return []string{unit.Units() + " a second", "CPU a " + unit.Unit(), "p99"}
}

func trialCells(t tune.Trial) []string {
	return []string{Count(t.Rate()), cpuTime(t.CPU()), Micros(int64(t.P99()))}
}

// configLines are the commands, and what they are in Go, that have the setting found best.
func configLines(stages []tune.Stage) []string {
	s := tune.Best(stages[len(stages)-1].Trials).Setting
	gateway, config := fmt.Sprintf("sluice gateway --reactors %d", s.Reactors), fmt.Sprintf("gateway.Config{Loops: %d", s.Reactors)
	if s.Pin {
		gateway, config = gateway+" --pin", config+", PinCPUs: true"
	}
	return []string{gateway, config + "}", fmt.Sprintf("GOMAXPROCS=%d sluice chat --worker  # %d of these", s.WorkerProcs, s.Workers)}
}

const limitedNote = "In some runs the generator was the limit: these rates are too low, and CPU a message is the better guide."

// limited tells whether the generator was the limit of a run.
func limited(stages []tune.Stage) bool {
	for _, s := range stages {
		for _, t := range s.Trials {
			for _, r := range t.Reports {
				if !r.Verdict.Valid {
					return true
				}
			}
		}
	}
	return false
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
		Note       string
		Stages     []stageView
		Facts      []pair
	}{
		Style: template.CSS(style), Title: "Tuning: " + load(first.Options), Config: configLines(stages), Note: unless(!limited(stages), limitedNote), // the style is our own file
		Sub: first.Started.Format("2006-01-02 15:04 MST") + " · " + plural(len(stages[0].Trials[0].Reports), "round") + ", the median counts",
	}
	for _, p := range facts(first) {
		if p.Name == "machine" || p.Name == "system" || p.Name == "command" || p.Name == "version" || p.Name == "generator" {
			v.Facts = append(v.Facts, p)
		}
	}
	for _, s := range stages {
		v.Stages = append(v.Stages, stageOf(s))
	}
	return t.Execute(w, v)
}

type stageView struct {
	Knob, Rest string // Rest is what else was set
	Plots      []plot
	Head       []string
	Rows       []struct {
		Class string
		Cells []string
	}
}

func stageOf(s tune.Stage) stageView {
	best := tune.Best(s.Trials)
	v := stageView{Knob: s.Knob, Head: append([]string{s.Knob}, trialHead(s)...)}
	for f := range strings.FieldsSeq(best.Setting.String()) {
		if name, _, _ := strings.Cut(f, "="); name != s.Knob {
			v.Rest = strings.TrimSpace(v.Rest + " " + f)
		}
	}
	for _, t := range s.Trials {
		row := struct {
			Class string
			Cells []string
		}{unless(t.Value != best.Value, "best"), append([]string{t.Value}, trialCells(t)...)}
		v.Rows = append(v.Rows, row)
	}
	mode := s.Trials[0].Reports[0].Options.Mode
	v.Plots = []plot{
		knobPlot(s, mode.Units()+" a second", Count, tune.Trial.Rate),
		knobPlot(s, "CPU a "+mode.Unit()+", all servers", axisMicros, tune.Trial.CPU),
	}
	return v
}

// knobPlot has the values of a knob along it: the median of the trials as a curve, each run as a point.
func knobPlot(s tune.Stage, title string, show func(float64) string, value func(tune.Trial) float64) plot {
	p := plot{Title: title, Note: "by " + s.Knob, shaded: math.NaN()}
	median, runs := line{name: "median"}, line{name: "each run", scattered: true}
	top := 0.0
	for i, t := range s.Trials {
		median.x, median.y = append(median.x, float64(i)), append(median.y, value(t))
		for _, r := range t.Reports {
			y := value(tune.Trial{Reports: []*bench.Report{r}})
			runs.x, runs.y = append(runs.x, float64(i)), append(runs.y, y)
			top = max(top, y)
		}
		p.x.ticks = append(p.x.ticks, float64(i))
	}
	p.x.min, p.x.max = -0.5, float64(len(s.Trials))-0.5
	p.x.show = func(x float64) string { return s.Trials[int(x)].Value }
	p.y = linear(0, top*1.08, 4, show)
	p.lines = []line{runs, median}
	return p
}
