package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/bench"
)

// sample returns a report of n messages that took from 1 ms to n µs more.
func sample(t *testing.T, n int64) *bench.Report {
	t.Helper()
	h := hdrhistogram.New(1, 120_000_000, 3)
	for i := range n {
		if err := h.RecordValue(1000 + i); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	r := &bench.Report{
		Format: bench.Format, Label: "a <b> & \"c\"", Started: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC),
		Command: []string{"sluice", "bench", "echo"},
		Machine: bench.Machine{OS: "linux", Arch: "amd64", CPU: "Some CPU", CPUs: 2, Memory: 8 << 30, Go: "go1.26"},
		Options: bench.Options{Mode: bench.Echo, Codec: bench.WebSocket, Conns: 1000, InFlight: 1, Size: 128},
		Verdict: bench.Verdict{Valid: true},
		Audit:   bench.Audit{Expected: 2000, Received: 2000},
		Opened:  1000, Seconds: 2, Messages: uint64(n), Rate: float64(n) / 2,
		Latency: bench.Latency{
			Count: n, Mean: h.Mean(), P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
			P999: h.ValueAtQuantile(99.9), Max: h.Max(), Encoded: string(encoded),
		},
		Servers: []bench.ProcessUsage{
			{Name: "gateway", CPU: 1, PerMessage: 9, Cores: .5, RSS: 20 << 20, PerConn: 2048},
			{Name: "worker", CPU: .2, PerMessage: 2},
		},
		Own: bench.ProcessUsage{Name: "generator", Cores: .4, CoresLimit: 1},
	}
	for i := range 4 {
		r.Timeline = append(r.Timeline, bench.Interval{
			At: float64(i) - 1, Seconds: 1, Messages: 500 + uint64(i), P50: 1000, P99: 4000 * int64(i+1), Max: 90000, Open: 1000,
			CPU: map[string]float64{"gateway": .5, "worker": .1, "generator": .4},
		})
	}
	return r
}

func TestText(t *testing.T) {
	t.Parallel()
	r := sample(t, 1000)
	r.Errors = []bench.ErrorCount{{Kind: "closed", Count: 3, Example: "gone\x1b[31m"}}
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"echo over ws, 1k connections, 128 B", "closed loop", "500 messages a second, 1,000 in 2.0 s", "1.50 ms",
		"2,000     2,000     0", "9.00 µs", "2 KiB", "3 × closed: gone [31m", "\nOK\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("an escape of a foreign text reaches the terminal")
	}
}

