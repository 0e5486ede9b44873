package admin_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metricRow is a row of the tables in docs/metrics.md.
type metricRow struct{ name, kind, labels, help string }

// scrape returns the metrics of the gateway that /metrics has.
func (f *fixture) scrape() (rows map[string]metricRow, text string) {
	f.t.Helper()
	status, text := f.request("GET", "/metrics", "")
	if status != http.StatusOK {
		f.t.Fatalf("%d %s", status, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		f.t.Fatal(err)
	}
	rows = make(map[string]metricRow)
	for name, family := range families {
		if !strings.HasPrefix(name, "sluice_") {
			continue
		}
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		slices.Sort(labels)
		rows[name] = metricRow{name, strings.ToLower(family.GetType().String()), strings.Join(labels, ", "),
			family.GetHelp()}
	}
	return rows, text
}

// docs/metrics.md has each metric with its type, labels and meaning, and no other.
func TestEveryMetricIsDocumented(t *testing.T) {
	t.Parallel()
	f := ready(t)
	f.dial().write("hello again")
	p := f.dial()
	_ = p.conn.Close() // so that there is a reason why a connection has ended
	wait(t, "the end", func() bool { return f.g.Stats().Closed == 1 })
	refused := f.g.Addrs()[1] + "/refuse" // so that there is a reason of a refusal
	if _, _, err := websocket.Dial(t.Context(), refused, nil); err == nil {
		t.Error("a WebSocket was not refused")
	}
	rows, _ := f.scrape()
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	// The rest is about metrics of programs that have a worker beside the gateway.
	own, _, found := strings.Cut(string(document), "\n## The worker of the process\n")
	if !found {
		t.Fatal("docs/metrics.md has no metrics of workers")
	}
	documented := 0
	for line := range strings.SplitSeq(own, "\n") {
		if !strings.HasPrefix(line, "| `sluice_") {
			continue
		}
		documented++
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `"), "`")
		r, ok := rows[name]
		if !ok {
			t.Errorf("there is no %s", name)
			continue
		}
		if want := r.String(); line != want {
			t.Errorf("docs/metrics.md: %s\nwant            %s", line, want)
		}
	}
	if documented != len(rows) {
		for _, r := range rows {
			if !strings.Contains(own, "| `"+r.name+"`") {
				t.Errorf("docs/metrics.md lacks %s", r)
			}
		}
	}
}

func (r metricRow) String() string {
	labels := "–"
	if r.labels != "" {
		labels = "`" + strings.ReplaceAll(r.labels, ", ", "`, `") + "`"
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |", r.name, r.kind, labels, r.help)
}

// The metrics follow the conventions of Prometheus, and include those of the runtime and the
// process.
func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	f := ready(t)
	_, text := f.scrape()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "sluice_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for _, name := range []string{"go_goroutines ", "go_gc_duration_seconds_count ", "process_resident_memory_bytes "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("there is no %s", name)
		}
	}
}

// The metrics have the figures of the gateway.
func TestMetricsCount(t *testing.T) {
	t.Parallel()
	f := ready(t)
	f.dial("join a")
	_, text := f.scrape()
	for _, line := range []string{
		"sluice_ready 1", "sluice_draining 0", "sluice_loops 2", `sluice_workers{state="active"} 1`,
		`sluice_workers{state="draining"} 0`, `sluice_worker_clients{worker="w"} 1`, `sluice_worker_links{worker="w"} 2`,
		fmt.Sprintf("sluice_listener_connections{listener=%q} 1", f.g.Addrs()[0]),
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	p := f.dial()
	wait(t, "timed messages", func() bool {
		for range 64 {
			p.write("text")
			p.expect("text")
		}
		_, text = f.scrape()
		return !strings.Contains(text, "\nsluice_message_duration_seconds_count 0\n") &&
			!strings.Contains(text, "\nsluice_message_handling_seconds_count 0\n")
	})
	if !strings.Contains(text, "\nsluice_message_duration_seconds_bucket{le=\"0.001\"} ") {
		t.Error("there is no bucket of 1 ms")
	}
	received := 0
	for i := range 2 {
		_, after, found := strings.Cut(text, fmt.Sprintf("\nsluice_messages_received_total{loop=\"%d\"} ", i))
		number, _, _ := strings.Cut(after, "\n")
		n, err := strconv.Atoi(number)
		if !found || err != nil {
			t.Errorf("loop %d: %q", i, number)
		}
		received += n
	}
	if received < 2+64 {
		t.Errorf("%d messages received", received)
	}
}
