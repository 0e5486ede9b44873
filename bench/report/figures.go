package report

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/bench"
)

// measure is a number that a T has: a report or a part of it. Every form of a report takes from here what the number is called and told in.
type measure[T any] struct {
	name  string // in words and in an objective; empty: no form in words has it
	value func(T) float64
	unit
	optional bool   // 0 says that it was not measured
	gobench  string // how a benchmark line has it; empty: not
	metric   string // its name for Prometheus, behind the prefix; empty: not told
	help     string
}

// unit is what a figure is told in.
type unit struct {
	words func(float64) string
	parse func(string) (float64, error) // an objective's limit; nil: nothing that an objective is about
	per   float64                       // how many make one of Prometheus' base unit
}

var (
	asCount  = unit{Count, ParseNumber, 1}
	asWhole  = unit{func(v float64) string { return whole(uint64(v)) }, ParseNumber, 1}
	asMicros = unit{func(v float64) string { return Micros(int64(v)) }, microseconds, 1e6}
	asCPU    = unit{cpuTime, microseconds, 1e6}
	asBytes  = unit{Size, nil, 1}
	asCores  = unit{func(v float64) string { return fmt.Sprintf("%.2f", v) }, nil, 1}
)

// has tells whether x has the figure.
func (f measure[T]) has(x T) bool { return !f.optional || f.value(x) != 0 }

// in is the figure of x in words, empty where there is none.
func (f measure[T]) in(x T) string {
	if !f.has(x) {
		return ""
	}
	return f.words(f.value(x))
}

// latencyFigures are of a distribution; metric is a quantile of it.
var latencyFigures = []measure[bench.Latency]{
	{name: "p50", value: func(l bench.Latency) float64 { return float64(l.P50) }, unit: asMicros, gobench: "%.0f p50-us", metric: "0.5"},
	{name: "p90", value: func(l bench.Latency) float64 { return float64(l.P90) }, unit: asMicros, gobench: "%.0f p90-us", metric: "0.9"},
	{name: "p99", value: func(l bench.Latency) float64 { return float64(l.P99) }, unit: asMicros, gobench: "%.0f p99-us", metric: "0.99"},
	{name: "p99.9", value: func(l bench.Latency) float64 { return float64(l.P999) }, unit: asMicros, gobench: "%.0f p99.9-us", metric: "0.999"},
	{name: "max", value: func(l bench.Latency) float64 { return float64(l.Max) }, unit: asMicros, gobench: "%.0f max-us", metric: "1"},
	{name: "mean", value: func(l bench.Latency) float64 { return l.Mean }, unit: asMicros},
}

// auditFigures are the account of the messages.
var auditFigures = append([]measure[bench.Audit]{
	{name: "sent", value: func(a bench.Audit) float64 { return float64(a.Sent) }, unit: asWhole, optional: true, metric: "messages_sent_total", help: "Messages sent, warm-up included."},
	{name: "expected", value: func(a bench.Audit) float64 { return float64(a.Expected) }, unit: asWhole, metric: "messages_expected_total", help: "Messages that were to arrive, warm-up included."},
	{name: "received", value: func(a bench.Audit) float64 { return float64(a.Received) }, unit: asWhole, metric: "messages_received_total", help: "Messages that arrived, warm-up included."},
}, faultFigures()...)

// faultFigures are what an audit can find wrong.
func faultFigures() (all []measure[bench.Audit]) {
	for i, f := range (bench.Audit{}).Faults() {
		all = append(all, measure[bench.Audit]{name: f.Name, value: func(a bench.Audit) float64 { return float64(a.Faults()[i].Count) }, unit: asWhole})
	}
	return all
}

