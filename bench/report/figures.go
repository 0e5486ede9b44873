package report

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// figure is a number of a report. Every format takes its name, value and unit from here.
type figure struct {
	name  string // in text and in objectives; empty: in neither
	value func(*bench.Report) float64
	unit
	optional bool   // 0 means that it was not measured
	gobench  string // format in a benchmark line; empty: not part of it
	metric   string // Prometheus name, or quantile of a latency; empty: not exported
	help     string
}

// unit is how a figure is shown and parsed.
type unit struct {
	words func(float64) string
	parse func(string) (float64, error) // the limit of an objective; nil: there are no objectives
	per   float64                       // how many make one of Prometheus' base unit
}

var (
	asCount  = unit{Count, ParseNumber, 1}
	asWhole  = unit{func(v float64) string { return whole(uint64(v)) }, ParseNumber, 1}
	asMicros = unit{func(v float64) string { return Micros(int64(v)) }, microseconds, 1e6}
	asCPU    = unit{cpuTime, microseconds, 1e6}
	asBytes  = unit{sizeOf, nil, 1}
	asCores  = unit{func(v float64) string { return fmt.Sprintf("%.2f", v) }, nil, 1}
)

func (f figure) has(r *bench.Report) bool { return !f.optional || f.value(r) != 0 }

// in returns the figure in words; empty where it was not measured.
func (f figure) in(r *bench.Report) string {
	if !f.has(r) {
		return ""
	}
	return f.words(f.value(r))
}

// lookup returns a field of a struct, such as Latency.P50. True is 1; behind a nil pointer is 0.
func lookup(of any, path string) float64 {
	v := reflect.ValueOf(of)
	for name := range strings.SplitSeq(path, ".") {
		if v = reflect.Indirect(v); !v.IsValid() {
			return 0
		}
		v = v.FieldByName(name)
	}
	if v.Kind() == reflect.Bool {
		return truth(v.Bool())
	}
	return v.Convert(reflect.TypeFor[float64]()).Float()
}

func field(path string) func(*bench.Report) float64 {
	return func(r *bench.Report) float64 { return lookup(r, path) }
}

// sum adds up a field of all servers.
func sum(path string) func(*bench.Report) float64 {
	return func(r *bench.Report) float64 {
		return r.Total(func(p bench.ProcessUsage) float64 { return lookup(p, path) })
	}
}

// latencyFigures are those of Report.Latency. Their metrics are quantiles.
var latencyFigures = []figure{
	{name: "p50", value: field("Latency.P50"), unit: asMicros, optional: true, gobench: "%.0f p50-us", metric: "0.5"},
	{name: "p90", value: field("Latency.P90"), unit: asMicros, optional: true, gobench: "%.0f p90-us", metric: "0.9"},
	{name: "p99", value: field("Latency.P99"), unit: asMicros, optional: true, gobench: "%.0f p99-us", metric: "0.99"},
	{name: "p99.9", value: field("Latency.P999"), unit: asMicros, optional: true, gobench: "%.0f p99.9-us",
		metric: "0.999"},
	{name: "max", value: field("Latency.Max"), unit: asMicros, optional: true, gobench: "%.0f max-us", metric: "1"},
	{name: "mean", value: field("Latency.Mean"), unit: asMicros, optional: true},
}

var auditFigures = append([]figure{
	{name: "sent", value: field("Audit.Sent"), unit: asWhole, optional: true, metric: "messages_sent_total",
		help: "Messages sent, including the warm-up."},
	{name: "expected", value: field("Audit.Expected"), unit: asWhole, metric: "messages_expected_total",
		help: "Messages due to arrive, including the warm-up."},
	{name: "received", value: field("Audit.Received"), unit: asWhole, metric: "messages_received_total",
		help: "Messages that arrived, including the warm-up."},
}, faultFigures()...)

func faultFigures() (all []figure) {
	for i, f := range (bench.Audit{}).Faults() {
		value := func(r *bench.Report) float64 { return float64(r.Audit.Faults()[i].Count) }
		all = append(all, figure{name: f.Name, value: value, unit: asWhole})
	}
	return all
}

