package report

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

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
	v := view{Style: template.CSS(style), Runs: make([]runView, len(reports)), Overview: overviewHead} // the style is our own file
	for i := range reports {
		v.Runs[i] = viewOf(reports, i)
	}
	if v.Plots, err = charts(reports); err != nil {
		return err
	}
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
	Overview    []string // what the table of several runs has of each
	Differences []string // why the runs are not comparable
}

type runView struct {
	*bench.Report
	Name, Title, Loop, When string
	Verdict, Class          string // Class is ok, failed or invalid
	Colour                  string // of its curves, where reports are drawn over each other; else empty
	Figures                 []pair
	Overview                []string // as view.Overview names it
	Processes               rows
	Audit                   []pair
	Facts                   []pair
}

type pair struct{ Name, Value string }

type rows struct {
	Head []string
	Rows [][]string
}

func viewOf(reports []*bench.Report, i int) runView {
	r := reports[i]
	v := runView{
		Report: r, Name: runName(reports, i), Title: Title(r), Loop: loop(r), When: r.Started.Format("2006-01-02 15:04 MST"), Verdict: Verdict(r), Class: "ok",
		Figures: keyFigures(r), Overview: overview(r), Facts: facts(r),
	}
	switch {
	case r.Verdict.Failed:
		v.Class = "failed"
	case !r.Verdict.Valid, r.Interrupted:
		v.Class = "invalid"
	}
	if len(reports) > 1 {
		v.Colour = fmt.Sprintf("c%d", i%colours)
	}
	v.Processes.Head, v.Processes.Rows = processRows(r)
	if r.Audit.Expected > 0 || !r.Audit.Clean() {
		head, row := auditRows(r.Audit)
		for i, name := range head {
			v.Audit = append(v.Audit, pair{name, row[i]})
		}
	}
	return v
}

// keyFigures are what is read first.
func keyFigures(r *bench.Report) []pair {
	o, l := r.Options, r.Latency
	if o.Mode == bench.Idle {
		all := []pair{{"connections", whole(uint64(max(r.Opened, 0)))}}
		for _, p := range r.Servers {
			all = append(all, pair{clean(p.Name) + ", a connection", Size(p.PerConn)}, pair{clean(p.Name) + ", " + cpuEach(o.Mode), cpuTime(cpuOf(p))})
		}
		return append(all, pair{"errors", Count(failures(r))})
	}
	all := []pair{{o.Mode.Units() + " a second", Count(r.Rate)}}
	if l.Count > 0 {
		all = append(all, pair{"p50", Micros(l.P50)}, pair{"p99", Micros(l.P99)}, pair{"p99.9", Micros(l.P999)}, pair{"max", Micros(l.Max)})
	}
	if len(r.Servers) > 0 {
		all = append(all, pair{"server CPU a " + o.Mode.Unit(), cpuTime(serverCPU(r))})
	}
	return append(all, pair{"lost", whole(r.Audit.Lost)})
}

var overviewHead = []string{"a second", "p50", "p99", "p99.9", "max", "server CPU each", "lost", "errors"}

// overview is the run's line among others; what it did not measure is empty.
func overview(r *bench.Report) []string {
	none, l := r.Latency.Count == 0, r.Latency
	cpu := serverCPU(r)
	return []string{
		unless(r.Rate == 0, Count(r.Rate)), unless(none, Micros(l.P50)), unless(none, Micros(l.P99)), unless(none, Micros(l.P999)), unless(none, Micros(l.Max)),
		unless(cpu == 0, cpuTime(cpu)), whole(r.Audit.Lost), Count(failures(r)),
	}
}

// facts are what is needed to judge the run and to repeat it.
func facts(r *bench.Report) []pair {
	m, o := r.Machine, r.Options
	all := []pair{{"command", strings.Join(r.Command, " ")}, {"version", r.Version}, {"load", load(o)}}
	if r.Acts != nil {
		all = append(all, pair{"people", acts(r.Acts)})
	}
	if r.Slow != nil {
		all = append(all, pair{"slow readers", slow(r.Slow)})
	}
	if r.Offered > 0 {
		all = append(all, pair{"open loop", offered(r)})
	}
	if r.Lateness.Count > 0 {
		all = append(all, pair{"sent late", "p50 " + Micros(r.Lateness.P50) + ", p99 " + Micros(r.Lateness.P99) + ", max " + Micros(r.Lateness.Max)})
	}
	servers := ""
	if s := o.Servers; s.Gateways > 0 {
		servers = plural(s.Gateways, "gateway") + ", reactors " + s.Reactors + unless(!s.Pin, ", pinned") + "; " + plural(s.Workers, "worker")
		if s.Procs > 0 {
			servers += fmt.Sprintf(", GOMAXPROCS %d", s.Procs)
		}
	}
	all = append(all, pair{"servers", servers}, pair{"targets", some(o.Targets)}, pair{"sources", some(o.Sources)},
		pair{"generator", plural(max(o.Processes, 1), "process") + " of " + plural(o.Loops, "loop")},
		pair{"times", fmt.Sprintf("warm-up %s, window %.1f s, drain at most %s", o.Warmup.Round(time.Millisecond), r.Seconds, o.Drain.Round(time.Millisecond))},
		pair{"machine", strings.Trim(fmt.Sprintf("%s, %s, %s", m.CPU, plural(m.CPUs, "processor"), unless(m.Memory == 0, Size(float64(m.Memory)))), ", ")},
		pair{"system", strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", m.OS, m.Arch, m.Kernel, m.Go)), " ")})
	var told []pair
	for _, p := range all {
		if p.Value != "" {
			told = append(told, p)
		}
	}
	return told
}

// load is what the run's connections do, in full.
func load(o bench.Options) string {
	s := fmt.Sprintf("%s over %s, %s connections", o.Mode, o.Codec, whole(uint64(max(o.Conns, 0))))
	if o.Mode == bench.Idle {
		return s
	}
	s += fmt.Sprintf(", %d B", o.Size)
	switch o.Mode {
	case bench.Broadcast:
		s += ", " + plural(o.Senders, "sender")
	case bench.Rooms, bench.Chat:
		s += fmt.Sprintf(", rooms of %d", o.RoomSize)
	case bench.Churn:
		s += fmt.Sprintf(", %s each", plural(o.PerConn, "message"))
	}
	if o.Rate > 0 {
		return s + ", " + Count(o.Rate) + " a second"
	}
	if o.Mode == bench.Chat {
		return s + ", thinking " + o.Think.String()
	}
	return s + fmt.Sprintf(", %d in flight", o.InFlight)
}

// some are the first of many.
func some(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