// runFigures are of the run as a whole.
var runFigures = []measure[*bench.Report]{
	{name: "rate", value: func(r *bench.Report) float64 { return r.Rate }, unit: asCount, gobench: "%.1f msg/s", metric: "messages_per_second", help: "Messages that arrived a second of the window: echoes, deliveries, or connections made."},
	{name: "errors", value: failures, unit: asCount, metric: "failures_total", help: "Connections and messages that went wrong."},
	{name: "cpu", value: serverCPU, unit: asCPU, optional: true},
	{value: func(r *bench.Report) float64 { return float64(max(r.Opened, 0)) }, unit: asWhole, metric: "connections", help: "Connections that were opened."},
	{value: func(r *bench.Report) float64 { return float64(r.Messages) }, unit: asWhole, metric: "messages_total", help: "Messages that arrived in the window: echoes, deliveries, or connections made."},
	{value: func(r *bench.Report) float64 { return float64(r.Bytes) }, unit: asBytes, metric: "payload_bytes_total", help: "Payload of the messages that arrived in the window."},
	{value: func(r *bench.Report) float64 { return r.Seconds }, unit: asWhole, metric: "window_seconds", help: "How long was measured."},
	{value: func(r *bench.Report) float64 { return r.Offered }, unit: asWhole, optional: true, metric: "due_messages_per_second", help: "Messages, or connections, that were due a second in an open loop."},
	{value: func(r *bench.Report) float64 { return r.Sent }, unit: asWhole, optional: true, metric: "sent_messages_per_second", help: "Messages, or connections, that were sent a second of the window."},
	{value: func(r *bench.Report) float64 { return float64(r.Unsent) }, unit: asWhole, optional: true, metric: "messages_unsent_total", help: "Messages that were due on a connection that was closed."},
	{value: func(r *bench.Report) float64 { return truth(r.Verdict.Valid) }, unit: asWhole, metric: "valid", help: "Whether the figures are the servers', and not the generator's."},
	{value: func(r *bench.Report) float64 { return truth(r.Verdict.Failed) }, unit: asWhole, metric: "failed", help: "Whether the audit or a connection failed."},
	{value: func(r *bench.Report) float64 { return truth(r.Interrupted) }, unit: asWhole, metric: "interrupted", help: "Whether the run was ended in the middle."},
	{value: func(r *bench.Report) float64 { return foreignOf(r).Cores }, unit: asCores, optional: true, metric: "foreign_cores", help: "Processors kept busy by other programs in the window."},
	{value: func(r *bench.Report) float64 { return foreignOf(r).Steal }, unit: asCores, optional: true, metric: "steal_cores", help: "Processors that the hypervisor took away in the window."},
	{value: func(r *bench.Report) float64 { return float64(r.Started.UnixMilli()) }, unit: unit{per: 1e3}, metric: "start_time_seconds", help: "When the run began, in seconds since 1970."},
}

// foreignOf is what others took, nothing where that was not measured.
func foreignOf(r *bench.Report) bench.Foreign {
	if r.Foreign == nil {
		return bench.Foreign{}
	}
	return *r.Foreign
}

// processFigures are what a process took in a run of the mode.
func processFigures(m bench.Mode) []measure[bench.ProcessUsage] {
	each := measure[bench.ProcessUsage]{name: cpuEach(m), value: cpuOf, unit: asCPU, optional: true, gobench: "%.3f cpu-us/msg", metric: "process_cpu_seconds_per_message", help: "CPU time a message."}
	if m == bench.Idle {
		each.gobench, each.metric, each.help = "%.3f cpu-us/conn/s", "process_cpu_seconds_per_connection_second", "CPU time a connection and second."
	}
	return []measure[bench.ProcessUsage]{
		each,
		{name: "cores", value: func(p bench.ProcessUsage) float64 { return p.Cores }, unit: asCores, metric: "process_cores", help: "Processors kept busy in the window."},
		{name: "resident", value: func(p bench.ProcessUsage) float64 { return float64(p.RSS) }, unit: asBytes, optional: true, metric: "process_resident_memory_bytes", help: "Resident memory at the window's end."},
		{name: "a connection", value: func(p bench.ProcessUsage) float64 { return p.PerConn }, unit: asBytes, optional: true, gobench: "%.0f B/conn", metric: "process_connection_memory_bytes", help: "Resident memory that came with the connections, over their number."},
		{value: func(p bench.ProcessUsage) float64 { return p.CPU }, unit: unit{per: 1}, metric: "process_cpu_seconds_total", help: "CPU time in the window, user and system."},
	}
}

// cpuEach is what a run's CPU time is given by: a message, or a second of a connection that says nothing.
func cpuEach(m bench.Mode) string {
	if m == bench.Idle {
		return "CPU a connection and second"
	}
	return "CPU a " + m.Unit()
}
