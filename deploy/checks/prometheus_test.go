package checks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/teststorage"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// database answers queries with what two scrapes of a running server have found.
type database struct {
	engine  *promql.Engine
	storage *teststorage.TestStorage
	last    time.Time // of the second scrape
}

// scraped starts a server and returns a database with two scrapes of it, 15 s apart.
func scraped(t *testing.T) *database {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-this-test"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--admin-token-file", token)
	c := proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, c, "hello")
	_ = c.Close()
	defer http.DefaultClient.CloseIdleConnections()
	get := func() (text []byte, contentType string) {
		r, err := http.NewRequest(http.MethodGet, "http://"+server.Addrs["admin"]+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer a-token-of-this-test")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		if text, err = io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status, err)
		}
		return text, answer.Header.Get("Content-Type")
	}
	proctest.Await(t, "the end of the connection is counted", func() bool {
		text, _ := get()
		return strings.Contains(string(text), "sluice_connections_closed_total{")
	})
	db := &database{
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{}),
		}),
		storage: teststorage.New(t),
		last:    time.Unix(1_700_000_000, 0),
	}
	t.Cleanup(func() { _ = db.engine.Close() })
	for range 2 {
		db.last = db.last.Add(15 * time.Second)
		text, contentType := get()
		db.add(t, text, contentType)
	}
	return db
}

// add adds the samples of a scrape, with the labels that Prometheus gives them.
func (db *database) add(t *testing.T, text []byte, contentType string) {
	t.Helper()
	in, err := textparse.New(text, contentType, nil, textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := db.storage.Appender(t.Context())
	put := func(series labels.Labels, value float64) {
		series = labels.NewBuilder(series).Set("job", "sluice").Set("instance", "10.0.0.5:9090").Labels()
		if _, err := out.Append(0, series, db.last.UnixMilli(), value); err != nil {
			t.Fatalf("%s: %v", series, err)
		}
	}
	put(labels.FromStrings("__name__", "up"), 1)
	for {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntrySeries {
			var series labels.Labels
			in.Labels(&series)
			_, _, value := in.Series()
			put(series, value)
		}
	}
	if err := out.Commit(); err != nil {
		t.Fatal(err)
	}
}

// query returns the labels of the series that an expression has now.
func (db *database) query(ctx context.Context, expr string) (series []labels.Labels, err error) {
	q, err := db.engine.NewInstantQuery(ctx, db.storage, nil, expr, db.last.Add(time.Second))
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(ctx)
	vector, err := result.Vector()
	for _, s := range vector {
		series = append(series, s.Metric)
	}
	return series, errors.Join(append(result.Warnings.AsErrors(), err)...)
}

// check evaluates an expression with its comparisons made additions. So the result is not empty if
// every metric is there with the labels that the expression uses, and both sides of every operator
// match.
func (db *database) check(ctx context.Context, expr string) error {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return err
	}
	parser.Inspect(tree, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.BinaryExpr:
			if n.Op.IsComparisonOperator() {
				n.Op = parser.ADD
			}
		case *parser.AggregateExpr:
			series, failed := db.query(ctx, n.Expr.String())
			err = errors.Join(err, failed)
			for _, label := range n.Grouping {
				for _, s := range series {
					if !s.Has(label) {
						err = errors.Join(err, fmt.Errorf("%s has no label %s", s, label))
					}
				}
			}
		}
		return nil
	})
	series, failed := db.query(ctx, tree.String())
	if len(series) == 0 {
		err = errors.Join(err, errors.New("nothing of a running server"))
	}
	return errors.Join(err, failed)
}

// rules returns the rules for alerts, which Prometheus accepts.
func rules(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(read(t, "prometheus/sluice-alerts.yaml")), false, model.UTF8Validation,
		parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panel is a part of the dashboard.
type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
	GridPos struct{ H, W, X, Y int } `json:"gridPos"`
}

// variable is what a reader of the dashboard chooses.
type variable struct{ Name, Type, Query string }

func dashboard(t *testing.T) (panels []panel, variables []variable) {
	t.Helper()
	var d struct {
		Panels     []panel `json:"panels"`
		Templating struct{ List []variable }
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/sluice.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels, d.Templating.List
}

// Prometheus evaluates each alert and each query of the dashboard against a running server: the
// metrics are there, and have the labels that are used.
func TestQueriesFindARunningServer(t *testing.T) {
	t.Parallel()
	db := scraped(t)
	var exprs []string
	for _, r := range rules(t) {
		exprs = append(exprs, r.Expr)
	}
	panels, variables := dashboard(t)
	for _, p := range panels {
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	values := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for _, v := range variables {
		if v.Type != "query" {
			continue
		}
		m := values.FindStringSubmatch(v.Query)
		if m == nil {
			t.Errorf("variable %s: %s", v.Name, v.Query)
			continue
		}
		exprs = append(exprs, "count by ("+m[2]+") ("+m[1]+")")
	}
	// What Grafana puts in. The interval is four times that of scrapes.
	chosen := strings.NewReplacer("$job", "sluice", "$instance", "10.0.0.5:9090", "$__rate_interval", "1m")
	for _, expr := range exprs {
		expr = chosen.Replace(expr)
		if err := db.check(t.Context(), expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
	// Mistakes are found.
	for _, expr := range []string{
		"sluice_client > 5", `sluice_workers{state="busy"} == 0`, "sum by (loops) (sluice_clients)",
		"sluice_clients > sluice_ready", "rate(sluice_clients) > 0", "sluice_ready ==",
	} {
		if db.check(t.Context(), expr) == nil {
			t.Errorf("accepted: %s", expr)
		}
	}
}

// Each alert says what is wrong and how urgent it is.
func TestAlertsAreWhole(t *testing.T) {
	t.Parallel()
	all := rules(t)
	if len(all) < 10 {
		t.Errorf("%d alerts: that cannot be all", len(all))
	}
	names := make(map[string]bool)
	for _, r := range all {
		severity := r.Labels["severity"]
		if r.Alert == "" || names[r.Alert] || severity != "page" && severity != "ticket" ||
			!strings.Contains(r.Annotations["summary"], "$labels.instance") {
			t.Errorf("%+v", r)
		}
		names[r.Alert] = true
	}
}

// Prometheus accepts the sample of a scrape configuration, which names the alerts.
func TestScrapeConfiguration(t *testing.T) {
	t.Parallel()
	c, err := config.Load(read(t, "prometheus/prometheus.yaml"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.ScrapeConfigs) != 1 || c.ScrapeConfigs[0].JobName != "sluice" {
		t.Errorf("%+v", c.ScrapeConfigs)
	}
	for _, file := range c.RuleFiles {
		read(t, "prometheus/"+file)
	}
}

// The dashboard's panels do not overlap, and each has queries.
func TestDashboardIsWhole(t *testing.T) {
	t.Parallel()
	panels, _ := dashboard(t)
	if len(panels) < 15 {
		t.Errorf("%d panels: that cannot be all", len(panels))
	}
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for _, p := range panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		g := p.GridPos
		for y := g.Y; y < g.Y+g.H; y++ {
			for x := g.X; x < g.X+g.W; x++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if g.X+g.W > 24 || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
	}
}
