package cli

import (
	"reflect"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-7410fe32/sluice/worker"
)

// workerFigure is a metric that shows a field of a struct, worker.Stats for example. A uint64 is a
// counter, an int is a gauge.
type workerFigure struct{ field, name, help string }

// workerFigures are the metrics of a worker that runs beside a gateway in one process.
var workerFigures = []workerFigure{
	{"Handled", "sluice_business_messages_total", "Messages whose handler has returned no error."},
	{"Errors", "sluice_business_errors_total", "Calls of handlers that have failed."},
	{"Panics", "sluice_business_panics_total", "Calls of handlers that have panicked."},
	{"Retries", "sluice_business_retries_total", "Deliveries that handlers have asked for with Retry."},
	{"DeadLettered", "sluice_business_dead_letters_total", "Events given up after too many deliveries."},
	{"Refused", "sluice_business_clients_refused_total", "Clients refused by handlers."},
	{"Adopted", "sluice_business_clients_adopted_total", "Clients taken over from other workers."},
	{"LateEffects", "sluice_business_late_effects_total", "Effects of calls that had ended, which are ignored."},
	{"Slow", "sluice_business_slow_calls_total", "Calls of handlers that took longer than the threshold."},
	{"LeaderHandoffs", "sluice_business_leader_handoffs_total",
		"Calls that blocked, so that another goroutine took over the link."},
	{"Offloaded", "sluice_business_offloaded_calls_total", "Calls that ran on a goroutine of their own."},
	{"Reconnects", "sluice_business_reconnects_total", "Links to gateways that were lost and dialled again."},
	{"CommandsDropped", "sluice_business_commands_dropped_total",
		"Messages and commands to gateways that are unknown or have no link."},
	{"Reports", "sluice_business_reports_total", "Reports about calls that a gateway has kept."},
	{"ReportsLost", "sluice_business_reports_lost_total", "Reports about calls that were given up."},
	{"ReportsWaiting", "sluice_business_reports_waiting", "Reports about calls that no gateway has kept yet."},
	{"SendsNarrowed", "sluice_business_sends_narrowed_total",
		"Messages and queries of the worker itself to groups or uids that left out gateways."},
	{"GatewaysSpared", "sluice_business_gateways_spared_total", "Gateways that these left out."},
	{"SendsWidened", "sluice_business_sends_widened_total",
		"Those that went to all gateways because the holders of the group or uid were not known."},
	{"GatewaysGivenUp", "sluice_business_gateways_given_up_total",
		"Addresses that are not listed any more and where no gateway answers."},
	{"Gateways", "sluice_business_gateways", "Addresses where the worker keeps links to gateways."},
	{"Blocked", "sluice_business_blocked_calls", "Calls of handlers that block."},
	{"Waiting", "sluice_business_clients_waiting", "Clients whose events wait because too many calls block."},
	{"Clients", "sluice_business_clients", "Clients of the worker."},
	{"Leaving", "sluice_business_clients_leaving", "Clients that are gone, with a call that has not returned."},
	{"Links", "sluice_business_links", "Links to gateways that are up."},
}

// workerCollector reads the figures of a worker, as soon as there is one.
type workerCollector struct{ worker atomic.Pointer[worker.Worker] }

// Describe implements prometheus.Collector.
func (c *workerCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range workerFigures {
		to <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (c *workerCollector) Collect(to chan<- prometheus.Metric) {
	w := c.worker.Load()
	if w == nil {
		return
	}
	emitFigures(to, workerFigures, w.Stats())
}

// emitFigures sends the figures of a struct.
func emitFigures(to chan<- prometheus.Metric, figures []workerFigure, of any) {
	stats := reflect.ValueOf(of)
	for _, f := range figures {
		v := stats.FieldByName(f.field)
		if v.CanUint() {
			to <- prometheus.MustNewConstMetric(f.desc(), prometheus.CounterValue, float64(v.Uint()))
		} else {
			to <- prometheus.MustNewConstMetric(f.desc(), prometheus.GaugeValue, float64(v.Int()))
		}
	}
}

func (f *workerFigure) desc() *prometheus.Desc { return prometheus.NewDesc(f.name, f.help, nil, nil) }
