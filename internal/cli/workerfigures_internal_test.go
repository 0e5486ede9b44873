package cli

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-7410fe32/sluice/worker"
)

// Each figure of a worker is a metric, and docs/metrics.md has each with its meaning.
func TestEveryFigureOfAWorkerIsAMetric(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	stats := reflect.TypeFor[worker.Stats]()
	for field := range stats.Fields() {
		i := slices.IndexFunc(workerFigures, func(f workerFigure) bool { return f.field == field.Name })
		if i < 0 {
			t.Errorf("Stats.%s is no metric", field.Name)
			continue
		}
		f, kind := workerFigures[i], "gauge"
		if field.Type.Kind() == reflect.Uint64 {
			kind = "counter"
		}
		if row := fmt.Sprintf("\n| `%s` | %s | – | %s |\n", f.name, kind, f.help); !strings.Contains(string(document), row) {
			t.Errorf("docs/metrics.md lacks %s", row)
		}
	}
	if n := stats.NumField(); n != len(workerFigures) || n != strings.Count(string(document), "\n| `sluice_business_") {
		t.Errorf("%d fields, %d metrics", n, len(workerFigures))
	}
}

// There are no figures before there is a worker. They are well named.
func TestWorkerCollector(t *testing.T) {
	t.Parallel()
	var c workerCollector
	if n := testutil.CollectAndCount(&c); n != 0 {
		t.Errorf("%d metrics without a worker", n)
	}
	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:1"}}, worker.Handler{})
	if err != nil {
		t.Fatal(err)
	}
	c.worker.Store(w)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&c)
	problems, err := testutil.GatherAndLint(registry)
	if n := testutil.CollectAndCount(&c); n != len(workerFigures) || err != nil || len(problems) > 0 {
		t.Errorf("%d metrics, %v, %v", n, problems, err)
	}
}
