package alert

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// minutes plays minutes of calls to a Keeper and to the rules.
type minutes struct {
	t      *testing.T
	keeper *keep.Keeper
	alerts *Alerts
	now    time.Time // a whole minute
	seq    uint64
}

func play(t *testing.T, file string, state string) *minutes {
	t.Helper()
	k, err := keep.New(keep.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	m := &minutes{t: t, keeper: k, now: time.Now().Truncate(time.Minute).Add(-50 * time.Minute)}
	m.start(parse(t, file), state)
	m.alerts.started = m.now
	return m
}

func (m *minutes) start(f *File, state string) {
	m.t.Helper()
	a, err := New(Config{Keeper: m.keeper, File: f, State: state, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	m.alerts = a
	m.t.Cleanup(func() {
		for _, s := range a.senders {
			s.stop()
		}
	})
}

func parse(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alerts.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// minute adds a minute with calls, of which some failed, and checks the rules. It returns what is
// pending and firing.
func (m *minutes) minute(good, bad int, took time.Duration) []Alert {
	m.t.Helper()
	if good+bad > 0 {
		row := stats.Row{Module: "chat", Interface: "message"}
		for range good {
			row.Add(took, 0)
		}
		for range bad {
			row.Add(took, 1)
		}
		m.seq++
		r := &stats.Report{
			Source: [16]byte{1}, Seq: m.seq, Node: "n", From: m.now, To: m.now.Add(time.Second), Rows: []stats.Row{row},
		}
		if err := m.keeper.Take(m.t.Context(), r); err != nil {
			m.t.Fatal(err)
		}
	}
	m.now = m.now.Add(time.Minute)
	m.alerts.check(m.t.Context(), m.now.Add(settle))
	return m.alerts.View().Active
}

func (m *minutes) expect(when string, active []Alert, states ...string) {
	m.t.Helper()
	var got []string
	for _, a := range active {
		got = append(got, a.State)
	}
	if strings.Join(got, " ") != strings.Join(states, " ") {
		m.t.Errorf("%s: %q, want %q: %+v", when, got, states, active)
	}
}

// An alert is pending, fires when its condition has held for a time, stays while the value is
// between the threshold and clear, and ends past clear.
func TestAnAlertsLife(t *testing.T) {
	t.Parallel()
	m := play(t, `
rules:
  - {name: errors, module: chat, metric: availability, below: 90, clear: 95, window: 1m, for: 2m}
`, "")
	m.expect("all good", m.minute(100, 0, 0))
	m.expect("bad", m.minute(80, 20, 0), "pending")
	m.expect("good again", m.minute(100, 0, 0))
	m.expect("bad", m.minute(80, 20, 0), "pending")
	m.expect("bad", m.minute(89, 11, 0), "pending")
	active := m.minute(50, 50, 0)
	m.expect("bad for two minutes", active, "firing")
	if a := active[0]; a.Value != 50 || a.Unit != "%" || a.Text != "availability 50 % is below 90 %" ||
		a.Module != "chat" || a.Interface != "message" || a.Severity != "warning" ||
		!a.Since.Equal(m.now.Add(settle-2*time.Minute)) {
		t.Errorf("%+v", a)
	}
	m.expect("between", m.minute(93, 7, 0), "firing")
	m.expect("past clear", m.minute(95, 5, 0))
	if v := m.alerts.View(); len(v.Recent) != 1 || v.Recent[0].State != "resolved" || v.Recent[0].Ended == nil {
		t.Errorf("%+v", v.Recent)
	}
	m.expect("bad", m.minute(0, 10, 0), "pending")
	m.minute(0, 10, 0)
	m.expect("bad", m.minute(0, 10, 0), "firing")
	m.expect("nothing", m.minute(0, 0, 0)) // without calls there is no availability
	if s := m.alerts.Stats(); s.Fired != 2 || s.Firing != 0 || s.CheckErrors != 0 {
		t.Errorf("%+v", s)
	}
}

// Each metric fires on what it says, and on nothing else.
func TestMetrics(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct {
		good, bad int
		took      time.Duration
		fires     bool
	}{
		"metric: rate, above: 1":                              {61, 0, 0, true},
		"metric: rate, above: 1.0":                            {60, 0, 0, false},
		"metric: failures, above: 0.5":                        {0, 31, 0, true},
		"metric: p99, above: 0.1":                             {100, 0, 200 * time.Millisecond, true},
		"metric: max, above: 0.3":                             {100, 0, 200 * time.Millisecond, false},
		"metric: mean, above: 0.1, min_count: 101":            {100, 0, 200 * time.Millisecond, false},
		"metric: availability, below: 100":                    {99999, 1, 0, true},
		"metric: availability, below: 50, min_count: 3":       {0, 2, 0, false},
		"metric: availability, below: 50, interface: close":   {0, 9, 0, false},
		"metric: no_data":                                     {1, 0, 0, false},
		"metric: no_data, module: chat, interface: elsewhere": {1, 0, 0, true},
	} {
		m := play(t, "rules: [{name: r, window: 1m, "+rule+"}]", "")
		m.alerts.started = m.now.Add(-time.Hour)
		if active := m.minute(c.good, c.bad, c.took); (len(active) == 1) != c.fires {
			t.Errorf("%s: %+v", rule, active)
		}
	}
}

// What had calls once and has none fires no_data, but not before the window has passed since the
// start. It ends with the next call.
func TestNoData(t *testing.T) {
	t.Parallel()
	m := play(t, `
rules:
  - {name: silent, metric: no_data, window: 2m}
  - {name: few, metric: rate, below: 0.1, window: 2m}
`, "")
	m.expect("start", m.minute(20, 0, 0))
	m.expect("one minute without", m.minute(0, 0, 0))
	m.expect("two minutes without", m.minute(0, 0, 0), "firing", "firing")
	m.expect("a call", m.minute(1, 0, 0), "firing")
	m.expect("calls", m.minute(20, 0, 0))
}

// After a restart no_data does not fire before the window has passed, and ends with the first call.
func TestNoDataAfterARestart(t *testing.T) {
	t.Parallel()
	m := play(t, `
rules:
  - {name: silent, metric: no_data, window: 3m}
`, "")
	m.expect("start", m.minute(20, 0, 0))
	m.expect("one minute without", m.minute(0, 0, 0))
	m.expect("two minutes without", m.minute(0, 0, 0))
	m.expect("three minutes without", m.minute(0, 0, 0), "firing")
	m.alerts.started = m.now
	m.expect("nothing since the restart", m.minute(0, 0, 0), "firing")
	m.expect("a call", m.minute(1, 0, 0))
	m.alerts.started = m.now
	m.expect("a minute after another restart", m.minute(0, 0, 0))
}

// hook is a server that takes notifications.
type hook struct {
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	status []int // of the next answers; then 200
	url    string
}

func newHook(t *testing.T, status ...int) *hook {
	t.Helper()
	h := &hook{status: status}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.heads = append(h.bodies, string(b)), append(h.heads, r.Header)
		if len(h.status) > 0 {
			w.WriteHeader(h.status[0])
			h.status = h.status[1:]
		}
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

// await returns the n-th body.
func (h *hook) await(t *testing.T, n int) string {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		if len(h.bodies) >= n {
			defer h.mu.Unlock()
			return h.bodies[n-1]
		}
		h.mu.Unlock()
	}
	t.Fatalf("notification %d has not come", n)
	return ""
}

// awaitText waits until a body contains the text.
func (h *hook) awaitText(t *testing.T, text string) {
	t.Helper()
	for n := 1; !strings.Contains(h.await(t, n), text); n++ {
	}
}

// Webhooks are told once that an alert fires, again after Repeat, and that it has ended, unless a
// silence holds that back. A request that fails is sent again.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	all, one := newHook(t, 500), newHook(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	token := filepath.Join(dir, "token")
	_ = os.WriteFile(secret, []byte(one.url+"/secret\n"), 0o600)
	_ = os.WriteFile(token, []byte("the-token"), 0o600)
	m := play(t, `
webhooks:
  - {name: all, url: "`+all.url+`"}
  - {name: chat, kind: slack, url_file: "`+secret+`", token_file: "`+token+`"}
rules:
  - {name: errors, metric: availability, below: 90, window: 1m, severity: critical, repeat: 2m}
  - {name: slow <now>, metric: p50, above: 1, window: 1m, webhooks: [chat]}
`, "")
	m.minute(0, 10, 0)
	var got struct {
		Version int
		Alerts  []struct{ ID, Rule, State, Module, Interface, Severity, Text string }
	}
	for n := range 2 { // the first one is refused
		if err := json.Unmarshal([]byte(all.await(t, n+1)), &got); err != nil || got.Version != 1 || len(got.Alerts) != 1 {
			t.Fatalf("%v: %+v", err, got)
		}
	}
	first := got.Alerts[0]
	if first.State != "firing" || first.Rule != "errors" || first.Severity != "critical" || first.ID == "" {
		t.Errorf("%+v", first)
	}
	if text := one.await(t, 1); text != `{"text":"CRITICAL: errors, chat message: availability 0 % is below 90 %"}` {
		t.Errorf("%s", text)
	}
	if got := one.heads[0].Get("Authorization"); got != "Bearer the-token" {
		t.Errorf("%q", got)
	}
	m.minute(0, 10, 0)
	m.minute(0, 10, 0) // after two minutes they are told again
	if text := one.await(t, 2); !strings.Contains(text, "CRITICAL") {
		t.Errorf("%s", text)
	}
	m.minute(10, 0, 2*time.Second)
	one.awaitText(t, "Ended: errors, chat message")
	one.awaitText(t, `WARNING: slow \u0026lt;now\u0026gt;, chat message: latency p50 2`)
	all.awaitText(t, `"state":"resolved"`)
	if err := json.Unmarshal([]byte(all.await(t, 4)), &got); err != nil || got.Alerts[0].State != "resolved" ||
		got.Alerts[0].ID != first.ID {
		t.Errorf("%v: %+v", err, got)
	}
	if _, err := m.alerts.Silence(Silence{Module: "chat"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	m.minute(0, 10, 0)
	if active := m.alerts.View().Active; len(active) != 1 || !active[0].Silenced || !active[0].Told.IsZero() {
		t.Errorf("%+v", active)
	}
	if err := m.alerts.EndSilence(m.alerts.View().Silences[0].ID); err != nil {
		t.Fatal(err)
	}
	m.minute(0, 10, 0)
	all.await(t, 5)
	results, err := m.alerts.Test(t.Context(), "")
	all.awaitText(t, "this is a test")
	if err != nil || len(results) != 2 || !results[0].OK || !results[1].OK {
		t.Errorf("%v: %+v", err, results)
	}
	if _, err := m.alerts.Test(t.Context(), "nobody"); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
}

// A request that cannot succeed is given up and counted. Errors do not have the address, which may
// be a secret.
func TestAWebhookThatRefuses(t *testing.T) {
	t.Parallel()
	h := newHook(t, 400)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	m := play(t, `
webhooks: [{name: refuses, url: "`+h.url+`"}, {name: away, url: "`+away.URL+`/hidden"}]
rules: [{name: errors, metric: availability, below: 90, window: 1m}]
`, "")
	m.minute(0, 10, 0)
	h.await(t, 1)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		v := m.alerts.View().Webhooks
		if v[0].Lost == 1 && v[0].Failed == 1 && v[1].Failed > 0 {
			if v[1].Waiting != 1 || v[1].Lost != 0 || strings.Contains(v[1].LastError, "hidden") || v[0].Waiting != 0 {
				t.Errorf("%+v", v)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", v)
		}
	}
	s := m.alerts.senders[1]
	for i := range maxWaiting + 10 {
		s.push(Alert{Rule: "r", Since: time.Unix(int64(i), 0)})
	}
	if v := s.view(); v.Waiting != maxWaiting || v.Lost != 11 {
		t.Errorf("%+v", v)
	}
	m.alerts.SetFile(parse(t, "rules: []"))
	if v := m.alerts.Stats(); v.Lost != 1+11+maxWaiting {
		t.Errorf("%+v", v)
	}
	m.expect("no rule", m.minute(0, 10, 0))
}

// Rules, silences, alerts and what a webhook has not taken survive a restart. A damaged file is put
// aside.
func TestAlertsAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alerts.json")
	h := newHook(t)
	url := h.url
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	m := play(t, `webhooks: [{name: ops, url: "`+away.URL+`"}]`, path)
	below := 90.0
	r, err := m.alerts.PutRule(Rule{Name: "errors", Metric: Availability, Below: &below, Window: Seconds(time.Minute)})
	if err != nil || r.Source != FromPage || *r.Clear != 91 || r.Repeat != Seconds(4*time.Hour) {
		t.Fatalf("%v: %+v", err, r)
	}
	if _, err := m.alerts.Silence(Silence{Module: "other", By: "ops"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	m.minute(0, 10, 0)
	if err := m.alerts.save(); err != nil {
		t.Fatal(err)
	}
	m.start(parse(t, `webhooks: [{name: ops, url: "`+url+`"}]`), path)
	if body := h.await(t, 1); !strings.Contains(body, `"firing"`) {
		t.Errorf("%s", body)
	}
	v := m.alerts.View()
	if len(v.Rules) != 1 || len(v.Silences) != 1 || len(v.Active) != 1 || v.Active[0].State != "firing" {
		t.Errorf("%+v", v)
	}
	m.expect("good", m.minute(10, 0, 0))
	if body := h.await(t, 2); !strings.Contains(body, `"resolved"`) {
		t.Errorf("%s", body)
	}
	s, err := m.alerts.Silence(Silence{Rule: "errors"}, time.Hour)
	if err != nil || s.ID == v.Silences[0].ID {
		t.Errorf("%v: %+v", err, s)
	}
	if err := m.alerts.DeleteRule("errors"); err != nil {
		t.Error(err)
	}
	if err := m.alerts.DeleteRule("errors"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(new(File), path)
	if _, err := os.Stat(path + ".damaged"); err != nil || len(m.alerts.View().Silences) != 0 {
		t.Errorf("%v", err)
	}
	m.alerts.cfg.State = filepath.Join(t.TempDir(), "nowhere", "alerts.json")
	if _, err := m.alerts.Silence(Silence{Rule: "x"}, time.Hour); err == nil || m.alerts.Stats().SaveErrors != 1 {
		t.Errorf("%v: %+v", err, m.alerts.Stats())
	}
}

// A rule of the page neither replaces nor hides one of the file.
func TestRulesOfTheFile(t *testing.T) {
	t.Parallel()
	m := play(t, "rules: [{name: a, metric: rate, above: 1}]", "")
	above := 2.0
	if _, err := m.alerts.PutRule(Rule{Name: "a", Metric: Rate, Above: &above}); !errors.Is(err, ErrFromFile) {
		t.Error(err)
	}
	if err := m.alerts.DeleteRule("a"); !errors.Is(err, ErrFromFile) {
		t.Error(err)
	}
	unknown := Rule{Name: "b", Metric: Rate, Above: &above, Webhooks: []string{"x"}}
	if _, err := m.alerts.PutRule(unknown); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	if _, err := m.alerts.PutRule(Rule{Name: "b", Metric: Rate, Above: &above}); err != nil {
		t.Error(err)
	}
	m.alerts.SetFile(parse(t, "rules: [{name: b, metric: rate, above: 5}]"))
	if v := m.alerts.View(); len(v.Rules) != 1 || v.Rules[0].Source != FromFile || *v.Rules[0].Above != 5 {
		t.Errorf("%+v", v.Rules)
	}
}

// Mistakes in a file are refused, and named.
func TestFilesAreChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"rulez: []":                        "line 1: field rulez not found",
		"rules: [{name: a, metric: rate}]": "exactly one of above and below",
		"rules: [{name: a, metric: rate, above: 1, below: 1}]":                          "exactly one of above and below",
		"rules: [{name: a, metric: no_data, above: 1}]":                                 "no_data",
		"rules: [{name: a, metric: speed, above: 1}]":                                   "must be one of availability",
		"rules: [{metric: rate, above: 1}]":                                             "name: must be",
		"rules: [{name: a/b, metric: rate, above: 1}]":                                  "name: must be",
		"rules: [{name: a, metric: availability, below: 101}]":                          "at most 100",
		"rules: [{name: a, metric: rate, above: 1, clear: 2}]":                          "clear: must be better",
		"rules: [{name: a, metric: rate, below: 1, clear: 0.5}]":                        "clear: must be better",
		"rules: [{name: a, metric: rate, above: -1}]":                                   "must be numbers between 0",
		"rules: [{name: a, metric: rate, above: .nan}]":                                 "must be numbers between 0",
		"rules: [{name: a, metric: rate, above: 1, clear: .nan}]":                       "must be numbers between 0",
		"rules: [{name: a, metric: rate, above: 1, clear: -1}]":                         "must be numbers between 0",
		"rules: [{name: a, metric: rate, above: 1, window: 90s}]":                       "whole minutes",
		"rules: [{name: a, metric: rate, above: 1, window: 5}]":                         "time with a unit",
		"rules: [{name: a, metric: rate, above: 1, for: 25h}]":                          "at most 24 hours",
		"rules: [{name: a, metric: rate, above: 1, repeat: 1s}]":                        "at least a minute",
		"rules: [{name: a, metric: rate, above: 1, webhooks: [x]}]":                     `no webhook "x"`,
		"rules: [{name: a, metric: rate, above: 1}, {name: a, metric: rate, above: 1}]": "is there twice",
		"webhooks: [{name: a}]":                                                         "exactly one of url and url_file",
		"webhooks: [{name: a, url: ftp://x}]":                                           "must begin with http",
		"webhooks: [{name: a, url: http://x, kind: pager}]":                             "must be json or slack",
		"webhooks: [{name: a, url_file: /nonexistent/x}]":                               "no such file",
		"webhooks: [{name: a, url: http://x}, {name: a, url: http://x}]":                "is there twice",
	} {
		path := filepath.Join(t.TempDir(), "alerts.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if f := parse(t, ""); len(f.Rules) != 0 {
		t.Errorf("%+v", f)
	}
}

// Run checks and ends, and leaves nothing behind.
func TestRun(t *testing.T) {
	t.Parallel()
	m := play(t, "rules: [{name: a, metric: rate, above: 1}]", filepath.Join(t.TempDir(), "alerts.json"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.alerts.Run(ctx); close(ended) }()
	for m.alerts.View().Checked.IsZero() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
}
