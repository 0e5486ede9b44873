package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// Prometheus writes the figures in Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats), for a textfile collector or a
// pushgateway. Times are in seconds and memory is in bytes. Every metric has the labels mode and codec, and label where the run has one: runs of different labels can
// stand side by side.
func Prometheus(w io.Writer, r *bench.Report) error {
	p := prometheus{labels: []string{"mode", string(r.Options.Mode), "codec", string(r.Options.Codec)}, families: make(map[string]*strings.Builder)}
	if r.Label != "" {
		p.labels = append(p.labels, "label", r.Label)
	}
	p.add("info", "What was run, and the verdict.", 1, "version", r.Version, "verdict", Verdict(r))
	addFigures(&p, runFigures, r)
	addFigures(&p, auditFigures, r.Audit)
	for _, f := range r.Audit.Faults() {
		p.add("faults_total", "What the audit found wrong with messages, warm-up included.", float64(f.Count), "fault", f.Name)
	}
	for _, e := range r.Errors {
		p.add("errors_total", "Errors by kind.", float64(e.Count), "kind", e.Kind)
	}
	p.summary("latency_seconds", "From when a message was sent, or was due in an open loop, to its arrival.", r.Latency)
	p.summary("lateness_seconds", "From when a message was due in an open loop to when it was sent.", r.Lateness)
	for _, u := range slices.Concat(r.Servers, []bench.ProcessUsage{r.Own}) {
		addFigures(&p, processFigures(r.Options.Mode), u, "process", u.Name)
	}
	if a := r.Actions; a != nil {
		for i, n := range []uint64{a.Said, a.Whispered, a.Left, a.Reconnected} {
			p.add("acts_total", "What the people of mode chat did in the window.", float64(n), "act", []string{"said", "whispered", "left", "reconnected"}[i])
		}
	}
	if s := r.SlowReaders; s != nil {
		p.add("slow_readers", "Connections that read nothing.", float64(s.Readers))
		p.add("slow_readers_cut_total", "Connections that read nothing and were cut off.", float64(s.Cut))
	}
	for _, name := range p.names {
		if _, err := io.WriteString(w, p.families[name].String()); err != nil {
			return err
		}
	}
	return nil
}

// prometheus is a text of metrics, those of a family together.
type prometheus struct {
	labels   []string // of all: names and values in turn
	names    []string // of the families, in their order
	families map[string]*strings.Builder
}

// family is a metric's text so far, which begins with what it is.
func (p *prometheus) family(name, kind, help string) *strings.Builder {
	f := p.families[name]
	if f == nil {
		f = new(strings.Builder)
		fmt.Fprintf(f, "# HELP sluice_bench_%[1]s %[2]s\n# TYPE sluice_bench_%[1]s %[3]s\n", name, help, kind)
		p.names, p.families[name] = append(p.names, name), f
	}
	return f
}

// add adds a sample to a counter or a gauge. labels are names and values in turn.
func (p *prometheus) add(name, help string, v float64, labels ...string) {
	kind := "gauge"
	if strings.HasSuffix(name, "_total") {
		kind = "counter"
	}
	p.sample(p.family(name, kind, help), name, v, labels...)
}

// addFigures adds what x has of the figures that are metrics.
func addFigures[T any](p *prometheus, figures []measure[T], x T, labels ...string) {
	for _, f := range figures {
		if f.metric != "" && f.has(x) {
			p.add(f.metric, f.help, f.value(x)/f.per, labels...)
		}
	}
}

// summary adds a distribution; nothing where nothing was timed.
func (p *prometheus) summary(name, help string, l bench.Latency) {
	if l.Count == 0 {
		return
	}
	b := p.family(name, "summary", help)
	for _, f := range latencyFigures {
		if f.metric != "" {
			p.sample(b, name, f.value(l)/f.per, "quantile", f.metric)
		}
	}
	p.sample(b, name+"_sum", l.Mean*float64(l.Count)/asMicros.per)
	p.sample(b, name+"_count", float64(l.Count))
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *prometheus) sample(b *strings.Builder, name string, v float64, labels ...string) {
	var all []string
	for l := range slices.Chunk(slices.Concat(p.labels, labels), 2) {
		all = append(all, l[0]+`="`+labelEscape.Replace(strings.ToValidUTF8(l[1], "?"))+`"`)
	}
	fmt.Fprintf(b, "sluice_bench_%s{%s} %s\n", name, strings.Join(all, ","), strconv.FormatFloat(v, 'g', -1, 64))
}
