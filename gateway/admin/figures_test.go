package admin

import (
	"reflect"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/gateway"
)

// noMetric are the fields of gateway.Stats that are no figure of their own, each with the reason.
var noMetric = map[string]string{
	"LoopStats":          "the sums over the loops; a query sums as well",
	"Loops":              "its fields have metrics",
	"Listeners":          "its fields have metrics",
	"Directory":          "its fields have metrics",
	"WorkerAuthFailures": "sluice_worker_auth_failures_total",
	"ClosesByReason":     "sluice_connections_closed_total",

	"UpgradesRejectedByReason": "sluice_upgrades_rejected_by_reason_total",
	"SlowConsumerStats":        "its fields have metrics",
	"NarrowStats":              "its fields have metrics",
	"InterestStats":            "its fields have metrics",
	"ArbiterStats":             "its fields have metrics",
	"MessageTime":              "sluice_message_duration_seconds",
	"HandlingTime":             "sluice_message_handling_seconds",
	"URL":                      "the label of the listeners' metrics",
	"ListenerStats":            "its fields have metrics",
	"TLS":                      "its fields have metrics",
}

// Every field of gateway.Stats is a metric, or is listed as none.
func TestEveryFigureIsAMetric(t *testing.T) {
	t.Parallel()
	var used []string
	check := func(of reflect.Type, figures []figure) {
		for _, field := range reflect.VisibleFields(of) {
			if slices.ContainsFunc(figures, func(f figure) bool { return f.field == field.Name }) {
				continue
			}
			if noMetric[field.Name] == "" {
				t.Errorf("%v.%s is no metric", of, field.Name)
			}
			used = append(used, field.Name)
		}
		for _, f := range figures {
			if !f.in(reflect.New(of).Elem()).IsValid() {
				t.Errorf("%s: %v has no field %s", f.name, of, f.field)
			}
		}
	}
	check(reflect.TypeFor[gateway.LoopStats](), slices.Concat(loopFigures, narrowFigures))
	check(reflect.TypeFor[gateway.ListenerStats](), listenerFigures)
	check(reflect.TypeFor[gateway.DirectoryStats](), directoryFigures)
	for field := range reflect.TypeFor[engine.TLSStats]().Fields() {
		name := "TLS." + field.Name
		if !slices.ContainsFunc(listenerFigures, func(f figure) bool { return f.field == name }) {
			t.Errorf("ListenerStats.%s is no metric", name)
		}
	}
	check(reflect.TypeFor[gateway.InterestStats](), interestFigures)
	check(reflect.TypeFor[gateway.ArbiterStats](), arbiterFigures)
	stats := reflect.TypeFor[gateway.Stats]()
	for field := range stats.Fields() {
		if name := field.Name; noMetric[name] == "" {
			t.Errorf("Stats.%s is no metric", name)
		} else {
			used = append(used, name)
		}
	}
	for name := range noMetric {
		if !slices.Contains(used, name) {
			t.Errorf("there is no field %s", name)
		}
	}
}
