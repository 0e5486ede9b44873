package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"

	"sluice/bench"
)

//go:embed page.html
var page string

//go:embed page.css
var style string

// HTML writes one page with figures and plots of the reports, complete in itself: it loads nothing and runs nothing. Several reports are drawn over each other.
func HTML(w io.Writer, reports ...*bench.Report) error {
	if len(reports) == 0 {
		return errors.New("report: a page of no report")
	}
	t, err := template.New("page").Parse(page)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	v := view{Style: template.CSS(style)} // the style is our own file
	for i, r := range reports {
		run := runView{model: modelOf(r), Name: runName(reports, i)}
		if len(reports) > 1 {
			run.Colour = fmt.Sprintf("c%d", i%colours)
		}
		v.Runs = append(v.Runs, run)
	}
	if v.Plots, err = charts(reports); err != nil {
		return err
	}
	v.Overview = overview(reports)
	for i := range reports[1:] {
		unlike, _ := differences(reports[:1], reports[i+1:i+2])
		for _, s := range unlike {
			v.Differences = append(v.Differences, fmt.Sprintf("A = %s, B = %s: %s", v.Runs[0].Name, v.Runs[i+1].Name, s))
		}
	}
	return t.Execute(w, v)
}

// view is what the page's template is filled with.
type view struct {
	Style       template.CSS
	Runs        []runView
	Plots       []plot
	Overview    [][]string // a row for each run, behind its name and verdict; the first row is the head
	Differences []string   // why the runs are not comparable
}

type runView struct {
	model
	Name   string
	Colour string // of its curves, where reports are drawn over each other; else empty
}

// overview sets runs side by side; what one did not measure is empty.
func overview(reports []*bench.Report) [][]string {
	all := [][]string{{"a second", "p50", "p99", "p99.9", "max", "server CPU each", "lost", "errors"}}
	for _, r := range reports {
		none, l, cpu := r.Latency.Count == 0, r.Latency, serverCPU(r)
		all = append(all, []string{
			unless(r.Rate == 0, Count(r.Rate)), unless(none, Micros(l.P50)), unless(none, Micros(l.P99)), unless(none, Micros(l.P999)), unless(none, Micros(l.Max)),
			unless(cpu == 0, cpuTime(cpu)), whole(r.Audit.Lost), Count(failures(r)),
		})
	}
	return all
}
