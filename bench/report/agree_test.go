package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"html"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/bench"
)

// heard is the figures of a format by name, in seconds, bytes and numbers.
type heard map[string]float64

// people are the figures of formats for people.
const people = `^(rate|messages|seconds|due|made|unsent|held|audit .*|error .*|` +
	`(latency|late) (p.*|max|mean)|(cpu|cores|rss|conn) .*)$`

// forms have the figures that a format must contain, if the report has them, and their precision:
// formats for people have three digits.
var forms = map[string]struct {
	read   func(*testing.T, string) heard
	within float64
	must   string
}{
	"text":    {readText, 0.006, people},
	"html":    {readHTML, 0.006, people},
	"gobench": {readGoBench, 0.001, `^(rate|latency (p.*|max)|(cpu|conn) (gateway|worker|server).*)$`},
	"hgrm":    {readHGRM, 0.001, `^latency (p50|p90|max|mean|count)$`},
	"csv":     {readCSV, 0.001, `^timeline .*$`},
	"prometheus": {
		readPrometheus, 1e-9,
		`^(?:rate|messages|bytes|seconds|due|made|unsent|failures|audit .*|error .*|` +
			`(latency|late) (p.*|max|mean|count)|(cpu|cores|rss|conn|time) .*|act .*|slow.*)$`,
	},
}

// said returns the figures of the report itself, as in JSON.
func said(r *bench.Report) heard {
	f := heard{
		"seconds": r.Seconds, "bytes": float64(r.Bytes), "messages": float64(r.Messages), "rate": r.Rate,
		"audit expected": float64(r.Audit.Expected), "audit received": float64(r.Audit.Received),
		"audit lost": float64(r.Audit.Lost), "audit duplicated": float64(r.Audit.Duplicated),
		"audit reordered": float64(r.Audit.Reordered), "audit changed": float64(r.Audit.Changed),
		"audit unexpected": float64(r.Audit.Unexpected), "audit unanswered": float64(r.Audit.Unanswered),
	}
	optional := heard{"audit sent": float64(r.Audit.Sent), "due": r.Offered, "made": r.Sent, "unsent": float64(r.Unsent)}
	for name, l := range map[string]bench.Latency{"latency ": r.Latency, "late ": r.Lateness} {
		if l.Count > 0 {
			for k, v := range map[string]int64{"p50": l.P50, "p90": l.P90, "p99": l.P99, "p99.9": l.P999, "max": l.Max} {
				f[name+k] = float64(v) / 1e6
			}
			f[name+"mean"], f[name+"count"] = l.Mean/1e6, float64(l.Count)
		}
	}
	for _, p := range append(slices.Clone(r.Servers), r.Own) {
		f["cores "+p.Name], f["time "+p.Name] = p.Cores, p.CPU
		optional["cpu "+p.Name] = (p.PerMessage + p.PerConnSecond) / 1e6
		optional["rss "+p.Name], optional["conn "+p.Name] = float64(p.RSS), p.PerConn
	}
	f["failures"] = f["audit lost"] + f["audit duplicated"] + f["audit reordered"] + f["audit changed"] +
		f["audit unexpected"] + f["audit unanswered"]
	for _, e := range r.Errors {
		f["error "+e.Kind] = float64(e.Count)
		if e.Kind != "changed" && e.Kind != "unreadable" {
			f["failures"] += float64(e.Count)
		}
	}
	for _, m := range r.Timeline {
		if m.At > 0 {
			f["timeline messages"] += float64(m.Messages)
			f["timeline sent"] += float64(m.Sent)
			f["timeline seconds"] += m.Seconds
			f["timeline errors"] += float64(m.Errors)
		}
	}
	for name, v := range optional {
		if v != 0 {
			f[name] = v
		}
	}
	if r.Actions != nil {
		f["act said"], f["act whispered"] = float64(r.Actions.Said), float64(r.Actions.Whispered)
		f["act left"], f["act reconnected"] = float64(r.Actions.Left), float64(r.Actions.Reconnected)
	}
	if r.SlowReaders != nil {
		f["slow"], f["slow cut"] = float64(r.SlowReaders.Readers), float64(r.SlowReaders.Cut)
	}
	if r.Options.Mode == bench.Idle {
		f["held"] = float64(r.Opened)
	}
	return f
}

