package alert

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// A file that somebody has damaged is put aside, also if it is still JSON: a rule without a
// threshold, or out of order, would end the process later.
func TestAStateThatIsWrong(t *testing.T) {
	t.Parallel()
	k, err := keep.New(keep.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close() //nolint:errcheck // it is in memory
	for _, text := range []string{
		"", "null", "[]", `{"version":2}`, `{"version":1,"rules":[{"name":"a","metric":"rate"}]}`,
		`{"version":1,"rules":[{"name":"b","metric":"no_data"},{"name":"a","metric":"no_data"}]}`,
		`{"version":1,"rules":[{"name":"a","metric":"no_data"},{"name":"a","metric":"no_data"}]}`,
		`{"version":1,"silences":[` + strings.Repeat("{},", maxSilences) + `{}]}`,
	} {
		path := filepath.Join(t.TempDir(), "alerts.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := New(Config{Keeper: k, State: path, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		a.check(t.Context(), time.Now())
		if b, err := os.ReadFile(path + ".damaged"); err != nil || string(b) != text || len(a.View().Rules) != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Only webhooks that were told that an alert fires are told of its end, also when its rule is gone.
func TestTheEndOfARule(t *testing.T) {
	t.Parallel()
	ops, other := newHook(t), newHook(t)
	hooks := `
webhooks: [{name: ops, url: "` + ops.url + `"}, {name: other, url: "` + other.url + `"}]`
	m := play(t, hooks+`
rules: [{name: errors, metric: availability, below: 90, window: 1m, webhooks: [ops]}]`, "")
	m.minute(0, 10, 0)
	ops.awaitText(t, `"firing"`)
	m.alerts.SetFile(parse(t, hooks))
	m.minute(0, 10, 0)
	ops.awaitText(t, `"resolved"`)
	if v := m.alerts.View(); v.Webhooks[1].Waiting != 0 || v.Webhooks[1].Sent != 0 {
		t.Errorf("%+v", v.Webhooks)
	}
}

// What waits for a webhook goes on waiting when its address is corrected. A webhook that is made
// while an alert fires is told of it.
func TestAWebhookIsCorrected(t *testing.T) {
	t.Parallel()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	ops, late := newHook(t), newHook(t)
	const rule = `
rules: [{name: errors, metric: availability, below: 90, window: 1m}]`
	m := play(t, `webhooks: [{name: ops, url: "`+away.URL+`"}]`+rule, "")
	m.minute(0, 10, 0)
	m.alerts.SetFile(parse(t, `webhooks: [{name: ops, url: "`+ops.url+`"}]`+rule))
	ops.awaitText(t, `"firing"`)
	if v := m.alerts.Stats(); v.Lost != 0 {
		t.Errorf("%+v", v)
	}
	m = play(t, rule, "")
	if active := m.minute(0, 10, 0); len(active) != 1 || !active[0].Told.IsZero() {
		t.Errorf("%+v", active)
	}
	m.alerts.SetFile(parse(t, `webhooks: [{name: late, url: "`+late.url+`"}]`+rule))
	m.minute(0, 10, 0)
	late.awaitText(t, `"firing"`)
}

// A text does not say that a value is below itself, and only all calls are 100 %.
func TestTexts(t *testing.T) {
	t.Parallel()
	below, above := 99.999, 5.0
	for want, c := range map[string]struct {
		r Rule
		v float64
	}{
		"availability 99.9951 % is below 99.999 %": {Rule{Metric: Availability, Below: &below}, 99.99519},
		"availability 99.9989 % is below 99.999 %": {Rule{Metric: Availability, Below: &below}, 99.99899999},
		"5.001 calls a second are above 5":         {Rule{Metric: Rate, Above: &above}, 5.001},
		"6 failures a second are above 5":          {Rule{Metric: Failures, Above: &above}, 6},
		"latency p99 5.2s is above 5s":             {Rule{Metric: P99, Above: &above}, 5.2},
	} {
		if got := c.r.text(c.v); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	test := &Alert{Rule: "test", Severity: "test", Text: "nothing is wrong"}
	if got := slackLine(test); got != "TEST: test: nothing is wrong" {
		t.Error(got)
	}
}

// When as many alerts as there may be fire at once, a webhook that works is told of each.
func TestAllFireAtOnce(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	m := play(t, `webhooks: [{name: ops, url: "`+h.url+`"}]`, "")
	m.alerts.mu.Lock()
	for i := range maxAlerts {
		m.alerts.tell(nil, &Alert{Rule: "r", Interface: strconv.Itoa(i), State: "firing", Since: m.now}, m.now)
	}
	m.alerts.mu.Unlock()
	h.awaitText(t, `"interface":"`+strconv.Itoa(maxAlerts-1)+`"`)
	if v := m.alerts.Stats(); v.Lost != 0 {
		t.Errorf("%+v", v)
	}
}
