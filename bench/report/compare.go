package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"sluice/bench"
)

// figure is a row of a comparison.
type figure struct {
	name         string
	a, b         float64
	show         func(float64) string
	moreIsBetter bool
}

// Compare writes the figures of two reports side by side, b against a, and says what stands in the way of comparing them.
func Compare(w io.Writer, a, b *bench.Report) error {
	var out strings.Builder
	fmt.Fprintf(&out, "A  %s  %s\nB  %s  %s\n\n", Title(a), a.Started.Format("2006-01-02 15:04"), Title(b), b.Started.Format("2006-01-02 15:04"))
	section(&out, func(row func(...string)) {
		row("", "A", "B", "change", "")
		for _, f := range figures(a, b) {
			change, word := f.change()
			row(f.name, f.show(f.a), f.show(f.b), change, word)
		}
	})
	for _, s := range differences(a, b) {
		fmt.Fprintf(&out, "\nnot comparable: %s", s)
	}
	out.WriteByte('\n')
	_, err := io.WriteString(w, strings.TrimRight(out.String(), "\n")+"\n")
	return err
}

func figures(a, b *bench.Report) []figure {
	micros := func(v float64) string { return Micros(int64(v)) }
	cpu := func(v float64) string { return fmt.Sprintf("%.2f µs", v) }
	unit := a.Options.Mode.Unit()
	all := []figure{
		{"rate, " + a.Options.Mode.Units() + "/s", a.Rate, b.Rate, Count, true},
		{"p50", float64(a.Latency.P50), float64(b.Latency.P50), micros, false},
		{"p90", float64(a.Latency.P90), float64(b.Latency.P90), micros, false},
		{"p99", float64(a.Latency.P99), float64(b.Latency.P99), micros, false},
		{"p99.9", float64(a.Latency.P999), float64(b.Latency.P999), micros, false},
		{"max", float64(a.Latency.Max), float64(b.Latency.Max), micros, false},
		{"CPU a " + unit + ", servers", serverCPU(a), serverCPU(b), cpu, false},
	}
	for _, p := range a.Servers {
		for _, q := range b.Servers {
			if p.Name == q.Name {
				all = append(all, figure{"CPU a " + unit + ", " + clean(p.Name), p.PerMessage, q.PerMessage, cpu, false},
					figure{"memory a connection, " + clean(p.Name), p.PerConn, q.PerConn, Size, false})
			}
		}
	}
	return all
}

// alike is a change that says nothing: less than 1 %.
const alike = 0.01

func (f figure) change() (percent, word string) {
	if f.a == 0 {
		return "", ""
	}
	d := f.b/f.a - 1
	percent = fmt.Sprintf("%+.1f %%", 100*d)
	switch {
	case math.Abs(d) < alike:
		return percent, "same"
	case d > 0 == f.moreIsBetter:
		return percent, "better"
	}
	return percent, "worse"
}

// differences are the reasons why a and b cannot be compared.
func differences(a, b *bench.Report) []string {
	var all []string
	differ := func(what string, a, b any) {
		if a != b {
			all = append(all, fmt.Sprintf("%s is %v in A and %v in B", what, a, b))
		}
	}
	x, y := a.Options, b.Options
	differ("mode", x.Mode, y.Mode)
	differ("codec", x.Codec, y.Codec)
	differ("the number of connections", x.Conns, y.Conns)
	differ("the number in flight", x.InFlight, y.InFlight)
	differ("rate", x.Rate, y.Rate)
	differ("size", x.Size, y.Size)
	differ("the number of senders", x.Senders, y.Senders)
	differ("room size", x.RoomSize, y.RoomSize)
	differ("messages per connection", x.PerConn, y.PerConn)
	differ("the processor", a.Machine.CPU, b.Machine.CPU)
	differ("the number of processors", a.Machine.CPUs, b.Machine.CPUs)
	for name, r := range map[string]*bench.Report{"A": a, "B": b} {
		if v := Verdict(r); v != "OK" {
			all = append(all, name+" is "+v)
		}
	}
	return all
}
