package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// model is what a report says in words. Text and page are written from it; nothing foreign in it can act on a terminal.
type model struct {
	Title, Loop, When string
	Verdict, Class    string // Class is ok, failed or invalid
	Reasons           []string
	Figures           []pair     // what is read first; a value that is empty was not measured
	Speed             []pair     // a sentence each
	Latency           [][]string // the first row is the head, as in Audit and Processes; nil: nothing was timed
	Audit             [][]string // nil: nothing was sent
	Errors            [][]string // count, kind and example
	Processes         [][]string // the generator is the last
	Facts             []pair     // what is needed to judge the run and to repeat it
}

type pair struct{ Name, Value string }

func modelOf(r *bench.Report) model {
	m := model{Title: Title(r), Loop: loop(r), When: r.Started.Format("2006-01-02 15:04 MST"), Verdict: Verdict(r), Class: "ok", Figures: headline(r), Speed: speed(r), Facts: facts(r)}
	switch m.Verdict {
	case "FAILED":
		m.Class = "failed"
	case "INVALID", "INTERRUPTED":
		m.Class = "invalid"
	}
	for _, reason := range r.Verdict.Reasons {
		m.Reasons = append(m.Reasons, clean(reason))
	}
	if r.Latency.Count > 0 {
		m.Latency = rowsOf(latencyFigures, "", row[bench.Latency]{"latency  ", r.Latency})
		if r.Lateness.Count > 0 {
			m.Latency = append(m.Latency, rowsOf(latencyFigures, "", row[bench.Latency]{"sent late", r.Lateness})[1])
		}
	}
	if r.Audit.Expected > 0 || !r.Audit.Clean() {
		m.Audit = rowsOf(auditFigures, "", row[bench.Audit]{"messages ", r.Audit})
	}
	for _, e := range r.Errors {
		m.Errors = append(m.Errors, []string{whole(e.Count), clean(e.Kind), clean(e.Example)})
	}
	var all []row[bench.ProcessUsage]
	for _, p := range slices.Concat(r.Servers, []bench.ProcessUsage{r.Own}) {
		all = append(all, row[bench.ProcessUsage]{clean(p.Name), p})
	}
	m.Processes = rowsOf(processFigures(r.Options.Mode), "process", all...)
	return m
}

// row is something with figures, and its name.
type row[T any] struct {
	name string
	of   T
}

// rowsOf is a table of the figures that have a name and that any of the rows has, with a head.
func rowsOf[T any](figures []measure[T], head string, rows ...row[T]) [][]string {
	all := [][]string{{head}}
	for _, x := range rows {
		all = append(all, []string{x.name})
	}
	for _, f := range figures {
		if f.name == "" || !slices.ContainsFunc(rows, func(x row[T]) bool { return f.has(x.of) }) {
			continue
		}
		all[0] = append(all[0], f.name)
		for i, x := range rows {
			all[i+1] = append(all[i+1], f.in(x.of))
		}
	}
	return all
}

// headline is what is read first, the same figures of every run; what was not measured is empty.
func headline(r *bench.Report) []pair {
	o := r.Options
	all := []pair{{o.Mode.Units() + " a second", unless(r.Rate == 0, Count(r.Rate))}}
	if o.Mode == bench.Idle {
		memory := r.Total(func(p bench.ProcessUsage) float64 { return p.PerConn })
		all = []pair{{"connections", whole(uint64(max(r.Opened, 0)))}, {"server memory a connection", unless(memory == 0, Size(memory))}}
	}
	for _, f := range latencyFigures {
		if f.metric != "" {
			all = append(all, pair{f.name, unless(r.Latency.Count == 0, f.in(r.Latency))})
		}
	}
	return append(all, pair{"server " + cpuEach(o.Mode), unless(serverCPU(r) == 0, cpuTime(serverCPU(r)))}, pair{"lost", whole(r.Audit.Lost)}, pair{"errors", Count(failures(r))})
}

