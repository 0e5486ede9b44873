package dashboard_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/stats/alert"
)

// alarmed makes the admin listener check alerts of a file with a rule and two webhooks. One of them
// refuses everything.
func alarmed(t *testing.T) func(*admin.Config) {
	takes := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(takes.Close)
	refuses := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refuses.Close)
	path := filepath.Join(t.TempDir(), "alerts.yaml")
	text := "webhooks: [{name: ops, url: " + takes.URL + "}, {name: team, kind: slack, url: " + refuses.URL + "}]\n" +
		"rules: [{name: of the file, module: chat, metric: max, above: 3600}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := alert.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *admin.Config) {
		a, err := alert.New(alert.Config{Keeper: cfg.Stats, File: file, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var all sync.WaitGroup
		all.Go(func() { a.Run(ctx) })
		t.Cleanup(func() {
			cancel()
			all.Wait()
		})
		cfg.Alerts = a
	}
}

// fill fills a control of a form, which it finds by its label.
func fill(name, value string) step {
	return script(`const e = [...document.querySelectorAll(".sheet label")].find((l) => l.textContent.startsWith(%q)).lastChild;
  e.value = %q; e.dispatchEvent(new Event("change", {bubbles: true}));`, name, value)
}

// TestAlertsOfTheServer makes, changes and removes a rule, and silences and tests, with the alerts
// of a gateway in place of answers of a script.
func TestAlertsOfTheServer(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, alarmed(t))
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, operateToken)
	save, sheet := click(".sheet [type=submit]"), chromedp.WaitVisible(chromedp.CSS(".sheet"))
	gone := until(`!document.querySelector("dialog")`)
	quiet := until(`!document.querySelector('[aria-label^="Silence "]')`)
	// rule waits until the row of the rule has the text.
	rule := func(name, has string) step {
		return until(`[...document.querySelectorAll("main tr")].some((r) =>
  r.firstElementChild.innerText.trim() === %q && r.innerText.replace(/\s+/g, " ").includes(%q))`, name, has)
	}
	run(t, ada, goTo("#/alerts"), rule("of the file", "Longest call above 1 h over 5 min"),
		rule("of the file", "all file in the file"), quiet)
	// A rule. What the gateway refuses stays in the form.
	run(t, ada, click("#new-rule"), sheet, fill("Name", "a / b"), save, shows(".sheet .error", "without /"),
		fill("Name", "of the file"), save, shows(".sheet .error", "the rule is in the file"),
		fill("Name", "chat fails"), fill("Module", "chat"), fill("Over", "60"), fill("For", "0"),
		fill("Calls at least", "1"), click(`.sheet [value="ops"]`), save, gone,
		rule("chat fails", "below 99.9 % over 1 h critical ops page"))
	run(t, ada, shows("main", "availability 99 % is below 99.9 %"), shows("nav", "1"))
	shot(t, ada, "real-alerts")
	// A lower threshold takes its own end with it, so that the alert is over.
	run(t, ada, click(`[aria-label="Edit chat fails"]`), sheet)
	shot(t, ada, "real-rule")
	run(t, ada, fill("Threshold, %", "50"), save, gone, rule("chat fails", "below 50 %"), quiet)
	run(t, ada, click(`[aria-label="Edit chat fails"]`), sheet, fill("Metric", "p99"), fill("Threshold, ms", "0.1"),
		save, gone, rule("chat fails", "Latency p99 above 100 µs"))
	const active = `Silence chat fails / chat / message`
	run(t, ada, shows("main", "chat / connect"),
		chromedp.WaitVisible(chromedp.CSS(`[aria-label="`+active+`"]`)), click(`[aria-label="`+active+`"]`), sheet,
		fill("Comment", "<b>deploy</b>"), save, gone, shows("main", "<b>deploy</b>"), shows("main", "silenced"),
		click(`[aria-label="End s1"]`), until(`!document.querySelector('[aria-label^="End s"]')`))
	run(t, ada, click(`[aria-label="Test ops"]`), shows("#toast", "ops: the test has arrived"),
		click(`[aria-label="Test team"]`), shows("#toast", "team: the test failed: status 404"))
	viewer := browsertest.Open(t, 1280, 900)
	f.logIn(viewer, readToken)
	run(t, viewer, goTo("#/alerts"), rule("chat fails", "Latency p99"), shows("main", "may only read"))
	if ask[int](t, viewer, `document.querySelectorAll("main [data-id], #new-rule, #new-silence").length`) != 0 {
		t.Error("a viewer is offered changes")
	}
	run(t, ada, click(`[aria-label="Remove chat fails"]`), chromedp.WaitVisible(chromedp.CSS(".ask")),
		click(`.ask [value="yes"]`), shows("#toast", "chat fails is removed"), quiet)
}
