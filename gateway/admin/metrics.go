package admin

import (
	"context"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/seed-7410fe32/sluice/gateway"
)

// collector reads the figures of a gateway when a scrape asks for them. It is static after
// newCollector, and counts nothing itself.
type collector struct {
	gateway  *gateway.Gateway
	guard    *guard
	publish  *publishing
	version  string
	figures  []gauged                    // of loops; bound: none, constant
	arbiter  []gauged                    // of the gateway; bound: none, constant
	interest []gauged                    // of the gateway; bound: none, constant
	place    []gauged                    // of the directory; bound: none, constant
	listener []gauged                    // of listeners; bound: none, constant
	singles  map[string]*prometheus.Desc // by name; bound: none, constant
}

// gauged is a figure with what a scrape needs of it.
type gauged struct {
	figure
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// newRegistry returns a registry with the metrics of the gateway, the Go runtime and the process,
// and further ones.
func newRegistry(c *collector, more ...prometheus.Collector) (*prometheus.Registry, error) {
	c.figures = described(slices.Concat(loopFigures, narrowFigures), reflect.TypeFor[gateway.LoopStats](), "loop")
	c.interest = described(interestFigures, reflect.TypeFor[gateway.InterestStats]())
	c.arbiter = described(arbiterFigures, reflect.TypeFor[gateway.ArbiterStats]())
	c.listener = described(listenerFigures, reflect.TypeFor[gateway.ListenerStats](), "listener")
	c.place = described(directoryFigures, reflect.TypeFor[gateway.DirectoryStats]())
	c.singles = make(map[string]*prometheus.Desc)
	for _, s := range singles {
		c.singles[s.name] = prometheus.NewDesc(s.name, s.help, s.labels, nil)
	}
	registry := prometheus.NewRegistry()
	for _, each := range append([]prometheus.Collector{
		c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, more...) {
		if err := registry.Register(each); err != nil {
			return nil, err
		}
	}
	return registry, nil
}

// described prepares figures of a struct, which have these labels.
func described(figures []figure, of reflect.Type, labels ...string) []gauged {
	all := make([]gauged, len(figures))
	for i, f := range figures {
		kind := prometheus.GaugeValue
		if field := f.in(reflect.New(of).Elem()); field.IsValid() && field.CanUint() {
			kind = prometheus.CounterValue
		}
		all[i] = gauged{f, prometheus.NewDesc(f.name, f.help, labels, nil), kind}
	}
	return all
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range slices.Concat(c.figures, c.listener, c.place, c.interest, c.arbiter) {
		to <- f.desc
	}
	for _, d := range c.singles {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	stats := c.gateway.Stats()
	for i := range stats.Loops {
		loop := strconv.Itoa(i)
		emit(to, c.figures, reflect.ValueOf(&stats.Loops[i]).Elem(), loop)
		for reason, n := range stats.Loops[i].ClosesByReason {
			c.single(to, "sluice_connections_closed_total", float64(n), loop, reason)
		}
	}
	for i := range stats.Loops {
		for reason, n := range stats.Loops[i].UpgradesRejectedByReason {
			c.single(to, "sluice_upgrades_rejected_by_reason_total", float64(n), strconv.Itoa(i), reason)
		}
	}
	for i := range stats.Listeners {
		emit(to, c.listener, reflect.ValueOf(&stats.Listeners[i]).Elem(), stats.Listeners[i].URL)
	}
	emit(to, c.arbiter, reflect.ValueOf(&stats.ArbiterStats).Elem())
	emit(to, c.interest, reflect.ValueOf(&stats.InterestStats).Elem())
	emit(to, c.place, reflect.ValueOf(&stats.Directory).Elem())
	c.single(to, "sluice_build_info", 1, c.version, runtime.Version())
	c.single(to, "sluice_ready", oneIf(c.gateway.Readiness() == nil))
	c.single(to, "sluice_draining", oneIf(c.gateway.Draining()))
	c.single(to, "sluice_loops", float64(len(stats.Loops)))
	c.single(to, "sluice_workers", float64(stats.Workers), "active")
	c.single(to, "sluice_workers", float64(stats.WorkersDraining), "draining")
	c.single(to, "sluice_worker_auth_failures_total", float64(stats.WorkerAuthFailures))
	c.single(to, "sluice_admin_auth_failures_total", float64(c.guard.failures.Load()))
	c.single(to, "sluice_admin_scope_failures_total", float64(c.guard.beyondScope.Load()))
	c.single(to, "sluice_admin_published_total", float64(c.publish.messages.Load()))
	c.single(to, "sluice_admin_publish_failures_total", float64(c.publish.failures.Load()))
	c.single(to, "sluice_admin_publish_rate_limited_total", float64(c.publish.limited.Load()))
	c.single(to, "sluice_admin_publish_replays_total", float64(c.publish.replays.Load()))
	c.single(to, "sluice_admin_publish_keys_forgotten_total", float64(c.publish.keys.forgotten.Load()))
	sessions, evicted := c.guard.sessions.figures()
	c.single(to, "sluice_admin_sessions", float64(sessions))
	c.single(to, "sluice_admin_sessions_evicted_total", float64(evicted))
	c.durations(to, "sluice_message_duration_seconds", &stats.MessageTime)
	c.durations(to, "sluice_message_handling_seconds", &stats.HandlingTime)
	c.workers(to)
}

// durations sends a histogram in singles.
func (c *collector) durations(to chan<- prometheus.Metric, name string, d *gateway.Durations) {
	buckets, count := make(map[float64]uint64), uint64(0)
	for i, n := range d.Counts {
		count += n
		if i < len(d.Bounds) {
			buckets[d.Bounds[i].Seconds()] = count
		}
	}
	to <- prometheus.MustNewConstHistogram(c.singles[name], count, d.Sum.Seconds(), buckets)
}

// workers sends the metrics of the workers, summed by name: an id differs at each start, so it
// would make new series for ever.
func (c *collector) workers(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	workers, err := c.gateway.Control().Workers(ctx)
	if err != nil {
		return // a loop is busy or has stopped; Stats has its last figures
	}
	sums := make(map[string]gateway.WorkerInfo)
	for _, w := range workers {
		s := sums[w.Name]
		s.Clients += w.Clients
		s.Links += w.Links
		s.UnackedBytes += w.UnackedBytes
		s.OutputBytes += w.OutputBytes
		sums[w.Name] = s
	}
	for name, s := range sums {
		c.single(to, "sluice_worker_clients", float64(s.Clients), name)
		c.single(to, "sluice_worker_links", float64(s.Links), name)
		c.single(to, "sluice_worker_unacked_bytes", float64(s.UnackedBytes), name)
		c.single(to, "sluice_worker_output_bytes", float64(s.OutputBytes), name)
	}
}

// single sends one value of a metric in singles.
func (c *collector) single(to chan<- prometheus.Metric, name string, value float64, labels ...string) {
	kind := prometheus.GaugeValue
	for _, s := range singles {
		if s.name == name && s.kind == "counter" {
			kind = prometheus.CounterValue
		}
	}
	to <- prometheus.MustNewConstMetric(c.singles[name], kind, value, labels...)
}

// emit sends the figures of one struct.
func emit(to chan<- prometheus.Metric, figures []gauged, of reflect.Value, labels ...string) {
	for _, f := range figures {
		value := 0.0
		switch v := f.in(of); {
		case v.CanUint():
			value = float64(v.Uint())
		case v.CanInt():
			value = float64(v.Int())
		}
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
