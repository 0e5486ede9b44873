package dashboard_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// recorded makes the alerts those of a script, and records what the page would change. A rule with
// the name "taken" is refused.
func recorded() step {
	return chromedp.Steps(answers("api/v1/alerts", alarms), script(`window.sent = []; const real = window.fetch;
  window.fetch = (path, options) => {
    if (!options?.method || !String(path).includes("api/v1/alerts")) return real(path, options);
    sent.push([options.method, String(path), options.body ?? "", options.headers["X-Sluice-CSRF"] ?? ""].join(" "));
    if (String(path).endsWith("taken")) return Promise.resolve(Response.json({detail: "a rule of the file has this name"}, {status: 409}));
    return Promise.resolve(Response.json({results: [{webhook: "team", ok: false, error: "status 503"}]}));
  };`))
}

// TestAlertForms makes, edits and removes rules, silences alerts, and tests a webhook.
func TestAlertForms(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, operateToken)
	sent := func(want ...string) {
		t.Helper()
		n := ask[int](t, ada, `sent.length`)
		last := ask[string](t, ada, `sent.at(-1) ?? ""`)
		for _, part := range append(want, " 1") {
			if !strings.Contains(last, part) {
				t.Errorf("request %d is %s: no %s", n, last, part)
			}
		}
	}
	save := click(".sheet [type=submit]")
	gone := until(`!document.querySelector("dialog")`)
	run(t, ada, recorded(), goTo("#/alerts"), shows("main", "orders fail"), click("#new-rule"),
		chromedp.WaitVisible(chromedp.CSS(".sheet")), fill("Name", "taken"), fill("Metric", "p99"),
		fill("Threshold, ms", "250"), fill("Module", "billing"), fill("Over", "10"), save,
		shows(".sheet .error", "a rule of the file"), fill("Name", "slow / bills"), save, gone,
		shows("#toast", "slow / bills is saved"))
	sent("PUT api/v1/alerts/rules/slow%20%2F%20bills ", `"metric":"p99"`, `"above":0.25`, `"window":600`, `"for":120`,
		`"module":"billing"`, `"severity":"critical"`, `"webhooks":[]`)
	run(t, ada, click(`[aria-label="Edit orders fail"]`), chromedp.WaitVisible(chromedp.CSS(".sheet")),
		fill("Threshold, %", "99.5"), save, gone, shows("#toast", "orders fail is saved"))
	sent("PUT api/v1/alerts/rules/orders%20fail ", `"below":99.5`, `"webhooks":["ops"]`, `"repeat":14400`)
	if last := ask[string](t, ada, `sent.at(-1)`); strings.Contains(last, `"above"`) || strings.Contains(last, `"clear"`) {
		t.Errorf("the rule has both thresholds, or the old end: %s", last)
	}
	run(t, ada, click(`[aria-label="Remove chat is quiet"]`), chromedp.WaitVisible(chromedp.CSS(".ask")),
		click(`.ask [value="yes"]`), shows("#toast", "chat is quiet is removed"))
	sent("DELETE api/v1/alerts/rules/chat%20is%20quiet ")
	run(t, ada, click(`[aria-label="Silence orders fail / orders / place"]`),
		chromedp.WaitVisible(chromedp.CSS(".sheet")), fill("How long", "4"), fill("Comment", "deploy"), save, gone,
		shows("#toast", "silenced"))
	sent("POST api/v1/alerts/silences ", `"rule":"orders fail"`, `"module":"orders"`, `"interface":"place"`,
		`"seconds":14400`, `"comment":"deploy"`)
	run(t, ada, click(`[aria-label="End s1"]`), shows("#toast", "has ended"))
	sent("DELETE api/v1/alerts/silences/s1 ")
	run(t, ada, click(`[aria-label="Test team"]`), shows("#toast", "team: the test failed: status 503"))
	sent("POST api/v1/alerts/test ", `"webhook":"team"`)
	if ask[int](t, ada, `document.querySelectorAll('[aria-label="Edit slow charges"]').length`) != 0 {
		t.Error("a rule of the file can be edited")
	}
	// Those who may only read see the same, and no buttons.
	viewer := browsertest.Open(t, 1280, 900)
	f.logIn(viewer, readToken)
	run(t, viewer, recorded(), goTo("#/alerts"), shows("main", "orders fail"), shows("main", "may only read"))
	const offered = `document.querySelectorAll("main button:not(.icon-button):not(.range *)").length`
	if n := ask[int](t, viewer, offered); n != 0 {
		t.Errorf("a viewer is offered %d buttons", n)
	}
}
