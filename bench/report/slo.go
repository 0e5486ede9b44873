package report

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// ErrSLO is returned by ParseSLO for an expression it does not understand.
var ErrSLO = errors.New("report: not an objective such as p99<5ms, rate>10k, errors<0.1%, lost<=0 or cpu<20us")

// SLO is a service level objective: a figure of the report and the limit it must keep.
type SLO struct {
	text   string
	metric metric
	op     string
	limit  float64 // in the metric's unit
}

// metric is a figure that an objective can be about.
type metric struct {
	unit
	has   func(*bench.Report) bool // whether the run measured it
	value func(*bench.Report) float64
}

// metrics finds one by its name.
func metrics(name string) (metric, bool) {
	for _, f := range latencyFigures {
		if f.name == name {
			return metric{f.unit, func(r *bench.Report) bool { return r.Latency.Count > 0 }, func(r *bench.Report) float64 { return f.value(r.Latency) }}, true
		}
	}
	some := func(r *bench.Report) bool { return r.Messages > 0 || r.Audit.Expected > 0 || len(r.Errors) > 0 }
	for _, f := range auditFigures {
		if f.name == name {
			return metric{f.unit, some, func(r *bench.Report) float64 { return f.value(r.Audit) }}, true
		}
	}
	for _, f := range runFigures {
		if f.name == name && name != "" {
			return metric{f.unit, func(r *bench.Report) bool { return some(r) && (name != "cpu" || len(r.Servers) > 0 && r.Messages > 0) }, f.value}, true
		}
	}
	return metric{}, false
}

// inAudit are the kinds of error that the audit has, too.
var inAudit = []string{"changed", "unreadable"}

// failures are connections and messages that went wrong, each counted once.
func failures(r *bench.Report) float64 {
	var n uint64
	for _, f := range r.Audit.Faults() {
		n += f.Count
	}
	for _, e := range r.Errors {
		if !slices.Contains(inAudit, e.Kind) {
			n += e.Count
		}
	}
	return float64(n)
}

// serverCPU is what all servers together took for each, as cpuEach says, in microseconds.
func serverCPU(r *bench.Report) float64 { return r.Total(cpuOf) }

// ParseSLO reads an objective: p50, p90, p99, p99.9, max or mean and a duration; cpu, of all servers a message or, in mode idle, a connection and second, and a duration; rate, errors or
// a figure of the audit, such as lost, and a number with an optional k or M; errors and a percentage of the messages, or of the connections if they are more. Between them stands <, <=, > or >=.
func ParseSLO(s string) (SLO, error) {
	text := strings.ReplaceAll(s, " ", "")
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return SLO{}, fmt.Errorf("%w: %q", ErrSLO, s)
	}
	o := SLO{text: text, op: text[at : at+1]}
	rest := text[at+1:]
	if strings.HasPrefix(rest, "=") {
		o.op, rest = o.op+"=", rest[1:]
	}
	var ok bool
	if o.metric, ok = metrics(text[:at]); !ok {
		return SLO{}, fmt.Errorf("%w: there is no %q", ErrSLO, text[:at])
	}
	if percent, ok := strings.CutSuffix(rest, "%"); ok && text[:at] == "errors" {
		o.metric.value = func(r *bench.Report) float64 {
			return 100 * failures(r) / float64(max(r.Audit.Expected, uint64(max(r.Opened, 1))))
		}
		o.metric.words = func(v float64) string { return fmt.Sprintf("%.3g%%", v) }
		rest = percent
	}
	var err error
	if o.limit, err = o.metric.parse(rest); err != nil {
		return SLO{}, fmt.Errorf("%w: %q: %w", ErrSLO, s, err)
	}
	return o, nil
}

// String is the objective as it was given.
func (o SLO) String() string { return o.text }

// Check tells whether the report keeps the objective, and what it has. What was not measured is not kept.
func (o SLO) Check(r *bench.Report) (measured string, ok bool) {
	if !o.metric.has(r) {
		return "it was not measured", false
	}
	v := o.metric.value(r)
	switch o.op {
	case "<":
		ok = v < o.limit
	case "<=":
		ok = v <= o.limit
	case ">":
		ok = v > o.limit
	case ">=":
		ok = v >= o.limit
	}
	return o.metric.words(v), ok
}

func microseconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no duration such as 5ms", s)
	}
	return float64(d) / float64(time.Microsecond), nil
}

// ParseNumber reads a number of 0 or more with an optional k for thousands or M for millions, in either case.
func ParseNumber(s string) (float64, error) {
	number, factor := strings.ToLower(s), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is no number such as 500 or 10k", s)
	}
	return v * factor, nil
}
