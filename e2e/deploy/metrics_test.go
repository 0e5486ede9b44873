package deploy_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// rule is a rule for alerts.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// rules returns the rules, in strict form.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []rule `yaml:"rules"`
		} `yaml:"groups"`
	}
	in := yaml.NewDecoder(strings.NewReader(read(t, "prometheus/sluice-alerts.yaml")))
	in.KnownFields(true)
	if err := in.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
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

func dashboard(t *testing.T) (panels []panel, variables string) {
	t.Helper()
	var d struct {
		Panels     []panel         `json:"panels"`
		Templating json.RawMessage `json:"templating"`
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/sluice.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels, string(d.Templating)
}

// metricName matches the names of metrics in an expression.
var metricName = regexp.MustCompile(`\b(?:sluice|go|process)_[a-z0-9_]+`)

// scrape returns the metrics of a running server.
func scrape(t *testing.T) string {
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
	get := func() string {
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
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status, err)
		}
		return string(text)
	}
	var text string
	proctest.Await(t, "the end of the connection is counted", func() bool {
		text = get()
		return strings.Contains(text, "sluice_connections_closed_total{")
	})
	return text
}

// Each metric that the alerts and the dashboard name is one of a running server, with the labels
// that they use.
func TestMetricsOfAlertsAndDashboardExist(t *testing.T) {
	t.Parallel()
	live := scrape(t)
	exprs := make(map[string]string)
	for _, r := range rules(t) {
		exprs["alert "+r.Alert] = r.Expr
	}
	panels, variables := dashboard(t)
	for _, p := range panels {
		for _, target := range p.Targets {
			exprs["panel "+p.Title+": "+target.Expr] = target.Expr
		}
	}
	exprs["variables of the dashboard"] = variables
	found := 0
	for where, expr := range exprs {
		for _, name := range metricName.FindAllString(expr, -1) {
			found++
			if !strings.Contains(live, "\n"+name+" ") && !strings.Contains(live, "\n"+name+"{") {
				t.Errorf("%s: a running server has no metric %s", where, name)
			}
		}
		for _, m := range regexp.MustCompile(`\b(?:by|without) \(([a-z, ]+)\)`).FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(m[1], ",") {
				label = strings.TrimSpace(label)
				if label != "instance" && !strings.Contains(live, label+`="`) {
					t.Errorf("%s: no metric has the label %s", where, label)
				}
			}
		}
		if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
			t.Errorf("%s: brackets do not match: %s", where, expr)
		}
	}
	if found < 40 {
		t.Errorf("%d metrics found: that cannot be all", found)
	}
}

// Each alert says what is wrong and how urgent it is. The dashboard's panels do not overlap.
func TestAlertsAndDashboardAreWhole(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, r := range rules(t) {
		severity := r.Labels["severity"]
		if r.Alert == "" || r.Expr == "" || names[r.Alert] || severity != "page" && severity != "ticket" ||
			!strings.Contains(r.Annotations["summary"], "$labels.instance") {
			t.Errorf("%+v", r)
		}
		names[r.Alert] = true
	}
	panels, _ := dashboard(t)
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
