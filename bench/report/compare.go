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
	fmt.Fprintf(&out, "A  %s  %s\nB  %s  %s\n\n", when(a), Title(a), when(b), Title(b))
	rows := [][]string{{"", "A", "B", "change        "}}
	for _, f := range figures(a, b) {
		if f.a != 0 || f.b != 0 {
			change, word := f.change()
			rows = append(rows, []string{f.name, f.show(f.a), f.show(f.b), fmt.Sprintf("%s  %-6s", change, word)})
		}
	}
	table(&out, rows...)
	if all := differences(a, b); len(all) > 0 {
		fmt.Fprintf(&out, "\nThese are not comparable:\n  %s\n", strings.Join(all, "\n  "))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func when(r *bench.Report) string { return r.Started.Format("2006-01-02 15:04") }

func figures(a, b *bench.Report) []figure {
	micros := func(v float64) string { return Micros(int64(v)) }
	exact := func(v float64) string { return whole(uint64(v)) }
	x, y, cpu := a.Latency, b.Latency, cpuEach(a.Options.Mode)
	all := []figure{
		{name: a.Options.Mode.Units() + " a second", a: a.Rate, b: b.Rate, show: Count, moreIsBetter: true},
		{name: "p50", a: float64(x.P50), b: float64(y.P50), show: micros},
		{name: "p90", a: float64(x.P90), b: float64(y.P90), show: micros},
		{name: "p99", a: float64(x.P99), b: float64(y.P99), show: micros},
		{name: "p99.9", a: float64(x.P999), b: float64(y.P999), show: micros},
		{name: "max", a: float64(x.Max), b: float64(y.Max), show: micros},
		{name: "errors", a: failures(a), b: failures(b), show: exact},
		{name: cpu + ", all servers", a: serverCPU(a), b: serverCPU(b), show: cpuTime},
	}
	for _, p := range a.Servers {
		for _, q := range b.Servers {
			if p.Name == q.Name {
				all = append(all, figure{name: cpu + ", " + clean(p.Name), a: cpuOf(p), b: cpuOf(q), show: cpuTime},
					figure{name: "memory a connection, " + clean(p.Name), a: p.PerConn, b: q.PerConn, show: Size})
			}
		}
	}
	return all
}

// alike is a change that says nothing: less than 1 %.
const alike = 0.01

func (f figure) change() (percent, word string) {
	d := f.b/f.a - 1
	if f.a == 0 {
		d = math.Inf(1) // there was none
	} else {
		percent = fmt.Sprintf("%+.1f %%", 100*d)
	}
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
			all = append(all, clean(fmt.Sprintf("%s is %v in A and %v in B", what, a, b)))
		}
	}
	x, y := a.Options, b.Options
	differ("mode", x.Mode, y.Mode)
	differ("codec", x.Codec, y.Codec)
	differ("the number of connections", x.Conns, y.Conns)
	if x.Rate > 0 != (y.Rate > 0) {
		all = append(all, "one is an open loop and the other a closed one")
	} else if x.Rate > 0 {
		differ("rate", x.Rate, y.Rate)
	} else if x.Mode == bench.Chat && y.Mode == bench.Chat {
		differ("the time to think", x.Think, y.Think)
	} else {
		differ("the number in flight", x.InFlight, y.InFlight)
	}
	differ("size", x.Size, y.Size)
	differ("the number of slow readers", x.SlowReaders, y.SlowReaders)
	switch {
	case x.Mode != y.Mode:
	case x.Mode == bench.Broadcast:
		differ("the number of senders", x.Senders, y.Senders)
	case x.Mode == bench.Rooms, x.Mode == bench.Chat:
		differ("room size", x.RoomSize, y.RoomSize)
	case x.Mode == bench.Churn:
		differ("messages per connection", x.PerConn, y.PerConn)
	}
	differ("the processor", a.Machine.CPU, b.Machine.CPU)
	differ("the number of processors", a.Machine.CPUs, b.Machine.CPUs)
	for i, r := range []*bench.Report{a, b} {
		if v := Verdict(r); v != "OK" {
			all = append(all, clean(fmt.Sprintf("%c is %s: %s", 'A'+i, v, strings.Join(r.Verdict.Reasons, "; "))))
		}
	}
	return all
}