// words reports whether a format for people leaves out a figure.
func words(form string, r *bench.Report, name string) bool {
	none := r.Options.Mode == bench.Idle && (name == "rate" || name == "messages") || name == "made" && r.Offered == 0
	unsent := strings.HasPrefix(name, "audit ") && r.Audit.Expected == 0 && r.Audit.Clean()
	return form != "text" && form != "html" && (form != "gobench" || !none) || !none && !unsent
}

// agree writes a report in all formats, reads each of them, and compares the figures.
func agree(t *testing.T, r *bench.Report) {
	t.Helper()
	var whole bytes.Buffer
	if err := writeJSON(&whole, r); err != nil {
		t.Fatal(err)
	}
	back, err := Read(&whole)
	if err != nil {
		t.Fatal(err)
	}
	want := said(back)
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		form := forms[name]
		var b strings.Builder
		if err := Writers[name](&b, r); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if bad := regexp.MustCompile(`NaN|\bInf|infin`).FindString(b.String()); bad != "" && r.Latency.Count > 0 {
			t.Errorf("%s: there is %s in\n%s", name, bad, &b)
		}
		got := form.read(t, b.String())
		for figure, v := range got {
			w, ok := want[figure]
			if of, q, between := strings.Cut(figure, " "); between && (of == "least" || of == "most") {
				if w = want["latency "+q]; of == "least" && v > w*(1+form.within) || of == "most" && v < w*(1-form.within) {
					t.Errorf("%s: %s has %v between it and %v", name, q, w, v)
				}
				continue
			}
			if !ok && v != 0 {
				t.Errorf("%s: %s is %v, and the report has none", name, figure, v)
			} else if math.Abs(v-w) > rounded(form.within, figure, w) {
				t.Errorf("%s: %s is %v, want %v", name, figure, v, w)
			}
		}
		for figure := range want {
			if _, ok := got[figure]; !ok && regexp.MustCompile(form.must).MatchString(figure) && words(name, r, figure) {
				t.Errorf("%s: %s is not there, want %v in\n%s", name, figure, want[figure], &b)
			}
		}
	}
}

// rounded is how far w may be from a rounded figure.
func rounded(within float64, figure string, w float64) float64 {
	last := 0.51e-6 // of a time: half of the last digit
	switch name, _, _ := strings.Cut(figure, " "); {
	case within < 0.001:
		last = 1e-15
	case slices.Contains([]string{"messages", "unsent", "held", "audit", "error", "act", "slow"}, name):
		// Integers are printed in full.
		return 0
	case name == "cores":
		last = 0.0051
	case name == "seconds":
		last = 0.051
	case name == "cpu":
		last = 0.0051e-6
	case name == "rate", name == "timeline":
		last = 0.06
	case name == "conn":
		last = 0.51
	}
	return within*math.Abs(w) + last
}

// number reads a figure as formatted for people: 12.3k, 1,000, 1.5 ms, 2 KiB.
func number(t *testing.T, s string) float64 {
	t.Helper()
	form := regexp.MustCompile(`^(-?[\d.]+) ?(µs|ms|s|B|KiB|MiB|GiB|k|M|G|)$`)
	m := form.FindStringSubmatch(strings.ReplaceAll(strings.TrimSpace(s), ",", ""))
	if m == nil {
		t.Errorf("%q is no figure", s)
		return 0
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Error(err)
	}
	units := map[string]float64{
		"": 1, "µs": 1e-6, "ms": 1e-3, "s": 1,
		"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"k": 1e3, "M": 1e6, "G": 1e9,
	}
	return v * units[m[2]]
}

