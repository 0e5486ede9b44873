package report

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// model is a report in words, for text and HTML. It holds no control characters.
type model struct {
	Title, Loop, When string
	Verdict, Class    string // Class is ok, failed or invalid
	Reasons           []string
	Figures           []pair     // the headline; an empty value was not measured
	Speed             []string   // sentences
	Latency           [][]string // the first row is the head, as in Audit and Processes; nil: nothing was timed
	Audit             [][]string // nil: nothing was sent
	Errors            [][]string // count, kind and example
	Processes         [][]string // the generator is the last
	Facts             []pair     // what is needed to judge and to repeat the run
}

type pair struct{ Name, Value string }

func modelOf(r *bench.Report) model {
	m := model{
		Title: titleOf(r), Loop: loop(r.Options), When: r.Started.Format("2006-01-02 15:04 MST"), Verdict: Verdict(r),
		Figures: headline(r), Speed: speed(r), Facts: facts(r),
	}
	m.Class = map[string]string{"OK": "ok", "FAILED": "failed", "INVALID": "invalid", "INTERRUPTED": "invalid"}[m.Verdict]
	for _, reason := range r.Verdict.Reasons {
		m.Reasons = append(m.Reasons, clean(reason))
	}
	if r.Latency.Count > 0 {
		rows := []row{{"latency  ", r}}
		if r.Lateness.Count > 0 {
			rows = append(rows, row{"sent late", &bench.Report{Latency: r.Lateness}})
		}
		m.Latency = rowsOf(latencyFigures, "", rows...)
	}
	if r.Audit.Expected > 0 || !r.Audit.Clean() {
		m.Audit = rowsOf(auditFigures, "", row{"messages ", r})
	}
	for _, e := range r.Errors {
		m.Errors = append(m.Errors, []string{whole(e.Count), clean(e.Kind), clean(e.Example)})
	}
	var all []row
	for _, p := range slices.Concat(r.Servers, []bench.ProcessUsage{r.Own}) {
		all = append(all, row{clean(p.Name), only(p)})
	}
	m.Processes = rowsOf(processFigures(r.Options.Mode), "process", all...)
	return m
}

type row struct {
	name string
	of   *bench.Report
}

// rowsOf makes a table of the figures that have a name and that a
// row has. Its first row is the head.
func rowsOf(figures []figure, head string, rows ...row) [][]string {
	all := [][]string{{head}}
	for _, x := range rows {
		all = append(all, []string{x.name})
	}
	for _, f := range figures {
		if f.name == "" || !slices.ContainsFunc(rows, func(x row) bool { return f.has(x.of) }) {
			continue
		}
		all[0] = append(all[0], f.name)
		for i, x := range rows {
			all[i+1] = append(all[i+1], f.in(x.of))
		}
	}
	return all
}

// headline has the same figures for all runs of a mode.
func headline(r *bench.Report) []pair {
	o := r.Options
	all := []pair{{o.Mode.Units() + " a second", unless(r.Rate == 0, Count(r.Rate))}}
	if o.Mode == bench.Idle {
		memory := sum("PerConn")(r)
		all = []pair{
			{"connections", whole(uint64(max(r.Opened, 0)))},
			{"server memory a connection", unless(memory == 0, sizeOf(memory))},
		}
	}
	for _, f := range latencyFigures {
		if f.metric != "" {
			all = append(all, pair{f.name, f.in(r)})
		}
	}
	cpu := serverCPU(r)
	return append(all, pair{"server " + cpuEach(o.Mode), unless(cpu == 0, cpuTime(cpu))},
		pair{"lost", whole(r.Audit.Lost)}, pair{"errors", Count(failures(r))})
}

