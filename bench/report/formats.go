package report

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice/bench"
)

// ErrFormat is returned by Read for what is no report of this version.
var ErrFormat = errors.New("report: not a report of this version")

// JSON writes the whole report, for Read.
func JSON(w io.Writer, r *bench.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads what JSON wrote.
func Read(r io.Reader) (*bench.Report, error) {
	rep := new(bench.Report)
	if err := json.NewDecoder(r).Decode(rep); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if rep.Format != bench.Format {
		return nil, fmt.Errorf("%w: it has format %d, and format %d is read", ErrFormat, rep.Format, bench.Format)
	}
	if _, err := rep.Latency.Histogram(); err != nil {
		return nil, fmt.Errorf("%w: its latency histogram: %w", ErrFormat, err)
	}
	return rep, nil
}

// CSV writes the timeline, a line for each interval.
func CSV(w io.Writer, r *bench.Report) error {
	names := processes(r)
	c := csv.NewWriter(w)
	head := []string{"at_s", "seconds", "rate", "sent_rate", "errors", "open", "p50_us", "p99_us", "max_us"}
	for _, n := range names {
		head = append(head, "cores_"+n)
	}
	_ = c.Write(head) // Error tells below
	for _, m := range r.Timeline {
		row := []string{
			decimal(m.At), decimal(m.Seconds), decimal(m.Rate()), decimal(float64(m.Sent) / m.Seconds), strconv.FormatUint(m.Errors, 10), strconv.Itoa(m.Open),
			strconv.FormatInt(m.P50, 10), strconv.FormatInt(m.P99, 10), strconv.FormatInt(m.Max, 10),
		}
		for _, n := range names {
			row = append(row, decimal(m.CPU[n]))
		}
		_ = c.Write(row)
	}
	c.Flush()
	return c.Error()
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }

// processes are the names of all that was measured, sorted.
func processes(r *bench.Report) []string {
	names := make(map[string]bool)
	for _, m := range r.Timeline {
		for n := range m.CPU {
			names[n] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// GoBench writes the report as a benchmark's result, which benchstat compares (golang.org/design/14313-benchmark-format).
func GoBench(w io.Writer, r *bench.Report) error {
	o := r.Options
	name := fmt.Sprintf("mode=%s/codec=%s/conns=%d/size=%d", o.Mode, o.Codec, o.Conns, o.Size)
	if o.Rate > 0 {
		name += "/rate=" + strconv.FormatFloat(o.Rate, 'f', -1, 64)
	} else {
		name += "/inflight=" + strconv.Itoa(o.InFlight)
	}
	if r.Label != "" {
		name = "label=" + word(r.Label) + "/" + name
	}
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: sluice/bench\ncpu: %s\n", r.Machine.OS, r.Machine.Arch, clean(r.Machine.CPU))
	fmt.Fprintf(&b, "BenchmarkSluice/%s-%d %d", name, r.Machine.CPUs, max(r.Messages, 1))
	if r.Rate > 0 {
		fmt.Fprintf(&b, " %.1f ns/op %.0f msg/s", 1e9/r.Rate, r.Rate)
	}
	l := r.Latency
	for _, v := range []struct {
		unit  string
		value int64
	}{{"p50-µs", l.P50}, {"p90-µs", l.P90}, {"p99-µs", l.P99}, {"p99.9-µs", l.P999}, {"max-µs", l.Max}} {
		fmt.Fprintf(&b, " %d %s", v.value, v.unit)
	}
	for _, p := range r.Servers {
		fmt.Fprintf(&b, " %.3f %s-cpu-µs/msg %.0f %s-B/conn", p.PerMessage, word(p.Name), p.PerConn, word(p.Name))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// word makes one word of a name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '-' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}

// HGRM writes the percentiles of the latency, in milliseconds, as HdrHistogram's plotter reads them.
func HGRM(w io.Writer, r *bench.Report) error {
	h, err := r.Latency.Histogram()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = h.PercentilesPrint(w, 5, 1000)
	return err
}