// sentences reads the sentences of text and page.
func sentences(t *testing.T, text string, f heard) {
	t.Helper()
	for expression, names := range map[string][]string{
		`(?m)^ *(\S+) \w+ a second, ([\d,]+) in ([\d.]+) s`:      {"rate", "messages", "seconds"},
		`(?m)^ *(\S+) \w+ a second were due, (\S+) were`:         {"due", "made"},
		`(?m)^ *([\d,]+) of all that were due were not sent`:     {"unsent"},
		`(?m)^ *([\d,]+) connections held for ([\d.]+) s`:        {"held", "seconds"},
		`([\d,]+) said, ([\d,]+) whispered`:                      {"act said", "act whispered"},
		`, ([\d,]+) left and came back, ([\d,]+) connected anew`: {"act left", "act reconnected"},
		`(\d+) readers? that read nothing`:                       {"slow"},
	} {
		for i, v := range regexp.MustCompile(expression).FindStringSubmatch(text) {
			if i > 0 {
				f[names[i-1]] = number(t, v)
			}
		}
	}
}

// enter adds a row of a table to the figures, by its head.
func (f heard) enter(t *testing.T, head, row []string) {
	t.Helper()
	kind := strings.TrimSpace(row[0]) // latency, messages, sent late; else a process
	for i, name := range head {
		if i == 0 || i >= len(row) || row[i] == "" {
			continue
		}
		switch kind {
		case "latency":
			name = "latency " + name
		case "sent late":
			name = "late " + name
		case "messages":
			name = "audit " + name
		default:
			of := map[string]string{"cores": "cores", "resident": "rss", "a connection": "conn"}[name]
			if strings.HasPrefix(name, "CPU") {
				of = "cpu"
			}
			name = of + " " + kind
		}
		f[name] = number(t, row[i])
	}
}

// readText finds the columns of tables by the ends of their heads.
func readText(t *testing.T, text string) heard {
	f := make(heard)
	sentences(t, text, f)
	var head []string
	var ends []int
	for line := range strings.Lines(text) {
		line := []rune(strings.TrimRight(line, "\n"))
		if m := regexp.MustCompile(`^  ([\d,]+) × (.*?): `).FindStringSubmatch(string(line)); m != nil {
			f["error "+m[2]] = number(t, m[1])
		}
		if len(line) == 0 {
			head = nil
		} else if strings.Contains(string(line), "   p50  ") || strings.Contains(string(line), "  expected  ") ||
			strings.HasPrefix(string(line), "  process") {
			head, ends = []string{""}, []int{2 + len("latency  ")}
			at := 0
			for _, cell := range regexp.MustCompile(` {2,}`).Split(string(line), -1) {
				if cell == "" || cell == "process" {
					continue
				}
				at = at + strings.Index(string(line[at:]), cell) + len(cell)
				head, ends = append(head, cell), append(ends, at)
			}
		} else if head != nil {
			name, _, _ := strings.Cut(strings.TrimSpace(string(line)), "  ")
			row, from := []string{name}, 2+len([]rune(name))
			for _, end := range ends[1:] {
				end = min(end, len(line))
				row = append(row, strings.TrimSpace(string(line[min(from, end):end])))
				from = end
			}
			f.enter(t, head, row)
		}
	}
	return f
}

func readHTML(t *testing.T, page string) heard {
	f := make(heard)
	strip := func(s string) string {
		return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(s, ""))
	}
	for _, m := range regexp.MustCompile(`<p class="said">(.*?)</p>`).FindAllStringSubmatch(page, -1) {
		sentences(t, strip(m[1]), f)
	}
	large := make(heard)
	for _, m := range regexp.MustCompile(`<b>(.*?)</b><span>(.*?)</span>`).FindAllStringSubmatch(page, -1) {
		large[strip(m[2])] = number(t, strip(m[1]))
		name := strip(m[2])
		if name == "lost" || slices.ContainsFunc(auditFigures, func(a figure) bool { return a.name == name }) {
			f["audit "+name] = number(t, strip(m[1]))
		}
	}
	for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(page, -1) {
		var head []string
		for _, tr := range regexp.MustCompile(`(?s)<tr.*?</tr>`).FindAllString(table, -1) {
			var row []string
			for _, cell := range regexp.MustCompile(`<t[hd]>(.*?)</t[hd]>`).FindAllStringSubmatch(tr, -1) {
				row = append(row, strip(cell[1]))
			}
			if head == nil {
				head = row
			} else if head[0] == "count" {
				f["error "+row[1]] = number(t, row[0])
			} else {
				f.enter(t, head, row)
			}
		}
	}
	for name, v := range large {
		if w, ok := f["latency "+name]; ok && v != w {
			t.Errorf("html: %s is %v in large and %v in the table", name, v, w)
		}
	}
	return f
}