func speed(r *bench.Report) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.Options.Mode == bench.Idle {
		add("%s connections held for %.1f s", whole(uint64(max(r.Opened, 0))), r.Seconds)
		return all
	}
	add("%s %s a second, %s in %.1f s", Count(r.Rate), r.Options.Mode.Units(), whole(r.Messages), r.Seconds)
	if r.Offered > 0 {
		things, done := "messages", "sent"
		if r.Options.Mode == bench.Connect {
			things, done = "connections", "made"
		}
		share := 100 * r.Sent / r.Offered
		add("%s %s a second were due, %s were %s (%.1f %%)", Count(r.Offered), things, Count(r.Sent), done, share)
	}
	if r.Unsent > 0 {
		add("%s of all that were due were not sent: their connection was closed", whole(r.Unsent))
	}
	if a := r.Actions; a != nil {
		add("%s said, %s whispered, %s left and came back, %s connected anew",
			whole(a.Said), whole(a.Whispered), whole(a.Left), whole(a.Reconnected))
	}
	switch s := r.SlowReaders; {
	case s == nil:
	case s.Cut == 0:
		add("%s that read nothing: none was cut off", plural(s.Readers, "reader"))
	case s.Cut == 1:
		add("%s that read nothing: 1 was cut off, after %.1f s", plural(s.Readers, "reader"), s.First)
	default:
		add("%s that read nothing: %d were cut off, after %.1f to %.1f s",
			plural(s.Readers, "reader"), s.Cut, s.First, s.Last)
	}
	return all
}

// facts are the command, what others took of the machine, and all settings that apply to the mode.
func facts(r *bench.Report) []pair {
	applied := *r
	for _, s := range applied.Options.Settings() {
		if !s.In(r.Options.Mode) {
			reflect.ValueOf(s.Field).Elem().SetZero()
		}
	}
	all := []pair{{"command", strings.Join(r.Command, " ")}, {"seconds", fmt.Sprintf("%.1f", r.Seconds)}}
	if f := r.Foreign; f != nil {
		all = append(all, pair{"other programs", fmt.Sprintf("%.2f of %s busy%s, %.2f taken by the hypervisor",
			f.Cores, plural(f.CPUs, "processor"), unless(!f.Servers, ", perhaps including the servers"), f.Steal)})
	}
	for _, s := range settings(&applied) {
		if s.value != "none" && s.value != "false" && s.value != "" {
			all = append(all, pair{s.name, clean(s.value)})
		}
	}
	return all
}

// titleOf says in a line what was run.
func titleOf(r *bench.Report) string {
	o := r.Options
	s := fmt.Sprintf("%s over %s, %s connections", o.Mode, o.Codec, Count(float64(o.Conns)))
	if o.Mode != bench.Idle {
		s += ", " + sizeOf(float64(o.Size))
	}
	return clean(unless(r.Label == "", r.Label+": ") + s)
}

// loop says how the load was made.
func loop(o bench.Options) string {
	switch {
	case o.Mode == bench.Idle:
		return "connections that send nothing"
	case o.Rate > 0 && o.Mode == bench.Connect:
		return fmt.Sprintf("open loop, %s connections a second: latency counts from when a connection was due", Count(o.Rate))
	case o.Rate > 0:
		return fmt.Sprintf("open loop, %s messages a second: latency counts from when a message was due", Count(o.Rate))
	case o.Mode == bench.Chat:
		return fmt.Sprintf("closed loop, users think %s after each answer: latency hides queueing", o.Think)
	}
	return fmt.Sprintf("closed loop, %d in flight: latency hides queueing", o.InFlight)
}

// Verdict is one word for the run: FAILED, INTERRUPTED, INVALID or OK, the first that
// applies. A run that failed by the generator's own fault is INVALID, because it
// proves nothing about the server.
func Verdict(r *bench.Report) string {
	switch {
	case r.Verdict.Failed && !r.Verdict.OwnFault:
		return "FAILED"
	case r.Interrupted:
		return "INTERRUPTED"
	case !r.Verdict.Valid:
		return "INVALID"
	}
	return "OK"
}
