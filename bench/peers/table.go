package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// tableName is the file of the tables.
const tableName = "table.md"

// cell is what all good runs of a peer in a scenario say: medians over the rounds.
type cell struct {
	rounds           int
	cpu              float64 // µs a message
	ratio, low, high float64 // of cpu to the floor's, and its range
	rate             float64
	p50, p99         float64 // µs
	perConn          float64 // bytes
	trouble          string  // why there is nothing, or not all
}

// summary is all cells by scenario and peer.
type summary map[string]map[string]cell

// summarize takes the medians. A ratio is to the floor's last run before it in the same round, if there is one.
func summarize(all []record) summary {
	last := make(map[string]float64) // the floor's, by scenario and round
	runs := make(map[[2]string][]record)
	ratios := make(map[[2]string][]float64)
	for _, r := range all {
		k, when := [2]string{r.Scenario, r.Peer}, fmt.Sprint(r.Scenario, r.Round)
		runs[k] = append(runs[k], r)
		if !r.ok() {
			continue
		}
		if r.Peer == floor {
			last[when] = r.perMessage()
		}
		if f := last[when]; f > 0 {
			ratios[k] = append(ratios[k], r.perMessage()/f)
		}
	}
	s := make(summary)
	for k, rs := range runs {
		if s[k[0]] == nil {
			s[k[0]] = make(map[string]cell)
		}
		s[k[0]][k[1]] = cellOf(rs, ratios[k])
	}
	return s
}

func cellOf(rs []record, ratios []float64) cell {
	var c cell
	var cpu, rate, p50, p99, perConn []float64
	for _, r := range rs {
		if !r.ok() {
			if c.trouble = r.Skipped; r.Failed != "" {
				c.trouble = "failed: " + r.Failed
			}
			continue
		}
		cpu, rate, perConn = append(cpu, r.perMessage()), append(rate, r.Report.Rate), append(perConn, r.perConn())
		p50, p99 = append(p50, float64(r.Report.Latency.P50)), append(p99, float64(r.Report.Latency.P99))
	}
	c.rounds, c.cpu, c.rate, c.perConn = len(cpu), median(cpu), median(rate), median(perConn)
	c.p50, c.p99, c.ratio = median(p50), median(p99), median(ratios)
	if len(ratios) > 0 {
		c.low, c.high = slices.Min(ratios), slices.Max(ratios)
	}
	return c
}