func readGoBench(t *testing.T, text string) heard {
	f := make(heard)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			t.Error(err)
		}
		unit, of, _ := strings.Cut(fields[i+1], "-")
		switch unit {
		case "ns/op":
			f["each"] = v
		case "msg/s":
			f["rate"] = v
		case "cpu":
			_, name, _ := strings.Cut(of, "-")
			f["cpu "+strings.ReplaceAll(name, "_", "-")] = v / 1e6
		case "B/conn":
			f["conn "+strings.ReplaceAll(of, "_", "-")] = v
		default:
			f["latency "+unit] = v / 1e6
		}
	}
	if each, ok := f["each"]; ok && math.Abs(each*f["rate"]-1e9) > 1e6 {
		t.Errorf("%v ns each at %v a second", each, f["rate"])
	}
	delete(f, "each")
	return f
}

func readHGRM(t *testing.T, text string) heard {
	f := make(heard)
	for line := range strings.Lines(text) {
		c := strings.Fields(line)
		var v, p float64
		if m := regexp.MustCompile(`Mean += +([\d.]+),`).FindStringSubmatch(line); m != nil {
			f["latency mean"] = number(t, m[1]) / 1e3
		} else if m := regexp.MustCompile(`Max += +([\d.]+), Total count += +(\d+)`).FindStringSubmatch(line); m != nil {
			f["latency max"], f["latency count"] = number(t, m[1])/1e3, number(t, m[2])
		} else if _, err := fmt.Sscan(line, &v, &p); err == nil && len(c) == 4 {
			if name := map[float64]string{0.5: "p50", 0.9: "p90"}[p]; name != "" {
				f["latency "+name] = v / 1e3
			}
			for name, q := range map[string]float64{"p99": 0.99, "p99.9": 0.999} { // these have no line of their own
				if p <= q {
					f["least "+name] = v / 1e3
				} else if _, ok := f["most "+name]; !ok {
					f["most "+name] = v / 1e3
				}
			}
		}
	}
	if f["latency count"] == 0 {
		return nil
	}
	return f
}

func readCSV(t *testing.T, text string) heard {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	f := make(heard)
	for _, row := range rows[1:] {
		v := make(map[string]float64)
		for i, name := range rows[0] {
			v[name] = number(t, row[i])
		}
		if v["at_s"] > 0 {
			f["timeline messages"] += v["rate"] * v["seconds"]
			f["timeline sent"] += v["sent_rate"] * v["seconds"]
			f["timeline seconds"] += v["seconds"]
			f["timeline errors"] += v["errors"]
		}
	}
	return f
}