// speed is how much was done.
func speed(r *bench.Report) []pair {
	if r.Options.Mode == bench.Idle {
		return []pair{{"held", fmt.Sprintf("%s connections held for %.1f s", whole(uint64(max(r.Opened, 0))), r.Seconds)}}
	}
	all := []pair{{"rate", fmt.Sprintf("%s %s a second, %s in %.1f s", Count(r.Rate), r.Options.Mode.Units(), whole(r.Messages), r.Seconds)}}
	if r.Offered > 0 {
		done := "messages a second were due, %s were sent"
		if r.Options.Mode == bench.Connect {
			done = "connections a second were due, %s were made"
		}
		all = append(all, pair{"open loop", fmt.Sprintf("%s "+done+" (%.1f %%)", Count(r.Offered), Count(r.Sent), 100*r.Sent/r.Offered)})
	}
	if r.Unsent > 0 {
		all = append(all, pair{"not sent", whole(r.Unsent) + " of all that were due were not sent: their connection was closed"})
	}
	if a := r.Actions; a != nil {
		all = append(all, pair{"people", fmt.Sprintf("%s said, %s whispered, %s left and came back, %s connected anew", whole(a.Said), whole(a.Whispered), whole(a.Left), whole(a.Reconnected))})
	}
	if r.SlowReaders != nil {
		all = append(all, pair{"slow readers", slow(r.SlowReaders)})
	}
	return all
}

// slow is what became of those that read nothing.
func slow(s *bench.SlowReaderResult) string {
	text := plural(s.Readers, "reader") + " that read nothing: "
	switch s.Cut {
	case 0:
		return text + "none was cut off"
	case 1:
		return text + fmt.Sprintf("1 was cut off, after %.1f s", s.First)
	}
	return text + fmt.Sprintf("%d were cut off, after %.1f to %.1f s", s.Cut, s.First, s.Last)
}

func facts(r *bench.Report) []pair {
	m, o, s := r.Machine, r.Options, r.Options.Servers
	servers := ""
	if s.Gateways > 0 {
		servers = plural(s.Gateways, "gateway") + ", reactors " + s.Reactors + unless(!s.Pin, ", pinned") + "; " + plural(s.Workers, "worker") + unless(s.Procs == 0, fmt.Sprintf(", GOMAXPROCS %d", s.Procs))
	}
	all := []pair{
		{"command", strings.Join(r.Command, " ")}, {"version", r.Version}, {"load", load(o)}, {"servers", servers}, {"targets", some(o.Targets)}, {"sources", some(o.Sources)},
		{"generator", plural(max(o.Processes, 1), "process") + " of " + plural(o.Loops, "loop")},
		{"times", fmt.Sprintf("warm-up %s, window %.1f s, drain at most %s", o.Warmup.Round(time.Millisecond), r.Seconds, o.Drain.Round(time.Millisecond))},
		{"other programs", foreign(r.Foreign)},
		{"machine", strings.Trim(fmt.Sprintf("%s, %s, %s", m.CPU, plural(m.CPUs, "processor"), unless(m.Memory == 0, Size(float64(m.Memory)))), ", ")},
		{"system", strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", m.OS, m.Arch, m.Kernel, m.Go)), " ")},
	}
	return slices.DeleteFunc(all, func(p pair) bool { return p.Value == "" })
}

// foreign is what others took of the processors; empty where that was not measured.
func foreign(f *bench.Foreign) string {
	if f == nil {
		return ""
	}
	return fmt.Sprintf("%.2f of %s busy%s, %.2f taken away by the hypervisor", f.Cores, plural(f.CPUs, "processor"), unless(!f.Servers, ", the servers perhaps among them"), f.Steal)
}

// Title says in a line what was run.
func Title(r *bench.Report) string {
	o := r.Options
	s := fmt.Sprintf("%s over %s, %s connections", o.Mode, o.Codec, Count(float64(o.Conns)))
	if o.Mode != bench.Idle {
		s += ", " + Size(float64(o.Size))
	}
	if r.Label != "" {
		s = r.Label + ": " + s
	}
	return clean(s)
}

// loop says how the load was made.
func loop(r *bench.Report) string {
	switch o := r.Options; {
	case o.Mode == bench.Idle:
		return "connections that say nothing"
	case o.Rate > 0 && o.Mode == bench.Connect:
		return fmt.Sprintf("open loop, %s connections a second: latency counts from when a connection was due", Count(o.Rate))
	case o.Rate > 0:
		return fmt.Sprintf("open loop, %s messages a second: latency counts from when a message was due", Count(o.Rate))
	case o.Mode == bench.Chat:
		return fmt.Sprintf("closed loop, people think %s after each answer: latency hides queueing", o.Think)
	default:
		return fmt.Sprintf("closed loop, %d in flight: latency hides queueing", o.InFlight)
	}
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

// Verdict is one word for the whole: FAILED, INTERRUPTED, INVALID or OK, the first that is true. A run that failed by the generator's own fault is INVALID: it proves nothing
// about the server. The report's Verdict.Reasons say why.
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