// median is the middle one, or the mean of the two in the middle; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// writeTable writes the tables, and says where sluice loses.
func (m *measurement) writeTable(all []record) error {
	s := summarize(all)
	var b strings.Builder
	fmt.Fprintf(&b, "# sluice beside others\n\n%s\n\n", circumstances(all))
	b.WriteString("CPU time of all server processes a message (a delivery in the fan-out), median over the rounds; in brackets the median of the ratios to the raw gnet echo that was\nmeasured last before it. Two hops are a gateway and a worker, in processes of their own; all others are one process, whose business runs where the connections are.\n\n")
	b.WriteString("| server | version | hops | 1 in flight | 16 in flight | fan-out | idle connection | |\n|---|---|---|---|---|---|---|---|\n")
	known := peers()
	for _, p := range known {
		if !measured(s, p.name) {
			continue
		}
		version := "this"
		if !p.isSluice() {
			version = versionIn(all, p.name)
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %s | %s |\n", p.name, version, p.hops, costOf(s[echo1][p.name]), costOf(s[echo16][p.name]), costOf(s[fanout][p.name]), memoryOf(s[idle][p.name]), p.note)
	}
	b.WriteString("\nWhat the generator saw, on the same processors: rate a second, latency at the median and the 99th percentile, spread of the ratio.\n\n")
	b.WriteString("| server | 1 in flight | ratio | 16 in flight | ratio | fan-out |\n|---|---|---|---|---|---|\n")
	for _, p := range known {
		if measured(s, p.name) {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", p.name, speedOf(s[echo1][p.name]), spreadOf(s[echo1][p.name]), speedOf(s[echo16][p.name]), spreadOf(s[echo16][p.name]), speedOf(s[fanout][p.name]))
		}
	}
	if lost := losses(s); lost != "" {
		b.WriteString("\n## Where sluice loses\n\nThose that need less than its two hops over WebSocket do:\n" + lost)
	}
	return os.WriteFile(m.file(tableName), []byte(b.String()), 0o644)
}

// measured tells whether there is any run of the peer.
func measured(s summary, name string) bool {
	for _, cells := range s {
		if _, ok := cells[name]; ok {
			return true
		}
	}
	return false
}

func versionIn(all []record, name string) string {
	i := slices.IndexFunc(all, func(r record) bool { return r.Peer == name })
	return all[i].Version
}

// circumstances are the machine, the time and the command.
func circumstances(all []record) string {
	i := slices.IndexFunc(all, record.ok)
	if i < 0 {
		return "Nothing was measured."
	}
	r, rounds := all[i].Report, 0
	for _, x := range all {
		rounds = max(rounds, x.Round)
	}
	return fmt.Sprintf("%s, %d processors (%s), Linux %s, %s, generator on the same processors; event loops: %s; rounds: %d; %s.\n\n```\n%s\n```",
		r.Started.Format(time.DateOnly), r.Machine.CPUs, r.Machine.CPU, r.Machine.Kernel, r.Machine.Go, all[i].Loops, rounds, loadOf(all), commandOf(r.Command))
}

// commandOf is how the runs were started, as one types it.
func commandOf(args []string) string {
	return strings.Join(append([]string{"go run ."}, args[min(1, len(args)):]...), " ")
}

// loadOf says what the echo was.
func loadOf(all []record) string {
	i := slices.IndexFunc(all, func(r record) bool { return r.ok() && r.Scenario != idle })
	if i < 0 {
		return "idle connections only"
	}
	o := all[i].Report.Options
	return fmt.Sprintf("%d connections, payloads of %d bytes, %s measured each time", o.Conns, o.Size, o.Window)
}

func costOf(c cell) string {
	switch {
	case c.rounds == 0 && c.trouble != "":
		return short(c.trouble)
	case c.rounds == 0:
		return "–"
	case c.ratio == 0:
		return µs(c.cpu) + failures(c)
	}
	return fmt.Sprintf("%s (%.2f)%s", µs(c.cpu), c.ratio, failures(c))
}

// failures warns of runs that are not in the figures.
func failures(c cell) string {
	if c.trouble == "" {
		return ""
	}
	return "; once " + short(c.trouble)
}

func memoryOf(c cell) string {
	if c.rounds == 0 {
		return costOf(c)
	}
	return fmt.Sprintf("%.1f KB", c.perConn/1e3)
}

func speedOf(c cell) string {
	if c.rounds == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0fk/s, %.1f and %.1f ms", c.rate/1e3, c.p50/1e3, c.p99/1e3)
}

func spreadOf(c cell) string {
	if c.ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f–%.2f", c.low, c.high)
}

func µs(v float64) string {
	if v < 1 {
		return fmt.Sprintf("%.2f µs", v)
	}
	return fmt.Sprintf("%.1f µs", v)
}

// short is the beginning of a reason, fit for a table.
func short(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "/")
	if len(s) > 120 {
		s = s[:120] + "…"
	}
	return s
}

// losses says who needs less than sluice over WebSocket does, and how much less. It compares medians, of what was measured.
func losses(s summary) string {
	var b strings.Builder
	for _, sc := range []struct{ name, text string }{{echo1, "1 in flight"}, {echo16, "16 in flight"}, {fanout, "fan-out"}} {
		ours := s[sc.name]["sluice"]
		if ours.rounds == 0 {
			continue
		}
		var better []string
		for _, p := range peers() {
			if c := s[sc.name][p.name]; !p.isSluice() && c.rounds > 0 && c.cpu < ours.cpu {
				better = append(better, fmt.Sprintf("%s (sluice needs %.2f times as much)", p.name, ours.cpu/c.cpu))
			}
		}
		line(&b, sc.text, better)
	}
	ours := s[idle]["sluice"]
	if ours.rounds == 0 {
		return b.String()
	}
	var smaller []string
	for _, p := range peers() {
		if c := s[idle][p.name]; !p.isSluice() && c.rounds > 0 && c.perConn < ours.perConn {
			smaller = append(smaller, fmt.Sprintf("%s (%.1f KB : %.1f KB)", p.name, ours.perConn/1e3, c.perConn/1e3))
		}
	}
	line(&b, "idle connection", smaller)
	return b.String()
}

func line(b *strings.Builder, what string, who []string) {
	if len(who) == 0 {
		who = []string{"none of these"}
	}
	fmt.Fprintf(b, "- %s: %s\n", what, strings.Join(who, ", "))
}
