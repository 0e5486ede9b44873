package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
)

// lineOf returns the line of a figure in a comparison; "none" without one.
func lineOf(t *testing.T, figure string, a, b []*bench.Report) string {
	t.Helper()
	var out strings.Builder
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if rest, ok := strings.CutPrefix(line, "  "+figure+"  "); ok {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return "none"
}

// side returns runs of one load, one for each rate. p50, p99 and CPU time per message are
// inversely proportional to the rate, in the run and in each interval of its timeline.
func side(t *testing.T, change func(*bench.Report), rates ...float64) (runs []*bench.Report) {
	t.Helper()
	for _, rate := range rates {
		r := sample(t, 1000)
		us := 1e6 / rate
		r.Rate, r.Latency.P50, r.Latency.P99 = rate, int64(us), int64(2*us)
		r.Servers = []bench.ProcessUsage{{Name: "gateway", PerMessage: us / 10, PerConn: 1e6 / rate}}
		r.Timeline = nil
		for i := range 5 { // two of the warm-up and three of the window, which differ by 1 %
			of := rate * (1 + float64(i-3)/100)
			m := bench.Interval{
				At: float64(i - 1), Seconds: 1, Messages: uint64(of), P50: int64(1e6 / of), P99: int64(2e6 / of), Max: 90000,
				Open: 1000, CPU: map[string]float64{"gateway": .1, "generator": .3},
			}
			r.Timeline = append(r.Timeline, m)
		}
		if change != nil {
			change(r)
		}
		runs = append(runs, r)
	}
	return runs
}

// TestCompareWords checks the word for each figure, with several runs and
// with the intervals of single runs.
func TestCompareWords(t *testing.T) {
	t.Parallel()
	flat := func(r *bench.Report) { r.Timeline = nil }
	slow := func(r *bench.Report) { r.Timeline[3].Messages /= 2 } // one interval of the window
	cold := func(r *bench.Report) { r.Timeline[0].Messages /= 2 } // of the warm-up
	short := func(r *bench.Report) { r.Timeline = r.Timeline[:4] }
	for _, c := range []struct {
		name, figure, want string // want is how the line ends
		a, b               []*bench.Report
	}{
		{
			"four runs a side", "messages a second", "+10.0 % better", side(t, flat, 990, 1000, 1000, 1010),
			side(t, flat, 1090, 1100, 1100, 1110),
		},
		{"four runs a side", "p50", "+11.1 % worse", side(t, nil, 990, 1000, 1000, 1010), side(t, nil, 890, 900, 900, 910)},
		{
			"four runs that overlap", "messages a second", "+5.0 % no difference", side(t, nil, 900, 1000, 1000, 1100),
			side(t, nil, 950, 1050, 1050, 1150),
		},
		{
			"four runs, less than 1 %", "messages a second", "+0.5 % no difference", side(t, nil, 1000, 1000, 1000, 1000),
			side(t, nil, 1005, 1005, 1005, 1005),
		},
		{
			"three runs, far apart", "CPU a message, gateway", "-33.3 % better", side(t, nil, 990, 1000, 1010),
			side(t, nil, 1490, 1500, 1510),
		},
		{
			"three runs, nearer than they spread", "messages a second", "+10.0 % no difference", side(t, nil, 900, 1000, 1010),
			side(t, nil, 1090, 1100, 1110),
		},
		{
			"the middle two of four", "messages a second", "+10.0 % better", side(t, nil, 900, 950, 1050, 1060),
			side(t, nil, 1090, 1095, 1105, 1200),
		},
		{"one run, its intervals alike", "messages a second", "+10.0 % better", side(t, nil, 1000), side(t, nil, 1100)},
		{"one run, its intervals alike", "p99", "-9.1 % better", side(t, nil, 1000), side(t, nil, 1100)},
		{
			"one run, its intervals alike", "CPU a message, all servers", "+25.0 % worse", side(t, nil, 1000), side(t, nil, 800),
		},
		{
			"one run, within its intervals", "messages a second", "+10.0 % no difference", side(t, slow, 1000),
			side(t, nil, 1100),
		},
		{"the warm-up is no interval", "messages a second", "+10.0 % better", side(t, cold, 1000), side(t, cold, 1100)},
		{"one run against three", "messages a second", "+10.0 % better", side(t, nil, 1000), side(t, nil, 1099, 1100, 1101)},
		{"two runs a side", "messages a second", "+10.0 % no difference", side(t, nil, 900, 1100), side(t, nil, 1000, 1200)},
		{"one run without intervals", "messages a second", "+10.0 %", side(t, flat, 1000), side(t, flat, 1100)},
		{"one run of two intervals", "messages a second", "+10.0 %", side(t, short, 1000), side(t, short, 1100)},
		{"one run: intervals have no p90", "p90", "+0.0 %", side(t, nil, 1000), side(t, nil, 1100)},
		{
			"one run: intervals have no memory", "memory a connection, gateway", "-9.1 %", side(t, nil, 1000),
			side(t, nil, 1100),
		},
		{
			"three runs have memory", "memory a connection, gateway", "-9.1 % better", side(t, nil, 1000, 1000, 1000),
			side(t, nil, 1100, 1100, 1100),
		},
	} {
		if got := lineOf(t, c.figure, c.a, c.b); !strings.HasSuffix(got, " "+c.want) {
			t.Errorf("%s, %s: %q, want it to end with %q", c.name, c.figure, got, c.want)
		}
	}
}

// TestCompareOnlyWhatIsComparable has figures without a percentage, because they were not
// measured, and runs without a word.
func TestCompareOnlyWhatIsComparable(t *testing.T) {
	t.Parallel()
	three := func(change func(*bench.Report)) []*bench.Report { return side(t, change, 1000, 1000, 1000) }
	memory := func(bytes float64) func(*bench.Report) {
		return func(r *bench.Report) { r.Servers[0].PerConn = bytes }
	}
	for _, c := range []struct {
		name, figure, want string
		a, b               func(*bench.Report)
	}{
		{"memory given back", "memory a connection, gateway", "-100 B 200 B 0 % not comparable", memory(-100), memory(200)},
		{
			"memory given back after", "memory a connection, gateway", "200 B 0 % -100 B not comparable", memory(200),
			memory(-100),
		},
		{"memory not measured", "memory a connection, gateway", "200 B 0 % not measured in both", memory(200), memory(0)},
		{"memory in neither", "memory a connection, gateway", "none", memory(0), memory(0)},
		{
			"no latency in B", "p99", "2.00 ms 0 % not measured in both", nil,
			func(r *bench.Report) { r.Latency = bench.Latency{} },
		},
		{
			"no latency in A", "p99", "2.00 ms 0 % not measured in both", func(r *bench.Report) { r.Latency = bench.Latency{} },
			nil,
		},
		{
			"no latency at all", "p50", "none", func(r *bench.Report) { r.Latency = bench.Latency{} },
			func(r *bench.Report) { r.Latency = bench.Latency{} },
		},
		{
			"no CPU in B", "CPU a message, all servers", "100.00 µs 0 % not measured in both", nil,
			func(r *bench.Report) { r.Servers = nil },
		},
		{
			"another process", "CPU a message, gateway", "100.00 µs 0 % not measured in both", nil,
			func(r *bench.Report) { r.Servers[0].Name = "other" },
		},
		{
			"another process", "CPU a message, all servers", "100.00 µs 0 % 100.00 µs 0 % +0.0 % no difference", nil,
			func(r *bench.Report) { r.Servers[0].Name = "other" },
		},
		{"no errors", "errors", "none", nil, nil},
		{"no percentage of none", "errors", "0 2 0 % worse", nil, func(r *bench.Report) { r.Audit.Lost = 2 }},
		{"none any more", "errors", "2 0 % 0 -100.0 % better", func(r *bench.Report) { r.Audit.Lost = 2 }, nil},
		{
			"a run that is INVALID", "messages a second", "1k 0 % 1.5k 0 % +50.0 %", nil,
			func(r *bench.Report) { r.Rate, r.Verdict.Valid = 1500, false },
		},
		{
			"a run that FAILED", "messages a second", "1k 0 % 1.5k 0 % +50.0 %",
			func(r *bench.Report) { r.Verdict.Failed = true }, func(r *bench.Report) { r.Rate = 1500 },
		},
		{
			"a run that was INTERRUPTED", "messages a second", "1k 0 % 1.5k 0 % +50.0 %",
			func(r *bench.Report) { r.Interrupted = true }, func(r *bench.Report) { r.Rate = 1500 },
		},
		{
			"another load", "messages a second", "1k 0 % 1.5k 0 %", nil,
			func(r *bench.Report) { r.Rate, r.Options.Size = 1500, 64 },
		},
		{"another processor", "p50", "1.00 ms 0 % 1.00 ms 0 %", nil, func(r *bench.Report) { r.Machine.CPU = "another" }},
		{"an open loop", "p50", "1.00 ms 0 % 1.00 ms 0 %", nil, func(r *bench.Report) { r.Options.Rate = 1000 }},
		{
			"another server", "messages a second", "1k 0 % 1.5k 0 % +50.0 % better", nil,
			func(r *bench.Report) { r.Rate, r.Options.Servers.Workers = 1500, 4 },
		},
	} {
		if got := lineOf(t, c.figure, three(c.a), three(c.b)); got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.name, c.figure, got, c.want)
		}
	}
}

