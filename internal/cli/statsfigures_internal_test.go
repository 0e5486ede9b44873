package cli

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/internal/stats/forward"
	"github.com/seed-7410fe32/sluice/internal/stats/intake"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// Each figure of statistics is a metric, and docs/metrics.md has each with its meaning.
func TestEveryFigureOfStatisticsIsAMetric(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	for of, figures := range map[reflect.Type][]workerFigure{
		reflect.TypeFor[keep.Stats]():    keeperFigures,
		reflect.TypeFor[forward.Stats](): senderFigures,
		reflect.TypeFor[intake.Stats]():  intakeFigures,
	} {
		all += len(figures)
		for field := range of.Fields() {
			i := slices.IndexFunc(figures, func(f workerFigure) bool { return f.field == field.Name })
			if i < 0 {
				t.Errorf("%v.%s is no metric", of, field.Name)
				continue
			}
			f, kind := figures[i], "gauge"
			if field.Type.Kind() == reflect.Uint64 {
				kind = "counter"
			}
			if row := fmt.Sprintf("\n| `%s` | %s | – | %s |\n", f.name, kind, f.help); !strings.Contains(string(document), row) {
				t.Errorf("docs/metrics.md lacks %s", row)
			}
		}
		if of.NumField() != len(figures) {
			t.Errorf("%v has %d fields, and there are %d metrics", of, of.NumField(), len(figures))
		}
	}
	if n := strings.Count(string(document), "\n| `sluice_stats_"); n != all {
		t.Errorf("docs/metrics.md has %d metrics of statistics, and there are %d", n, all)
	}
}

// Each figure of what the chat keeps is a metric, and docs/metrics.md has each with its meaning.
func TestEveryFigureOfTheChatIsAMetric(t *testing.T) {
	t.Parallel()
	st, err := store.New(store.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	call := store.Client{Invoke: st.Serve}
	me, err := call.Login(t.Context(), &store.Login{Name: "Ada", Keys: []string{"ada"}})
	if err != nil {
		t.Fatal(err)
	}
	post := &store.Post{UID: me.UID, Name: "Ada", Room: "lobby", Author: "a", Text: "hi"}
	if _, err := call.Post(t.Context(), post); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(chatCollector{store: st}); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != reflect.TypeFor[store.Stats]().NumField() {
		t.Errorf("%d metrics: %v", len(families), err)
	}
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		row := fmt.Sprintf("\n| `%s` | %s | – | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp())
		if !strings.Contains(string(document), row) {
			t.Errorf("docs/metrics.md lacks %s", row)
		}
		if m := f.GetMetric()[0]; f.GetType().String() == "GAUGE" && m.GetGauge().GetValue() == 0 {
			t.Errorf("%s is 0", f.GetName())
		}
	}
	if n := strings.Count(string(document), "\n| `sluice_chat_"); n != len(families) {
		t.Errorf("docs/metrics.md has %d metrics of the chat, and there are %d", n, len(families))
	}
	shared := chatCollector{st, true}
	if n := testutil.CollectAndCount(shared); n != len(chatCounters) {
		t.Errorf("%d metrics of what gateways share", n)
	}
}

// The metrics of a process are those of what it has, and well named.
func TestStatsCollector(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	kept := len(keeperFigures) + len(alertFigures)
	for want, o := range map[int]*options{
		0:                         {},
		kept:                      {admin: "127.0.0.1:0"},
		kept + len(intakeFigures): {admin: "127.0.0.1:0", stats: statsOptions{udp: "127.0.0.1:0"}},
		len(senderFigures):        {admin: "127.0.0.1:0", stats: statsOptions{to: "http://127.0.0.1:1"}},
	} {
		o.log, o.stats.maxBytes = log, keep.MinBytes
		s, err := openStats(o)
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(&o.stats.figures)
		problems, err := testutil.GatherAndLint(registry)
		if n := testutil.CollectAndCount(&o.stats.figures); n != want || err != nil || len(problems) > 0 {
			t.Errorf("%d metrics, want %d, %v, %v", n, want, err, problems)
		}
		s.close()
	}
}

// Settings that are not possible are refused, and name their flag.
func TestStatsFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--stats-max-bytes", "1000"}, "--stats-max-bytes: 1000: must be at least 16777216"},
		{[]string{"--stats-to", "keeper:9090"}, "--stats-to: \"keeper:9090\": must be http://HOST:PORT"},
		{[]string{"--stats-to-token-file", "x"}, "--stats-to-token-file: needs --stats-to"},
		{[]string{"--stats-to-ca", "x"}, "--stats-to-ca: needs --stats-to"},
		{[]string{"--stat-udp", "127.0.0.1"}, "--stat-udp: "},
		{[]string{"--stat-udp", "127.0.0.1:0"}, "--stat-udp: needs --data, --stats-to or --admin"},
		{[]string{"--stat-udp", "127.0.0.1:0", "--admin", "http://127.0.0.1:1"}, "--stat-udp: needs --data"},
		{[]string{"--alerts", "x"}, "--alerts: needs --data or --admin"},
		{[]string{"--alerts", "x", "--admin", "http://127.0.0.1:1"}, "--alerts: needs --data or --admin"},
		{[]string{"--stat-udp", "127.0.0.1:0", "--data", "x"}, ""},
		{[]string{"--stat-udp", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, ""},
		{[]string{"--stats-to", "https://keeper:9090", "--stats-to-token-file", "x", "--stats-to-ca", "x"}, ""},
	} {
		_, err := checked(c.args...)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.HasPrefix(err.Error(), c.says)) {
			t.Errorf("%q: %v, want %q", c.args, err, c.says)
		}
	}
}
