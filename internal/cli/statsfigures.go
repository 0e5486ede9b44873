package cli

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// keeperFigures are the metrics of what keeps statistics. They are fields of keep.Stats.
var keeperFigures = []workerFigure{
	{"Reports", "sluice_stats_reports_total", "Reports of calls that were kept."},
	{"DuplicateReports", "sluice_stats_duplicate_reports_total", "Reports that had been kept before."},
	{"Calls", "sluice_stats_calls_total", "Calls in the reports."},
	{"Failures", "sluice_stats_failures_total", "Entries of the failure log in the reports."},
	{"LostFailures", "sluice_stats_lost_failures_total",
		"Failed calls without an entry in the log, because the process that reported had no room for it."},
	{"WrongTimes", "sluice_stats_wrong_times_total",
		"Reports and failures whose time cannot be right. They count as the present."},
	{"OtherRows", "sluice_stats_other_rows_total",
		"Rows that count for the interface (other), because there were too many interfaces."},
	{"DroppedRows", "sluice_stats_dropped_rows_total", "Rows removed before their time because of --stats-max-bytes."},
	{"DroppedFailures", "sluice_stats_dropped_failures_total",
		"Entries of the failure log removed before their time because of --stats-max-bytes."},
	{"WriteErrors", "sluice_stats_write_errors_total", "Writes to the disk that failed. Their reports come again."},
	{"Rows", "sluice_stats_rows", "Rows of a minute and of five minutes."},
	{"LoggedFailures", "sluice_stats_logged_failures", "Entries of the failure log."},
	{"Pairs", "sluice_stats_interfaces", "Interfaces of modules that there are rows of."},
	{"Sources", "sluice_stats_sources", "Processes that have reported in the last three days."},
	{"Bytes", "sluice_stats_bytes", "Size of the file, or about that of what is in memory."},
	{"MaxBytes", "sluice_stats_limit_bytes", "Limit of the size: --stats-max-bytes."},
	{"Waiting", "sluice_stats_waiting_reports", "Reports that wait for the disk."},
}

// senderFigures are the metrics of what sends reports to another node. They are fields of
// forward.Stats.
var senderFigures = []workerFigure{
	{"Sent", "sluice_stats_forwarded_reports_total", "Reports that the node of --stats-to has kept."},
	{"Refused", "sluice_stats_forward_refused_reports_total",
		"Reports that the node of --stats-to does not understand. They are lost."},
	{"Failures", "sluice_stats_forward_errors_total", "Requests to that node that failed. Their reports come again."},
	{"Waiting", "sluice_stats_forward_waiting_reports", "Reports that wait for a request."},
}

// intakeFigures are the metrics of --stat-udp. They are fields of intake.Stats.
var intakeFigures = []workerFigure{
	{"Datagrams", "sluice_stats_datagrams_total", "Datagrams that were received."},
	{"Invalid", "sluice_stats_invalid_datagrams_total", "Datagrams that were no reports of a call."},
	{"LostFailures", "sluice_stats_datagrams_lost_failures_total",
		"Failed calls without an entry in the log, because too many came in a second."},
}

// alertFigures are the metrics of alerts. They are fields of alert.Stats.
var alertFigures = []workerFigure{
	{"Pending", "sluice_alerts_pending", "Alerts whose condition has not held long enough to fire."},
	{"Firing", "sluice_alerts_firing", "Alerts that fire, silenced ones included."},
	{"Fired", "sluice_alerts_fired_total", "Alerts that have fired."},
	{"Dropped", "sluice_alerts_dropped_total", "Alerts that were not made, because there are too many."},
	{"CheckErrors", "sluice_alerts_check_errors_total", "Alert rules that could not be checked."},
	{"SaveErrors", "sluice_alerts_save_errors_total", "Writes of the file with alerts that failed."},
	{"Sent", "sluice_alerts_notifications_sent_total", "Requests that a webhook has taken."},
	{"Failed", "sluice_alerts_notifications_failed_total", "Requests to webhooks that failed. Most are sent again."},
	{"Lost", "sluice_alerts_notifications_lost_total", "Notifications that were given up."},
}

// statsCollector reads the figures of statistics, as soon as there are some.
type statsCollector struct{ of atomic.Pointer[statistics] }

// Describe implements prometheus.Collector.
func (c *statsCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range slices.Concat(keeperFigures, senderFigures, intakeFigures, alertFigures) {
		to <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (c *statsCollector) Collect(to chan<- prometheus.Metric) {
	s := c.of.Load()
	if s == nil {
		return
	}
	if s.keeper != nil {
		emitFigures(to, keeperFigures, s.keeper.Stats())
	}
	if s.sender != nil {
		emitFigures(to, senderFigures, s.sender.Stats())
	}
	if s.intake != nil {
		emitFigures(to, intakeFigures, s.intake.Stats())
	}
	if s.alerts != nil {
		emitFigures(to, alertFigures, s.alerts.Stats())
	}
}
