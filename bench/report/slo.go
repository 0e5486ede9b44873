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

// SLO is a service level objective: a figure of the report and its limit.
type SLO struct {
	text   string
	figure figure
	op     string
	limit  float64 // in the figure's unit
}

// ParseSLO reads an objective: a figure, one of < <= > >=, and a limit.
//   - p50, p90, p99, p99.9, max, mean and cpu take a duration. cpu is the CPU time of all servers
//     per message, or in mode idle per connection and second.
//   - rate, errors and the figures of the audit, such as lost, take a number with an optional k
//     or M.
//   - errors also takes a percentage of the messages, or of the connections if they are more.
func ParseSLO(s string) (SLO, error) {
	text := strings.ReplaceAll(s, " ", "")
	at := strings.IndexAny(text, "<>")
	if at < 0 {
		return SLO{}, fmt.Errorf("%w: %q", ErrSLO, s)
	}
	o := SLO{text: text, op: text[at : at+1]}
	name, limit := text[:at], text[at+1:]
	if strings.HasPrefix(limit, "=") {
		o.op, limit = o.op+"=", limit[1:]
	}
	var ok bool
	if o.figure, ok = figureOf(name); !ok {
		return SLO{}, fmt.Errorf("%w: there is no figure %q", ErrSLO, name)
	}
	if percent, ok := strings.CutSuffix(limit, "%"); ok && name == "errors" {
		limit = percent
		o.figure.words = func(v float64) string { return fmt.Sprintf("%.3g%%", v) }
		o.figure.value = func(r *bench.Report) float64 {
			return 100 * failures(r) / float64(max(r.Audit.Expected, uint64(max(r.Opened, 1))))
		}
	}
	var err error
	if o.limit, err = o.figure.parse(limit); err != nil {
		return SLO{}, fmt.Errorf("%w: %q: %w", ErrSLO, s, err)
	}
	return o, nil
}

// figureOf finds a figure by its name.
func figureOf(name string) (figure, bool) {
	for _, f := range slices.Concat(latencyFigures, auditFigures, runFigures) {
		if f.name == name && name != "" {
			return f, true
		}
	}
	return figure{}, false
}

// String returns the objective as it was given.
func (o SLO) String() string { return o.text }

// Check reports whether the report meets the objective, and the measured value. A figure that was
// not measured does not meet it.
func (o SLO) Check(r *bench.Report) (measured string, ok bool) {
	something := r.Messages > 0 || r.Audit.Expected > 0 || len(r.Errors) > 0
	noCPU := len(r.Servers) == 0 || r.Messages == 0
	if !something || !o.figure.has(r) || o.figure.name == "cpu" && noCPU {
		return "it was not measured", false
	}
	v := o.figure.value(r)
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
	return o.figure.words(v), ok
}

func microseconds(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 5ms", s)
	}
	return float64(d) / float64(time.Microsecond), nil
}

// ParseNumber reads a number of 0 or more with an optional k for thousands
// or M for millions, in either case.
func ParseNumber(s string) (float64, error) {
	number, factor := strings.ToLower(s), 1.0
	for suffix, f := range map[string]float64{"k": 1e3, "m": 1e6} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = rest, f
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number such as 500 or 10k", s)
	}
	return v * factor, nil
}
