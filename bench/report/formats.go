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
	"unicode"

	"github.com/seed-7410fe32/sluice/bench"
)

// ErrFormat is returned by Read for data that is not a report of this version.
var ErrFormat = errors.New("report: not a report of this version")

// Writers are the formats of a report, by name.
var Writers = map[string]func(io.Writer, *bench.Report) error{
	"text": Text, "json": writeJSON, "csv": writeCSV, "gobench": writeGoBench, "hgrm": writeHGRM,
	"prometheus": writePrometheus, "html": func(w io.Writer, r *bench.Report) error { return HTML(w, r) },
}

// writeJSON writes the whole report. Read reads it back.
func writeJSON(w io.Writer, r *bench.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads a report in JSON. Its error is ErrFormat.
func Read(r io.Reader) (*bench.Report, error) {
	rep := new(bench.Report)
	d := json.NewDecoder(r)
	if err := d.Decode(rep); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: data follows the report", ErrFormat)
	}
	if rep.Format != bench.Format {
		return nil, fmt.Errorf("%w: format %d: must be %d", ErrFormat, rep.Format, bench.Format)
	}
	if _, err := rep.Latency.Histogram(); err != nil {
		return nil, fmt.Errorf("%w: latency histogram: %w", ErrFormat, err)
	}
	for _, m := range rep.Timeline {
		if m.Seconds <= 0 {
			return nil, fmt.Errorf("%w: timeline: invalid interval of %v s", ErrFormat, m.Seconds)
		}
	}
	return rep, nil
}

// writeCSV writes the timeline, one line per interval.
func writeCSV(w io.Writer, r *bench.Report) error {
	decimal := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	names := processes(r)
	head := []string{"at_s", "seconds", "rate", "sent_rate", "errors", "open", "p50_us", "p99_us", "max_us"}
	for _, n := range names {
		head = append(head, "cores_"+n)
	}
	rows := [][]string{head}
	for _, m := range r.Timeline {
		seconds := strconv.FormatFloat(m.Seconds, 'f', -1, 64)
		row := []string{decimal(m.At), seconds, decimal(m.Rate()), decimal(float64(m.Sent) / m.Seconds)}
		for _, n := range []int64{int64(m.Errors), int64(m.Open), m.P50, m.P99, m.Max} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		for _, n := range names {
			row = append(row, decimal(m.CPU[n]))
		}
		rows = append(rows, row)
	}
	return csv.NewWriter(w).WriteAll(rows)
}

func processes(r *bench.Report) []string {
	names := make(map[string]float64)
	for _, m := range r.Timeline {
		maps.Copy(names, m.CPU)
	}
	return slices.Sorted(maps.Keys(names))
}

// writeGoBench writes the report as a benchmark result for benchstat
// (golang.org/design/14313-benchmark-format). The label is a line of the head: benchstat -col label
// sets runs of different labels side by side.
func writeGoBench(w io.Writer, r *bench.Report) error {
	var b strings.Builder
	figures := func(all []figure, r *bench.Report, suffix string) {
		for _, f := range all {
			if f.gobench != "" && f.has(r) {
				fmt.Fprintf(&b, " "+f.gobench+"%s", f.value(r), suffix)
			}
		}
	}
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/seed-7410fe32/sluice/bench\ncpu: %s\n",
		clean(r.Machine.OS), clean(r.Machine.Arch), clean(r.Machine.CPU))
	if r.Label != "" {
		fmt.Fprintf(&b, "label: %s\n", clean(r.Label))
	}
	fmt.Fprintf(&b, "Unit msg/s better=higher\nBenchmarkSluice/%s-%d %d",
		benchmark(r.Options), max(r.Machine.CPUs, 1), max(r.Messages, 1))
	if r.Rate > 0 {
		fmt.Fprintf(&b, " %.1f ns/op", 1e9/r.Rate)
	}
	if r.Options.Mode != bench.Idle {
		figures(runFigures, r, "")
	}
	figures(latencyFigures, r, "")
	for _, p := range r.Servers {
		figures(processFigures(r.Options.Mode), only(p), "-"+word(p.Name))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// benchmark names what was run.
func benchmark(o bench.Options) string {
	name := fmt.Sprintf("mode=%s/codec=%s/conns=%d", word(string(o.Mode)), word(string(o.Codec)), o.Conns)
	if o.Rate > 0 {
		name += "/rate=" + strconv.FormatFloat(o.Rate, 'f', -1, 64)
	} else {
		name += "/inflight=" + strconv.Itoa(o.InFlight)
	}
	name += "/size=" + strconv.Itoa(o.Size)
	switch o.Mode {
	case bench.Broadcast:
		name += "/senders=" + strconv.Itoa(o.Senders)
	case bench.Rooms:
		name += "/room=" + strconv.Itoa(o.RoomSize)
	case bench.Churn:
		name += "/perconn=" + strconv.Itoa(o.PerConn)
	}
	return name
}

// word replaces what separates the parts of a benchmark line.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' || r == '-' {
			return '_'
		}
		return r
	}, s)
}

// writeHGRM writes the latency percentiles in milliseconds, for the plotter of HdrHistogram.
func writeHGRM(w io.Writer, r *bench.Report) error {
	h, err := r.Latency.Histogram()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = h.PercentilesPrint(w, 5, 1000)
	return err
}