// runFigures are those of the run as a whole.
var runFigures = []figure{
	{name: "rate", value: field("Rate"), unit: asCount, gobench: "%.1f msg/s", metric: "messages_per_second",
		help: "Messages received a second: echoes, deliveries or connections made."},
	{name: "errors", value: failures, unit: asCount, metric: "failures_total",
		help: "Connections and messages that failed."},
	{name: "cpu", value: serverCPU, unit: asCPU},
	{value: field("Opened"), unit: asWhole, metric: "connections", help: "Connections opened."},
	{value: field("Messages"), unit: asWhole, metric: "messages_total",
		help: "Messages received in the window: echoes, deliveries or connections made."},
	{value: field("Bytes"), unit: asBytes, metric: "payload_bytes_total",
		help: "Payload of the messages received in the window."},
	{value: field("Seconds"), unit: asWhole, metric: "window_seconds", help: "Length of the measurement."},
	{value: field("Offered"), unit: asWhole, optional: true, metric: "due_messages_per_second",
		help: "Messages or connections due a second in an open loop."},
	{value: field("Sent"), unit: asWhole, optional: true, metric: "sent_messages_per_second",
		help: "Messages or connections sent a second."},
	{value: field("Unsent"), unit: asWhole, optional: true, metric: "messages_unsent_total",
		help: "Messages due on a connection that was closed."},
	{value: field("Verdict.Valid"), unit: asWhole, metric: "valid",
		help: "1 if the figures describe the servers and not the generator."},
	{value: field("Verdict.Failed"), unit: asWhole, metric: "failed", help: "1 if the audit or a connection failed."},
	{value: field("Interrupted"), unit: asWhole, metric: "interrupted", help: "1 if the run was interrupted."},
	{value: field("Foreign.Cores"), unit: asCores, optional: true, metric: "foreign_cores",
		help: "Processors kept busy by other programs in the window."},
	{value: field("Foreign.Steal"), unit: asCores, optional: true, metric: "steal_cores",
		help: "Processors taken by the hypervisor in the window."},
	{value: func(r *bench.Report) float64 { return float64(r.Started.UnixMilli()) }, unit: unit{per: 1e3},
		metric: "start_time_seconds", help: "Start of the run, in seconds since 1970."},
}

// processFigures are those of one process: their values are sums over Report.Servers (see only).
func processFigures(m bench.Mode) []figure {
	cpu := figure{name: cpuEach(m), value: serverCPU, unit: asCPU, optional: true, gobench: "%.3f cpu-us/msg",
		metric: "process_cpu_seconds_per_message", help: "CPU time per message."}
	if m == bench.Idle {
		cpu.gobench, cpu.metric = "%.3f cpu-us/conn/s", "process_cpu_seconds_per_connection_second"
		cpu.help = "CPU time per connection and second."
	}
	return []figure{
		cpu,
		{name: "cores", value: sum("Cores"), unit: asCores, metric: "process_cores",
			help: "Processors kept busy in the window."},
		{name: "resident", value: sum("RSS"), unit: asBytes, optional: true, metric: "process_resident_memory_bytes",
			help: "Resident memory at the end of the window."},
		{name: "a connection", value: sum("PerConn"), unit: asBytes, optional: true, gobench: "%.0f B/conn",
			metric: "process_connection_memory_bytes", help: "Resident memory the connections added, over their number."},
		{value: sum("CPU"), unit: unit{per: 1}, metric: "process_cpu_seconds_total",
			help: "CPU time in the window, user and system."},
	}
}

// only returns a report of one process, for processFigures.
func only(p bench.ProcessUsage) *bench.Report { return &bench.Report{Servers: []bench.ProcessUsage{p}} }

// serverCPU is the CPU time of all servers per message, or per
// connection and second, in microseconds.
func serverCPU(r *bench.Report) float64 {
	return r.Total(func(p bench.ProcessUsage) float64 { return cmp.Or(p.PerMessage, p.PerConnSecond) })
}

// cpuEach names serverCPU.
func cpuEach(m bench.Mode) string {
	if m == bench.Idle {
		return "CPU a connection and second"
	}
	return "CPU a " + m.Unit()
}

// failures counts the connections and messages that failed, each once: messages that were changed
// or unreadable are in the audit too.
func failures(r *bench.Report) (n float64) {
	for _, f := range r.Audit.Faults() {
		n += float64(f.Count)
	}
	for _, e := range r.Errors {
		if !slices.Contains([]string{"changed", "unreadable"}, e.Kind) {
			n += float64(e.Count)
		}
	}
	return n
}
