package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"sluice/bench"
)

// Text writes the summary that a person reads: what ran, how fast, how late, whether all arrived, what it took, and last the verdict.
func Text(w io.Writer, r *bench.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", Title(r), loop(r))
	table(&b, speed(r)...)
	if l := r.Latency; l.Count > 0 {
		b.WriteByte('\n')
		table(&b, []string{"", "p50", "p90", "p99", "p99.9", "max"}, append([]string{"latency  "}, quantiles(l)...), lateness(r))
	}
	if a := r.Audit; a.Expected > 0 || !a.Clean() {
		head, row := auditRows(a)
		b.WriteByte('\n')
		table(&b, append([]string{""}, head...), append([]string{"messages "}, row...))
	}
	if len(r.Errors) > 0 {
		b.WriteString("\n  errors\n")
	}
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "  %s × %s: %s\n", whole(e.Count), clean(e.Kind), clean(e.Example))
	}
	b.WriteByte('\n')
	head, rows := processRows(r)
	table(&b, append([][]string{head}, rows...)...)
	fmt.Fprintf(&b, "\n%s\n", Verdict(r))
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(&b, "  %s\n", clean(reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// speed are the lines about the rate.
func speed(r *bench.Report) [][]string {
	if r.Options.Mode == bench.Idle {
		return [][]string{{fmt.Sprintf("%s connections held for %.1f s", whole(uint64(max(r.Opened, 0))), r.Seconds)}}
	}
	lines := [][]string{{fmt.Sprintf("%s %s a second, %s in %.1f s", Count(r.Rate), r.Options.Mode.Units(), whole(r.Messages), r.Seconds)}}
	if r.Offered > 0 {
		lines = append(lines, []string{offered(r)})
	}
	if r.Acts != nil {
		lines = append(lines, []string{acts(r.Acts)})
	}
	if r.Slow != nil {
		lines = append(lines, []string{slow(r.Slow)})
	}
	return lines
}

// offered tells how much of an open loop's load was made.
func offered(r *bench.Report) string {
	done := "messages a second were due, %s were sent"
	if r.Options.Mode == bench.Connect {
		done = "connections a second were due, %s were made"
	}
	return fmt.Sprintf("%s "+done+" (%.1f %%)", Count(r.Offered), Count(r.Sent), 100*r.Sent/r.Offered)
}

// acts is what the people of mode chat did.
func acts(a *bench.Acts) string {
	return fmt.Sprintf("%s said, %s whispered, %s left and came back, %s connected anew", whole(a.Said), whole(a.Whispered), whole(a.Left), whole(a.Reconnected))
}

// slow is what became of those that read nothing.
func slow(s *bench.Slow) string {
	text := plural(s.Readers, "reader") + " that read nothing: "
	switch s.Cut {
	case 0:
		return text + "none was cut off"
	case 1:
		return text + fmt.Sprintf("1 was cut off, after %.1f s", s.First)
	}
	return text + fmt.Sprintf("%d were cut off, after %.1f to %.1f s", s.Cut, s.First, s.Last)
}

// lateness is how late an open loop sent; nothing for a closed one.
func lateness(r *bench.Report) []string {
	if r.Lateness.Count == 0 {
		return nil
	}
	return append([]string{"sent late"}, quantiles(r.Lateness)...)
}

func quantiles(l bench.Latency) []string {
	return []string{Micros(l.P50), Micros(l.P90), Micros(l.P99), Micros(l.P999), Micros(l.Max)}
}

// auditRows is the account of the messages, with a head.
func auditRows(a bench.Audit) (head, row []string) {
	return []string{"expected", "received", "lost", "duplicated", "reordered", "changed", "unexpected"},
		[]string{whole(a.Expected), whole(a.Received), whole(a.Lost), whole(a.Duplicated), whole(a.Reordered), whole(a.Changed), whole(a.Unexpected)}
}

// processRows is what each process took, the generator last, with a head.
func processRows(r *bench.Report) (head []string, rows [][]string) {
	head = []string{"process", cpuEach(r.Options.Mode), "cores", "resident", "a connection"}
	for _, p := range slices.Concat(r.Servers, []bench.ProcessUsage{r.Own}) {
		rows = append(rows, []string{
			clean(p.Name), unless(cpuOf(p) == 0, cpuTime(cpuOf(p))), fmt.Sprintf("%.2f", p.Cores), unless(p.RSS == 0, Size(float64(p.RSS))), unless(p.PerConn == 0, Size(p.PerConn)),
		})
	}
	return head, rows
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