// TestCompareSettings changes one setting at a time. It is listed as one that makes runs
// incomparable, or as a difference.
func TestCompareSettings(t *testing.T) {
	t.Parallel()
	const unlike, others = "\nThese are not comparable:\n  ", "\nThese differ:\n  "
	started := func(r *bench.Report) {
		r.Options.Servers = bench.Servers{Gateways: 1, Workers: 1, Reactors: "auto"}
		r.Options.Targets, r.Options.Label = []string{"127.0.0.1:4711"}, "a"
		r.Options.PIDs = []bench.PID{{Name: "gateway", PID: 7}}
	}
	const envelope = `envelope is none in A and {"out":{"before":"say ","after":""},"in":{"before":"","after":""}} in B`
	for want, change := range map[string]func(*bench.Report){
		unlike + "mode is echo in A and rooms in B": func(r *bench.Report) { r.Options.Mode = bench.Rooms },
		unlike + "codec is ws in A and text in B":   func(r *bench.Report) { r.Options.Codec = bench.Text },
		unlike + "conns is 1000 in A and 50 in B":   func(r *bench.Report) { r.Options.Conns = 50 },
		unlike + "in flight is 1 in A and 2 in B":   func(r *bench.Report) { r.Options.InFlight = 2 },
		unlike + "in flight is 1 in A and none in B\n  rate is none in A and 100 in B": func(r *bench.Report) {
			r.Options.Rate = 100
		},
		unlike + "size is 128 in A and 64 in B":      func(r *bench.Report) { r.Options.Size = 64 },
		unlike + "senders is none in A and 2 in B":   func(r *bench.Report) { r.Options.Senders = 2 },
		unlike + "room size is none in A and 5 in B": func(r *bench.Report) { r.Options.RoomSize = 5 },
		unlike + "per conn is none in A and 5 in B":  func(r *bench.Report) { r.Options.PerConn = 5 },
		unlike + envelope: func(r *bench.Report) {
			r.Options.Envelope = &bench.Envelope{Out: bench.Framing{Before: "say "}}
		},
		unlike + "slow readers is none in A and 3 in B":    func(r *bench.Report) { r.Options.SlowReaders = 3 },
		unlike + "think is none in A and 1s in B":          func(r *bench.Report) { r.Options.Think = 1e9 },
		unlike + "CPU is Some CPU in A and a \u202eb in B": nil,
		unlike + "CPUs is 2 in A and 64 in B":              func(r *bench.Report) { r.Machine.CPUs = 64 },
		others + "window is none in A and 3s in B":         func(r *bench.Report) { r.Options.Window = 3e9 },
		others + "warmup is none in A and 1s in B":         func(r *bench.Report) { r.Options.Warmup = 1e9 },
		others + "loops is none in A and 2 in B":           func(r *bench.Report) { r.Options.Loops = 2 },
		others + "processes is none in A and 2 in B":       func(r *bench.Report) { r.Options.Processes = 2 },
		others + "gateways is 1 in A and 2 in B":           func(r *bench.Report) { r.Options.Servers.Gateways = 2 },
		others + "workers is 1 in A and 2 in B":            func(r *bench.Report) { r.Options.Servers.Workers = 2 },
		others + "reactors is auto in A and 2 in B":        func(r *bench.Report) { r.Options.Servers.Reactors = "2" },
		others + "pin is false in A and true in B":         func(r *bench.Report) { r.Options.Servers.Pin = true },
		others + "procs is none in A and 2 in B":           func(r *bench.Report) { r.Options.Servers.Procs = 2 },
		others + "version is none in A and v2 in B":        nil,
		others + "Go is go1.26 in A and go1.27 in B":       func(r *bench.Report) { r.Machine.Go = "go1.27" },
		others + "measured is gateway in A and other in B: ": func(r *bench.Report) {
			r.Servers[0].Name = "other"
		},
		others + "targets is none in A and [127.0.0.1:4711] in B\n  gateways is 1 in A and none in B\n": nil,
		"": func(r *bench.Report) { // these say where and when, and not what
			r.Options.Targets, r.Options.Label = []string{"127.0.0.1:4712"}, "b"
			r.Options.PIDs = []bench.PID{{Name: "gateway", PID: 8}}
		},
	} {
		a, b := side(t, started, 1000), side(t, started, 1000)
		switch {
		case strings.Contains(want, "version"):
			want = others + "version is v1 in A and v2 in B"
			a[0].Version, b[0].Version = "v1", "v2"
		case strings.Contains(want, "Some CPU"):
			want = strings.ReplaceAll(want, "\u202e", " ") // what turns the direction of a text
			b[0].Machine.CPU = "a \u202eb"
		case change == nil:
			b[0].Options.Servers = bench.Servers{}
		default:
			change(b[0])
		}
		var out strings.Builder
		if err := Compare(&out, a, b); err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(out.String(), "a side or more\n")
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a, b := side(t, started, 1000, 1000), side(t, started, 1000, 1000)
	b[1].Options.Size = 64
	if unlike, _ := differences(a, b); fmt.Sprint(unlike) != "[size is 128 in A and 128 or 64 in B]" {
		t.Errorf("of runs of one side that differ: %q", unlike)
	}
	foreign := func(target string) func(*bench.Report) {
		return func(r *bench.Report) { r.Options.Targets = []string{target} }
	}
	incomparable, different := differences(side(t, foreign("a:1"), 1), side(t, foreign("b:2"), 1))
	if len(incomparable) > 0 || fmt.Sprint(different) != "[targets is [a:1] in A and [b:2] in B]" {
		t.Errorf("of two servers of other makes: %q, %q", incomparable, different)
	}
}

// TestCompareMarks names each run that is not OK, its place and its reason.
func TestCompareMarks(t *testing.T) {
	t.Parallel()
	a, b := side(t, nil, 1000), side(t, nil, 1000, 1000)
	a[0].Verdict = bench.Verdict{Reasons: []string{"it was the limit", "and late\x1b"}}
	b[1].Verdict = bench.Verdict{Valid: true, Failed: true, Reasons: []string{"3 lost"}}
	var out strings.Builder
	if err := Compare(&out, a, b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"128 B  INVALID\nB  ", "128 B\n   2026-11-24 09:00  ", "128 B  FAILED\n\n",
		"\nNothing is called better or worse, because:\n" +
			"  A is INVALID: it was the limit; and late \n  B, run 2, is FAILED: 3 lost\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for _, word := range []string{"better ", "worse ", "no difference"} {
		if strings.Contains(out.String(), "  "+word) {
			t.Errorf("there is a word in\n%s", &out)
		}
	}
}
