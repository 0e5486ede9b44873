package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/bench"
)

// Text writes the summary that a person reads.
func Text(w io.Writer, r *bench.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", Title(r), loop(r))
	section(&b, func(row func(...string)) {
		if r.Options.Mode == bench.Idle {
			return
		}
		row("rate", fmt.Sprintf("%s %s a second", Count(r.Rate), r.Options.Mode.Units()), fmt.Sprintf("(%s in %.1f s)", Count(float64(r.Messages)), r.Seconds))
		if r.Offered > 0 {
			row("offered", Count(r.Offered)+" messages a second", "sent "+Count(r.Sent), "late by "+Micros(r.Lateness.P50)+" at p50, "+Micros(r.Lateness.P99)+" at p99")
		}
		if l := r.Latency; l.Count > 0 {
			row("latency", "p50 "+Micros(l.P50), "p90 "+Micros(l.P90), "p99 "+Micros(l.P99), "p99.9 "+Micros(l.P999), "max "+Micros(l.Max))
		}
		a := r.Audit
		row("audit", fmt.Sprintf("%d of %d received", a.Received, a.Expected), fmt.Sprintf("%d lost", a.Lost), fmt.Sprintf("%d duplicated", a.Duplicated),
			fmt.Sprintf("%d reordered", a.Reordered), fmt.Sprintf("%d changed", a.Changed+a.Unexpected))
		for _, e := range r.Errors {
			row("error", fmt.Sprintf("%d × %s", e.Count, e.Kind), clean(e.Example))
		}
	})
	b.WriteByte('\n')
	section(&b, func(row func(...string)) {
		row("process", "cores", "CPU a "+r.Options.Mode.Unit(), "resident", "a connection")
		for _, p := range append(append([]bench.ProcessUsage(nil), r.Servers...), r.Own) {
			row(clean(p.Name), fmt.Sprintf("%.2f", p.Cores), unless(p.PerMessage == 0, fmt.Sprintf("%.2f µs", p.PerMessage)), Size(float64(p.RSS)), unless(p.PerConn == 0, Size(p.PerConn)))
		}
	})
	fmt.Fprintf(&b, "\n%s\n", Verdict(r))
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(&b, "  %s\n", clean(reason))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// section writes aligned rows.
func section(w io.Writer, rows func(row func(...string))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows(func(cells ...string) { fmt.Fprintln(t, "  "+strings.Join(cells, "\t")) })
	_ = t.Flush() // to memory
}

// Title says in a line what was run.
func Title(r *bench.Report) string {
	o := r.Options
	s := fmt.Sprintf("%s over %s, %s connections, %s", o.Mode, o.Codec, Count(float64(o.Conns)), Size(float64(o.Size)))
	if o.Mode == bench.Idle {
		s = fmt.Sprintf("%s over %s, %s connections", o.Mode, o.Codec, Count(float64(o.Conns)))
	}
	if r.Label != "" {
		s = clean(r.Label) + ": " + s
	}
	return s
}

// loop says how the load was made.
func loop(r *bench.Report) string {
	switch o := r.Options; {
	case o.Mode == bench.Idle:
		return "connections that say nothing"
	case o.Rate > 0:
		return fmt.Sprintf("open loop, %s messages a second; latency counts from when a message was due", Count(o.Rate))
	default:
		return fmt.Sprintf("closed loop, %d in flight: latency hides queueing", o.InFlight)
	}
}

// Verdict is one word for the whole, and what it means.
func Verdict(r *bench.Report) string {
	switch {
	case r.Verdict.Failed:
		return "FAILED"
	case !r.Verdict.Valid:
		return "INVALID: the generator was the limit"
	}
	return "OK"
}

// Micros is a duration given in microseconds.
func Micros(us int64) string {
	d := time.Duration(us) * time.Microsecond
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", us)
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(us)/1e3)
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}

// Count is a number of things, short.
func Count(v float64) string { return scaled(v, 1000, "", "k", "M", "G") }

// Size is a number of bytes, short.
func Size(v float64) string { return scaled(v, 1024, " B", " KiB", " MiB", " GiB") }

func scaled(v, step float64, units ...string) string {
	if v < 0 {
		return "-" + scaled(-v, step, units...)
	}
	for v >= step*0.9995 && len(units) > 1 { // what would be printed as the step itself is one of the next unit
		v /= step
		units = units[1:]
	}
	if v >= 100 || v == float64(int(v)) {
		return fmt.Sprintf("%.0f%s", v, units[0])
	}
	return fmt.Sprintf("%.3g%s", v, units[0])
}

// unless is the empty string when the condition holds.
func unless(empty bool, s string) string {
	if empty {
		return ""
	}
	return s
}

// clean takes what could confuse a terminal or a table out of a foreign text.
func clean(s string) string {
	return cmp.Or(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s), " ")
}
