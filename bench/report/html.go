package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"

	"github.com/seed-7410fe32/sluice/bench"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

//go:embed page.css
var style string

// HTML writes one page with figures and plots of the reports, complete in itself: it loads nothing and runs nothing. Several reports are drawn over each other.
func HTML(w io.Writer, reports ...*bench.Report) error {
	if len(reports) == 0 {
		return errors.New("report: a page of no report")
	}
	v := view{Style: template.CSS(style)} // the style is our own file
	for i, r := range reports {
		run := runView{model: modelOf(r), Name: runName(reports, i)}
		if len(reports) > 1 {
			run.Colour = fmt.Sprintf("c%d", i%colours)
		}
		v.Runs = append(v.Runs, run)
	}
	var err error
	if v.Plots, err = charts(reports); err != nil {
		return err
	}
	for i := range reports[1:] {
		unlike, _ := differences(reports[:1], reports[i+1:i+2])
		for _, s := range unlike {
			v.Differences = append(v.Differences, fmt.Sprintf("A = %s, B = %s: %s", v.Runs[0].Name, v.Runs[i+1].Name, s))
		}
	}
	return pageTemplate.Execute(w, v)
}

// view is what the page's template is filled with.
type view struct {
	Style       template.CSS
	Runs        []runView
	Plots       []plot
	Differences []string // why the runs are not comparable
}

type runView struct {
	model
	Name   string
	Colour string // of its curves, where reports are drawn over each other; else empty
}
