package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// writePrometheus writes the figures in Prometheus' text format, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats), for a textfile collector or a
// pushgateway. Times are in seconds, memory in bytes. Every metric has the labels mode and codec,
// and label where the run has one.
func writePrometheus(w io.Writer, r *bench.Report) error {
	p := prometheus{labels: []string{"mode", string(r.Options.Mode), "codec", string(r.Options.Codec)}}
	if r.Label != "" {
		p.labels = append(p.labels, "label", r.Label)
	}
	p.add("info", "What was run, and the verdict.", 1, "version", r.Version, "verdict", Verdict(r))
	p.figures(slices.Concat(runFigures, auditFigures), r)
	for _, f := range r.Audit.Faults() {
		p.add("faults_total", "Faults the audit found, including the warm-up.", float64(f.Count), "fault", f.Name)
	}
	for _, e := range r.Errors {
		p.add("errors_total", "Errors by kind.", float64(e.Count), "kind", e.Kind)
	}
	p.summary("latency_seconds", "From the send of a message, or its due time in an open loop, to its arrival.", r.Latency)
	p.summary("lateness_seconds", "From the due time of a message in an open loop to its send.", r.Lateness)
	for _, u := range slices.Concat(r.Servers, []bench.ProcessUsage{r.Own}) {
		p.figures(processFigures(r.Options.Mode), only(u), "process", u.Name)
	}
	if a := r.Actions; a != nil {
		for i, n := range []uint64{a.Said, a.Whispered, a.Left, a.Reconnected} {
			name := []string{"said", "whispered", "left", "reconnected"}[i]
			p.add("acts_total", "Actions of the users of mode chat in the window.", float64(n), "act", name)
		}
	}
	if s := r.SlowReaders; s != nil {
		p.add("slow_readers", "Connections that read nothing.", float64(s.Readers))
		p.add("slow_readers_cut_total", "Connections that read nothing and were closed.", float64(s.Cut))
	}
	for _, f := range p.families {
		if _, err := io.WriteString(w, f.text.String()); err != nil {
			return err
		}
	}
	return nil
}

// prometheus collects samples by family: those of one metric have to stand together.
type prometheus struct {
	labels   []string // names and values in turn
	families []*family
}

type family struct {
	name string
	text strings.Builder
}

func (p *prometheus) family(name, kind, help string) *family {
	for _, f := range p.families {
		if f.name == name {
			return f
		}
	}
	f := &family{name: name}
	fmt.Fprintf(&f.text, "# HELP sluice_bench_%[1]s %[2]s\n# TYPE sluice_bench_%[1]s %[3]s\n", name, help, kind)
	p.families = append(p.families, f)
	return f
}

// add adds a sample. A name that ends in _total is a counter, any other a gauge.
func (p *prometheus) add(name, help string, v float64, labels ...string) {
	kind := "gauge"
	if strings.HasSuffix(name, "_total") {
		kind = "counter"
	}
	p.sample(p.family(name, kind, help), name, v, labels...)
}

func (p *prometheus) figures(figures []figure, r *bench.Report, labels ...string) {
	for _, f := range figures {
		if f.metric != "" && f.has(r) {
			p.add(f.metric, f.help, f.value(r)/f.per, labels...)
		}
	}
}

func (p *prometheus) summary(name, help string, l bench.Latency) {
	if l.Count == 0 {
		return
	}
	family := p.family(name, "summary", help)
	for _, f := range latencyFigures {
		if f.metric != "" {
			p.sample(family, name, f.value(&bench.Report{Latency: l})/f.per, "quantile", f.metric)
		}
	}
	p.sample(family, name+"_sum", l.Mean*float64(l.Count)/asMicros.per)
	p.sample(family, name+"_count", float64(l.Count))
}

var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *prometheus) sample(f *family, name string, v float64, labels ...string) {
	var all []string
	for l := range slices.Chunk(slices.Concat(p.labels, labels), 2) {
		all = append(all, l[0]+`="`+labelEscape.Replace(strings.ToValidUTF8(l[1], "?"))+`"`)
	}
	value := strconv.FormatFloat(v, 'g', -1, 64)
	fmt.Fprintf(&f.text, "sluice_bench_%s{%s} %s\n", name, strings.Join(all, ","), value)
}
