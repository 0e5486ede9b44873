package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/significance"
)

// tableName is the file of the tables.
const tableName = "table.md"

// cell is the result of a peer in a scenario.
type cell struct {
	runs    []*bench.Report // those that count
	ratios  []float64       // of the CPU time per message to that of the floor
	trouble string          // why another run does not count
}

// cells are the cells of a table, by scenario and peer.
type cells map[[2]string]cell

// summarize sorts the runs. A ratio is to the last run of the floor before it in the same round.
func summarize(all []record) cells {
	s, last := make(cells), make(map[string]float64) // last: of the floor, by scenario and round
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

func (c cell) median(of func(*bench.Report) float64) float64 {
	var v []float64
	for _, r := range c.runs {
		v = append(v, of(r))
	}
	return significance.Median(v)
}

// cost is the CPU time per message, its ratio to that of the floor, and runs that do not count.
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
		text += fmt.Sprintf(" (%.2f)", significance.Median(c.ratios))
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

// speed is the rate and the latency that the generator measured.
func (c cell) speed() string {
	if len(c.runs) == 0 {
		return "–"
	}
	rate := c.median(func(r *bench.Report) float64 { return r.Rate })
	p50 := c.median(func(r *bench.Report) float64 { return float64(r.Latency.P50) })
	p99 := c.median(func(r *bench.Report) float64 { return float64(r.Latency.P99) })
	return fmt.Sprintf("%.0fk/s, %.1f and %.1f ms", rate/1e3, p50/1e3, p99/1e3)
}

func (c cell) spread() string {
	if len(c.ratios) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f–%.2f", slices.Min(c.ratios), slices.Max(c.ratios))
}

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
CPU time of all server processes per message (per delivery in the fan-out): the median over the
rounds. In brackets is the median of the ratios to the raw gnet echo measured last before it. Two
hops are a gateway and a worker in separate processes. All others are one process, in which the
business logic runs where the connections are.

| server | version | hops | 1 in flight | 16 in flight | fan-out | idle connection | |
|---|---|---|---|---|---|---|---|
`
	speedHead = `
What the generator measured on the same processors: rate per second, latency at the median and the
99th percentile, and the spread of the ratio.

| server | 1 in flight | ratio | 16 in flight | ratio | fan-out |
|---|---|---|---|---|---|
`
	lossHead = `
## Where sluice loses

These servers need less than sluice's two hops over WebSocket:
`
)

func (m *measurement) writeTable(all []record) error {
	s := summarize(all)
	var costs, speeds strings.Builder
	row := func(b *strings.Builder, cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	for _, p := range peers() {
		at := slices.IndexFunc(all, func(r record) bool { return r.Peer == p.name })
		if at < 0 {
			continue
		}
		version, _, _ := strings.Cut(all[at].Version, " ") // the commit follows
		if p.isSluice() {
			version = cmp.Or(version, "this")
		}
		of := func(scenario string) cell { return s[[2]string{scenario, p.name}] }
		one, deep, broad, held := of(echo1), of(echo16), of(fanout), of(idle)
		row(&costs, p.name, version, fmt.Sprint(p.hops), one.cost(), deep.cost(), broad.cost(), held.memory(), p.note)
		row(&speeds, p.name, one.speed(), one.spread(), deep.speed(), deep.spread(), broad.speed())
	}
	text := "# sluice beside others\n\n" + circumstances(all) + "\n" + costHead + costs.String() +
		speedHead + speeds.String()
	if lost := losses(s); lost != "" {
		text += lossHead + lost
	}
	return os.WriteFile(m.file(tableName), []byte(text), 0o644)
}

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
	m, command := r.Machine, strings.Join(append([]string{"go run ."}, r.Command[min(1, len(r.Command)):]...), " ")
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s, generator on the same processors; "+
		"event loops: %s; rounds: %d; %s.\n\n```\n%s\n```",
		r.Started.Format(time.DateOnly), m.CPUs, m.CPU, m.Kernel, m.Go, all[i].Loops, rounds, load, command)
}

// losses lists the peers that need less than sluice over WebSocket,
// and how much less, by the medians.
func losses(s cells) string {
	var b strings.Builder
	for _, sc := range []struct {
		name, text string
		of         func(*bench.Report) float64
	}{
		{echo1, "1 in flight", perMessage}, {echo16, "16 in flight", perMessage}, {fanout, "fan-out", perMessage},
		{idle, "idle connection", perConn},
	} {
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