// readPrometheus reads the text format strictly: a family begins with its description, its samples
// stand together, and no family occurs twice.
func readPrometheus(t *testing.T, text string) heard {
	f, kinds, had, family := make(heard), make(map[string]string), make(map[string]bool), ""
	typeLine := regexp.MustCompile(`^# TYPE (\S+) (gauge|counter|summary)$`)
	sample := regexp.MustCompile(`^(sluice_bench_[a-z0-9_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\} (\S+)$`)
	names := map[string]string{
		"messages_per_second": "rate", "messages_total": "messages", "payload_bytes_total": "bytes",
		"window_seconds": "seconds", "due_messages_per_second": "due", "sent_messages_per_second": "made",
		"messages_unsent_total": "unsent", "failures_total": "failures", "faults_total": "audit ", "errors_total": "error ",
		"acts_total": "act ", "slow_readers": "slow", "slow_readers_cut_total": "slow cut",
		"process_cores": "cores ", "process_cpu_seconds_total": "time ", "process_resident_memory_bytes": "rss ",
		"process_connection_memory_bytes": "conn ", "process_cpu_seconds_per_message": "cpu ",
		"process_cpu_seconds_per_connection_second": "cpu ",
		"latency_seconds_sum":                       "latency sum", "latency_seconds_count": "latency count",
		"lateness_seconds_sum": "late sum", "lateness_seconds_count": "late count",
	}
	quantiles := map[string]string{"0.5": "p50", "0.9": "p90", "0.99": "p99", "0.999": "p99.9", "1": "max"}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := regexp.MustCompile(`^# HELP (\S+) .+\.$`).FindStringSubmatch(line); m != nil {
			if family = m[1]; kinds[family] != "" {
				t.Errorf("%s begins twice", family)
			}
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil && m[1] == family {
			kinds[family] = m[2]
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil || !strings.HasPrefix(m[1], family) || kinds[family] == "" ||
			kinds[family] == "counter" != strings.HasSuffix(m[1], "_total") || had[m[1]+m[2]] {
			t.Errorf("bad line %q of %s %q", line, kinds[family], family)
			continue
		}
		had[m[1]+m[2]] = true
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("%q: %v", line, err)
		}
		name, labels := strings.TrimPrefix(m[1], "sluice_bench_"), make(map[string]string)
		for _, l := range regexp.MustCompile(`([a-z]+)="((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(m[2], -1) {
			labels[l[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(l[2])
		}
		if q := quantiles[labels["quantile"]]; q != "" {
			f[map[string]string{"latency_seconds": "latency ", "lateness_seconds": "late "}[name]+q] = v
		} else if known, ok := names[name]; ok {
			f[known+labels["process"]+labels["kind"]+labels["act"]+labels["fault"]] = v
		} else if audit, ok := strings.CutPrefix(strings.TrimSuffix(name, "_total"), "messages_"); ok {
			f["audit "+audit] = v
		}
	}
	for _, l := range []string{"latency ", "late "} {
		if sum, ok := f[l+"sum"]; ok {
			f[l+"mean"] = sum / f[l+"count"]
			delete(f, l+"sum")
		}
	}
	return f
}

// TestFormsAgree makes a short run of an open loop on an echo in this
// process, and compares all formats.
func TestFormsAgree(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var over []chan struct{}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			done := make(chan struct{})
			over = append(over, done)
			go func() {
				defer close(done)
				_, _ = io.Copy(nc, nc)
				_ = nc.Close()
			}()
		}
	}()
	r, err := bench.Run(t.Context(), bench.Options{
		Mode: bench.Echo, Codec: bench.Text, Targets: []string{l.Addr().String()}, Conns: 4, Rate: 500, Label: `a "b" \c`,
		Warmup: 100 * time.Millisecond, Window: 400 * time.Millisecond, PIDs: []bench.PID{{Name: "server", PID: os.Getpid()}},
	}, nil)
	_ = l.Close()
	<-accepted
	for _, done := range over {
		<-done
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Messages == 0 || r.Latency.Count == 0 || r.Lateness.Count == 0 || r.Audit.Expected == 0 || len(r.Timeline) < 4 {
		t.Fatalf("too little was measured: %+v", r)
	}
	if f := said(r); f["timeline messages"] != f["messages"] || math.Abs(f["timeline seconds"]-f["seconds"]) > 1e-6 {
		t.Errorf("the timeline has %v messages in %v s, the report %v in %v s",
			f["timeline messages"], f["timeline seconds"], f["messages"], f["seconds"])
	}
	agree(t, r)
}

// TestSyntheticFormsAgree compares the formats of reports that are hard to produce by a run.
func TestSyntheticFormsAgree(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*bench.Report){
		"as it is":    func(*bench.Report) {},
		"interrupted": func(r *bench.Report) { r.Interrupted, r.Seconds = true, 0.4 },
		"invalid":     func(r *bench.Report) { r.Verdict = bench.Verdict{Reasons: []string{"the generator was the limit"}} },
		"failed": func(r *bench.Report) {
			r.Verdict.Failed = true
			r.Audit = bench.Audit{
				Sent: 2000, Expected: 2000, Received: 1992, Lost: 10, Duplicated: 1, Reordered: 3, Changed: 4, Unexpected: 1,
				Unanswered: 12345,
			}
			r.Errors = []bench.ErrorCount{
				{Kind: "dial", Count: 1234, Example: "no"}, {Kind: "turned away", Count: 1, Example: "a\nb"},
				{Kind: "changed", Count: 4, Example: "x"}, {Kind: "unreadable", Count: 2, Example: "y"},
			}
		},
		"open loop": func(r *bench.Report) {
			r.Options.Rate, r.Offered, r.Sent, r.Lateness, r.Unsent = 700, 700, 500, r.Latency, 1234567
		},
		"connect": func(r *bench.Report) {
			r.Options.Mode, r.Options.Rate, r.Offered, r.Sent = bench.Connect, 700, 700, 699
		},
		"chat": func(r *bench.Report) {
			r.Options.Mode, r.Actions = bench.Chat, &bench.ActionCounts{Said: 1000, Whispered: 7, Left: 3, Reconnected: 1}
		},
		"slow readers": func(r *bench.Report) {
			r.SlowReaders = &bench.SlowReaderResult{Readers: 5, Cut: 2, First: 1.5, Last: 3}
		},
		"all slow readers stayed": func(r *bench.Report) { r.SlowReaders = &bench.SlowReaderResult{Readers: 1} },
		"idle": func(r *bench.Report) {
			*r = bench.Report{
				Format: bench.Format, Options: bench.Options{Mode: bench.Idle, Codec: bench.WebSocket, Conns: 1000}, Opened: 1000,
				Messages: 1000, Seconds: 25, Timeline: []bench.Interval{{At: 25, Seconds: 25, Open: 1000}},
				Servers: []bench.ProcessUsage{
					{Name: "gateway", PerConnSecond: .75, Cores: .1, PerConn: -100, RSS: 1 << 30}, {Name: "worker"},
				},
				Own: bench.ProcessUsage{Name: "generator"},
			}
		},
		"nothing arrived": func(r *bench.Report) {
			r.Messages, r.Rate, r.Latency, r.Timeline = 0, 0, bench.Latency{}, nil
			r.Audit = bench.Audit{Expected: 40, Lost: 40}
			for i := range r.Servers {
				r.Servers[i].PerMessage = 0
			}
		},
		"nothing at all": func(r *bench.Report) {
			*r = bench.Report{Format: bench.Format, Options: r.Options, Own: bench.ProcessUsage{Name: "generator"}}
		},
		"no servers":      func(r *bench.Report) { r.Servers = nil },
		"strange label":   func(r *bench.Report) { r.Label = "a\\b\"c\nd\xff<i>" },
		"large and small": func(r *bench.Report) { r.Rate, r.Messages, r.Servers[0].PerMessage = 1234567, 9876543, 0.004 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := sample(t, 1000)
			h, err := hdrhistogram.Decode([]byte(r.Latency.Encoded))
			if err != nil {
				t.Fatal(err)
			}
			r.Latency.StdDev = h.StdDev()
			change(r)
			agree(t, r)
			for _, word := range []string{"text", "html", "prometheus"} {
				var b strings.Builder
				if err := Writers[word](&b, r); err != nil || !strings.Contains(b.String(), Verdict(r)) {
					t.Errorf("%s: no %s in\n%s", word, Verdict(r), &b)
				}
			}
		})
	}
}

// TestDocs requires a documentation row for every figure of the audit, and only existing metrics.
func TestDocs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/bench-report.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range auditFigures {
		if !strings.Contains(string(b), "\n| "+f.name+" | ") {
			t.Errorf("what is %q is not said", f.name)
		}
	}
	var metrics strings.Builder
	if err := writePrometheus(&metrics, sample(t, 10)); err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`sluice_bench_\w+[a-z]\b`).FindAllString(string(b), -1)
	for _, name := range named {
		if !strings.Contains(metrics.String(), "\n"+name+"{") {
			t.Errorf("there is no metric %s", name)
		}
	}
	if len(named) < 4 {
		t.Errorf("%q", named)
	}
}

// TestKeptRunsAgree compares the formats of recorded runs, of other modes and of earlier builds.
func TestKeptRunsAgree(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../docs/runs/*.json")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			r, err := Read(f)
			if err != nil {
				t.Fatal(err)
			}
			agree(t, r)
		})
	}
}