// TestVerdict checks that the word matches the exit code: 1 for a run that failed or was
// interrupted. A run that failed by the generator's own fault is INVALID.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failed, interrupted, valid, ours bool
		want                             string
	}{
		{true, true, false, false, "FAILED"}, {true, false, true, false, "FAILED"},
		{true, false, false, false, "FAILED"}, {false, true, false, false, "INTERRUPTED"},
		{false, true, true, false, "INTERRUPTED"}, {false, false, false, false, "INVALID"},
		{false, false, true, false, "OK"}, {true, false, false, true, "INVALID"},
		{true, true, false, true, "INTERRUPTED"},
	} {
		r := &bench.Report{
			Interrupted: c.interrupted, Verdict: bench.Verdict{Valid: c.valid, Failed: c.failed, OwnFault: c.ours},
		}
		if got := Verdict(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestIdleCPU finds the CPU time per connection and second where other
// modes have the CPU time per message.
func TestIdleCPU(t *testing.T) {
	t.Parallel()
	r := sample(t, 0)
	r.Options.Mode, r.Messages, r.Rate = bench.Idle, 1000, 0
	r.Servers = []bench.ProcessUsage{
		{Name: "gateway", CPU: .0015, PerConnSecond: .75, Cores: 75e-5, PerConn: 1024},
		{Name: "worker", CPU: .0005, PerConnSecond: .25, Cores: 25e-5},
	}
	worse := *r
	worse.Servers = []bench.ProcessUsage{{Name: "gateway", PerConnSecond: 1.5}, {Name: "worker", PerConnSecond: .25}}
	for name, c := range map[string]struct {
		write func(io.Writer) error
		want  []string
	}{
		"text": {
			func(w io.Writer) error { return Text(w, r) },
			[]string{"CPU a connection and second", "gateway                        0.75 µs"},
		},
		"json": {func(w io.Writer) error { return writeJSON(w, r) }, []string{`"cpu_us_per_conn_second": 0.75`}},
		"gobench": {
			func(w io.Writer) error { return writeGoBench(w, r) },
			[]string{" 0.750 cpu-us/conn/s-gateway 1024 B/conn-gateway 0.250 cpu-us/conn/s-worker"},
		},
		"html": {func(w io.Writer) error { return HTML(w, r) }, []string{
			"<b>1.00 µs</b><span>server CPU a connection and second</span>",
			"<b>1 KiB</b><span>server memory a connection</span>", "<td>gateway</td><td>0.75 µs</td>",
		}},
		"compare": {func(w io.Writer) error { return Compare(w, []*bench.Report{r}, []*bench.Report{&worse}) }, []string{
			"CPU a connection and second, all servers  1.00 µs  0 %  1.75 µs  0 %", " +75.0 %\n",
			"CPU a connection and second, gateway      0.75 µs  0 %  1.50 µs  0 %", " +100.0 %\n",
		}},
	} {
		var b strings.Builder
		if err := c.write(&b); err != nil {
			t.Error(name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, &b)
			}
		}
	}
	for text, want := range map[string]bool{"cpu<=1us": true, "cpu<900ns": false} {
		if o, err := ParseSLO(text); err != nil {
			t.Error(err)
		} else if measured, ok := o.Check(r); ok != want || measured != "1.00 µs" {
			t.Errorf("%q: %v with %s", text, ok, measured)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1k"}, {Count(999.9), "1k"},
		{Count(12345), "12.3k"}, {Count(2.5e6), "2.5M"},
		{sizeOf(512), "512 B"}, {sizeOf(1536), "1.5 KiB"}, {sizeOf(-2048), "-2 KiB"},
		{Micros(999), "999 µs"}, {Micros(1500), "1.50 ms"}, {Micros(9_996), "10.0 ms"}, {Micros(99_970), "100 ms"},
		{Micros(999_499), "999 ms"}, {Micros(999_999), "1.00 s"}, {Micros(2_500_000), "2.50 s"},
		{whole(1234567), "1,234,567"}, {whole(123), "123"}, {clean("a\x1b\u202e\nb"), "a   b"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	r := sample(t, 100)
	var first, second bytes.Buffer
	if err := writeJSON(&first, r); err != nil {
		t.Fatal(err)
	}
	back, err := Read(bytes.NewReader(first.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(&second, back); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("reading and writing again changed it: %v", err)
	}
	for _, bad := range []string{
		"", "[]", "null", `{"format":2}`, `{"format":1,"latency":{"hdr":"no"}}`, `{"format":1} {}`,
		`{"format":1,"timeline":[{"at":1}]}`, `{"format":1,"rate":"fast"}`,
	} {
		if _, err := Read(strings.NewReader(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := writeCSV(&b, sample(t, 10)); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[1], " "); got != "-1.000 1 500.000 0.000 0 1000 1000 4000 90000 0.500 0.400 0.100" {
		t.Error(got)
	}
}

func TestGoBench(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := writeGoBench(&b, sample(t, 1000)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	const name = "BenchmarkSluice/mode=echo/codec=ws/conns=1000/inflight=1/size=128-2"
	if len(fields)%2 != 0 || !strings.HasPrefix(fields[0], name) || fields[1] != "1000" {
		t.Fatalf("%q", fields)
	}
	for i := 2; i < len(fields); i += 2 {
		var v float64
		if _, err := fmt.Sscan(fields[i], &v); err != nil {
			t.Errorf("%q is no number", fields[i])
		}
	}
	for _, want := range []string{
		"label: a <b> & \"c\"\n", "\npkg: github.com/seed-7410fe32/sluice/bench\n", " 2000000.0 ns/op 500.0 msg/s ",
		" p99.9-us ", " 9.000 cpu-us/msg-gateway 2048 B/conn-gateway",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}

// TestHGRM reads the lines as plotters do: value, percentile, count up to it, 1/(1-percentile).
func TestHGRM(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, 1000} {
		var b strings.Builder
		if err := writeHGRM(&b, sample(t, n)); err != nil {
			t.Fatal(err)
		}
		var value, percentile, total float64
		for line := range strings.Lines(b.String()) {
			f := strings.Fields(line)
			if len(f) != 4 || f[0] == "Value" || f[0][0] == '#' {
				continue
			}
			var v, p, c float64
			_, err := fmt.Sscan(strings.Join(f[:3], " "), &v, &p, &c)
			if err != nil || v < value || p < percentile || c < total {
				t.Errorf("%q: %v", line, err)
			}
			value, percentile, total = v, p, c
		}
		if n > 0 && (total != float64(n) || percentile != 1 || math.Abs(value-float64(999+n)/1000) > 0.002) {
			t.Errorf("of %d it ends with %v ms at %v of %v", n, value, percentile, total)
		}
		if !strings.Contains(b.String(), fmt.Sprintf("Total count    = %12d]", n)) {
			t.Errorf("the total is not %d in\n%s", n, &b)
		}
	}
}

func TestSLO(t *testing.T) {
	t.Parallel()
	r := sample(t, 1000) // p50 1.5 ms, max 2 ms, 500/s, 11 µs
	r.Errors = []bench.ErrorCount{{Kind: "closed", Count: 2}}
	for text, want := range map[string]bool{
		"p50<5ms": true, "p50 < 1ms": false, "max<=2ms": true, "p99.9>1ms": true, "mean<1s": true,
		"rate>=500": true, "rate>1k": false, "rate>1K": false, "rate<1m": true, "rate<1M": true,
		"lost<=0": true, "lost<1": true, "errors<=2": true, "errors<2": false,
		"errors<0.2%": true, "errors<0.1%": false, "cpu<12us": true, "cpu<10us": false,
	} {
		o, err := ParseSLO(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if measured, ok := o.Check(r); ok != want {
			t.Errorf("%q: %v with %s", text, ok, measured)
		}
		if _, ok := o.Check(&bench.Report{}); ok {
			t.Errorf("%q holds where nothing was measured", text)
		}
	}
	idle := &bench.Report{Messages: 10, Opened: 10}
	for _, text := range []string{"p99<1s", "cpu<1s"} {
		if o, err := ParseSLO(text); err != nil {
			t.Error(err)
		} else if measured, ok := o.Check(idle); ok || measured != "it was not measured" {
			t.Errorf("%q holds with %s", text, measured)
		}
	}
	for _, bad := range []string{
		"", "p99", "p99<", "p99<5", "p98<5ms", "rate<x", "rate<NaN", "rate<Inf", "errors<1%%", "p50<-1s", "rate<-1",
		"rate>5%",
	} {
		if _, err := ParseSLO(bad); !errors.Is(err, ErrSLO) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
