package report

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"

	"github.com/seed-7410fe32/sluice/bench"
)

//go:embed page.html page.css
var files embed.FS

// writePage fills page.html. The page is complete in itself: it loads nothing and runs no script.
func writePage(w io.Writer, view any) error {
	style, err := files.ReadFile("page.css")
	if err != nil {
		return err
	}
	t, err := template.New("page.html").
		Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}).
		ParseFS(files, "page.html")
	if err != nil {
		return err
	}
	return t.Execute(w, view)
}

// page is the input of page.html: reports or a tuning.
type page struct {
	Runs        []runView
	Plots       []plot
	Differences []string // why the runs are not comparable
	Tuning      *tuningView
}

type runView struct {
	model
	Name   string
	Colour string // CSS class of its curves, if there are several runs
}

// HTML writes one page with the figures and plots of the reports. Several reports share the plots.
func HTML(w io.Writer, reports ...*bench.Report) error {
	if len(reports) == 0 {
		return errors.New("report: HTML needs a report")
	}
	var v page
	for i, r := range reports {
		run := runView{model: modelOf(r), Name: runName(reports, i)}
		if len(reports) > 1 {
			run.Colour = fmt.Sprintf("c%d", i%colours)
		}
		v.Runs = append(v.Runs, run)
	}
	for i := range reports[1:] {
		unlike, _ := differences(reports[:1], reports[i+1:i+2])
		for _, s := range unlike {
			v.Differences = append(v.Differences, fmt.Sprintf("A = %s, B = %s: %s", v.Runs[0].Name, v.Runs[i+1].Name, s))
		}
	}
	var err error
	if v.Plots, err = charts(reports); err != nil {
		return err
	}
	return writePage(w, v)
}
