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

// ErrFormat is returned by Read for what is no report of this version.
var ErrFormat = errors.New("report: not a report of this version")

// Writers are the forms of a report, by name.
var Writers = map[string]func(io.Writer, *bench.Report) error{
	"text": Text, "json": JSON, "csv": CSV, "gobench": GoBench, "hgrm": HGRM, "prometheus": Prometheus,
	"html": func(w io.Writer, r *bench.Report) error { return HTML(w, r) },
}

// JSON writes the whole report, for Read.
func JSON(w io.Writer, r *bench.Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Read reads what JSON wrote.
func Read(r io.Reader) (*bench.Report, error) {
	rep := new(bench.Report)
	d := json.NewDecoder(r)
	if err := d.Decode(rep); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows it", ErrFormat)
	}
	if rep.Format != bench.Format {
		return nil, fmt.Errorf("%w: it has format %d, and format %d is read", ErrFormat, rep.Format, bench.Format)
	}
	if _, err := rep.Latency.Histogram(); err != nil {
		return nil, fmt.Errorf("%w: its latency histogram: %w", ErrFormat, err)
	}
	for _, m := range rep.Timeline {
		if m.Seconds <= 0 {
			return nil, fmt.Errorf("%w: its timeline has an interval of %v s", ErrFormat, m.Seconds)
		}
	}
	return rep, nil
}

// CSV writes the timeline, a line for each interval.
func CSV(w io.Writer, r *bench.Report) error {
	decimal := func(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }
	names := processes(r)
	head := []string{"at_s", "seconds", "rate", "sent_rate", "errors", "open", "p50_us", "p99_us", "max_us"}
	for _, n := range names {
		head = append(head, "cores_"+n)
	}
	rows := [][]string{head}
	for _, m := range r.Timeline {
		row := []string{decimal(m.At), strconv.FormatFloat(m.Seconds, 'f', -1, 64), decimal(m.Rate()), decimal(float64(m.Sent) / m.Seconds)}
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

// GoBench writes the report as a benchmark's result, which benchstat compares (golang.org/design/14313-benchmark-format). The label is a line of the head, so that
// runs of different labels are the same benchmark: benchstat -col label sets them side by side.
func GoBench(w io.Writer, r *bench.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/seed-7410fe32/sluice/bench\ncpu: %s\n", clean(r.Machine.OS), clean(r.Machine.Arch), clean(r.Machine.CPU))
	if r.Label != "" {
		fmt.Fprintf(&b, "label: %s\n", clean(r.Label))
	}
	fmt.Fprintf(&b, "Unit msg/s better=higher\nBenchmarkSluice/%s-%d %d", benchmark(r.Options), max(r.Machine.CPUs, 1), max(r.Messages, 1))
	if r.Rate > 0 {
		fmt.Fprintf(&b, " %.1f ns/op", 1e9/r.Rate)
	}
	if r.Options.Mode != bench.Idle {
		gobench(&b, runFigures, r, "")
	}
	if r.Latency.Count > 0 {
		gobench(&b, latencyFigures, r.Latency, "")
	}
	for _, p := range r.Servers {
		gobench(&b, processFigures(r.Options.Mode), p, "-"+word(p.Name))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// gobench writes the figures of x that a benchmark line has, of is whose they are.
func gobench[T any](b *strings.Builder, figures []measure[T], x T, of string) {
	for _, f := range figures {
		if f.gobench != "" && f.has(x) {
			fmt.Fprintf(b, " "+f.gobench+"%s", f.value(x), of)
		}
	}
}

// benchmark is the name of what was run.
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

// word makes one word of a name.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' || r == '-' {
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
