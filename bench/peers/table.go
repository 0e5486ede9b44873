package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/stat"
)

// tableName is the file of the tables.
const tableName = "table.md"

// cell is what a peer did in a scenario: its good runs, and why others are not among them.
type cell struct {
	runs    []*bench.Report
	ratios  []float64 // of the CPU time a message to the floor's
	trouble string
}

// cells are all of them, by scenario and peer.
type cells map[[2]string]cell

// summarize sorts the runs. A ratio is to the floor's last run before it in the same round, if there is one.
func summarize(all []record) cells {
	s, last := make(cells), make(map[string]float64) // last are the floor's, by scenario and round
	for _, r := range all {
		at, when := [2]string{r.Scenario, r.Peer}, fmt.Sprint(r.Scenario, r.Round)
		c := s[at]
		if r.ok() {
			c.runs = append(c.runs, r.Report)
			if r.Peer == floor {
				last[when] = perMessage(r.Report)
			}
			if f := last[when]; f > 0 {
				c.ratios = append(c.ratios, perMessage(r.Report)/f)
			}
		} else {
			c.trouble = short(cmp.Or(r.Skipped, "failed: "+r.Failed))
		}
		s[at] = c
	}
	return s
}

// median is of what the good runs have of it.
func (c cell) median(of func(*bench.Report) float64) float64 {
	var v []float64
	for _, r := range c.runs {
		v = append(v, of(r))
	}
	return stat.Median(v)
}

// cost is CPU time a message and its ratio to the floor's, with a warning of runs that are not in it.
func (c cell) cost() string {
	if len(c.runs) == 0 {
		return cmp.Or(c.trouble, "–")
	}
	v := c.median(perMessage)
	text := fmt.Sprintf("%.1f µs", v)
	if v < 1 {
		text = fmt.Sprintf("%.2f µs", v)
	}
	if len(c.ratios) > 0 {
		text += fmt.Sprintf(" (%.2f)", stat.Median(c.ratios))
	}
	if c.trouble != "" {
		text += "; once " + c.trouble
	}
	return text
}

func (c cell) memory() string {
	if len(c.runs) == 0 {
		return c.cost()
	}
	return fmt.Sprintf("%.1f KB", c.median(perConn)/1e3)
}

// speed is what the generator saw.
func (c cell) speed() string {
	if len(c.runs) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0fk/s, %.1f and %.1f ms", c.median(func(r *bench.Report) float64 { return r.Rate })/1e3,
		c.median(func(r *bench.Report) float64 { return float64(r.Latency.P50) })/1e3, c.median(func(r *bench.Report) float64 { return float64(r.Latency.P99) })/1e3)
}

func (c cell) spread() string {
	if len(c.ratios) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f–%.2f", slices.Min(c.ratios), slices.Max(c.ratios))
}

// short is the beginning of a reason, fit for a table.
func short(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "/")
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// The text around the tables.
const (
	costHead = `
CPU time of all server processes a message (a delivery in the fan-out), median over the rounds; in brackets the median of the ratios to the raw gnet echo that was
measured last before it. Two hops are a gateway and a worker, in processes of their own; all others are one process, whose business runs where the connections are.

| server | version | hops | 1 in flight | 16 in flight | fan-out | idle connection | |
|---|---|---|---|---|---|---|---|
`
	speedHead = `
What the generator saw, on the same processors: rate a second, latency at the median and the 99th percentile, spread of the ratio.

| server | 1 in flight | ratio | 16 in flight | ratio | fan-out |
|---|---|---|---|---|---|
`
	lossHead = `
## Where sluice loses

Those that need less than its two hops over WebSocket do:
`
)

// writeTable writes the tables, and says where sluice loses.
func (m *measurement) writeTable(all []record) error {
	s := summarize(all)
	var costs, speeds strings.Builder
	row := func(b *strings.Builder, cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	for _, p := range peers() {
		at := slices.IndexFunc(all, func(r record) bool { return r.Peer == p.name })
		if at < 0 {
			continue
		}
		version, _, _ := strings.Cut(all[at].Version, " ") // behind it is the commit
		if p.isSluice() {
			version = cmp.Or(version, "this")
		}
		one, deep, broad := s[[2]string{echo1, p.name}], s[[2]string{echo16, p.name}], s[[2]string{fanout, p.name}]
		row(&costs, p.name, version, fmt.Sprint(p.hops), one.cost(), deep.cost(), broad.cost(), s[[2]string{idle, p.name}].memory(), p.note)
		row(&speeds, p.name, one.speed(), one.spread(), deep.speed(), deep.spread(), broad.speed())
	}
	text := "# sluice beside others\n\n" + circumstances(all) + "\n" + costHead + costs.String() + speedHead + speeds.String()
	if lost := losses(s); lost != "" {
		text += lossHead + lost
	}
	return os.WriteFile(m.file(tableName), []byte(text), 0o644)
}

// circumstances are the machine, the time and the command.
func circumstances(all []record) string {
	i := slices.IndexFunc(all, record.ok)
	if i < 0 {
		return "Nothing was measured."
	}
	r, rounds, load := all[i].Report, 0, "idle connections only"
	for _, x := range all {
		rounds = max(rounds, x.Round)
	}
	if j := slices.IndexFunc(all, func(r record) bool { return r.ok() && r.Scenario != idle }); j >= 0 {
		o := all[j].Report.Options
		load = fmt.Sprintf("%d connections, payloads of %d bytes, %s measured each time", o.Conns, o.Size, o.Window)
	}
	command := strings.Join(append([]string{"go run ."}, r.Command[min(1, len(r.Command)):]...), " ") // as one types it
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s, generator on the same processors; event loops: %s; rounds: %d; %s.\n\n```\n%s\n```",
		r.Started.Format(time.DateOnly), r.Machine.CPUs, r.Machine.CPU, r.Machine.Kernel, r.Machine.Go, all[i].Loops, rounds, load, command)
}

// losses says who needs less than sluice over WebSocket does, and how much less. It compares medians, of what was measured.
func losses(s cells) string {
	var b strings.Builder
	for _, sc := range []struct {
		name, text string
		of         func(*bench.Report) float64
	}{{echo1, "1 in flight", perMessage}, {echo16, "16 in flight", perMessage}, {fanout, "fan-out", perMessage}, {idle, "idle connection", perConn}} {
		ours := s[[2]string{sc.name, "sluice"}]
		if len(ours.runs) == 0 {
			continue
		}
		var less []string
		for _, p := range peers() {
			if c := s[[2]string{sc.name, p.name}]; !p.isSluice() && len(c.runs) > 0 && c.median(sc.of) < ours.median(sc.of) {
				less = append(less, fmt.Sprintf("%s (sluice needs %.2f times as much)", p.name, ours.median(sc.of)/c.median(sc.of)))
			}
		}
		fmt.Fprintf(&b, "- %s: %s\n", sc.text, cmp.Or(strings.Join(less, ", "), "none of these"))
	}
	return b.String()
}
