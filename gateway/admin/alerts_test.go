package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/stats/alert"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// alerting makes an admin listener have alerts, of which one rule is in the file, and a webhook.
func alerting(t *testing.T, k *keep.Keeper) func(*admin.Config) {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hook.Close)
	file := &alert.File{
		Webhooks: []alert.Webhook{{Name: "ops", Kind: "json", URL: hook.URL}},
		Rules:    []alert.Rule{{Name: "of the file", Metric: alert.NoData, Webhooks: []string{}, Source: alert.FromFile}},
	}
	a, err := alert.New(alert.Config{Keeper: k, File: file})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *admin.Config) { c.Alerts = a }
}

func both(a, b func(*admin.Config)) func(*admin.Config) {
	return func(c *admin.Config) { a(c); b(c) }
}

// Changes of alerts are in the log with the operator. A gateway without statistics has no alerts.
func TestAlerts(t *testing.T) {
	t.Parallel()
	k, keeps := keeping(t)
	f := start(t, both(keeps, alerting(t, k)))
	if status, answer := f.request("PUT", "/api/v1/alerts/rules/busy", `{"metric":"rate","above":5}`); status != 200 ||
		!strings.Contains(answer, `"name":"busy"`) || !strings.Contains(answer, `"clear":4.5`) {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := f.request("POST", "/api/v1/alerts/silences", `{"rule":"busy","seconds":60}`); status != 200 {
		t.Error(status)
	}
	if _, answer := f.request("GET", "/api/v1/alerts", ""); !strings.Contains(answer, `"by":"ops"`) {
		t.Error(answer)
	}
	log := f.log.String()
	if !strings.Contains(log, `change="alert rule"`) || !strings.Contains(log, "operator=ops rule=busy") {
		t.Error(log)
	}
	none := start(t, nil)
	for _, path := range []string{"GET /alerts", "PUT /alerts/rules/a", "DELETE /alerts/rules/a", "POST /alerts/silences",
		"DELETE /alerts/silences/s1", "POST /alerts/test"} {
		method, path, _ := strings.Cut(path, " ")
		if status, answer := none.request(method, "/api/v1"+path, "{}"); status != http.StatusNotImplemented {
			t.Errorf("%s %s: %d %s", method, path, status, answer)
		}
	}
}
