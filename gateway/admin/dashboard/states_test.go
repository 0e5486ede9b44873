package dashboard_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// script runs a script in the window.
func script(text string, args ...any) step {
	return chromedp.Evaluate[chromedp.Void]("(() => {" + fmt.Sprintf(text, args...) + "})(), 0")
}

// answers makes the requests of the page that contain a text be answered by a script, which returns
// JSON, or a promise of a Response.
func answers(part, text string) step {
	return script(`const real = window.fetch; window.fetch = (path, options) => String(path).includes(%q) ?
  (() => { const a = (%s)(String(path)); return a instanceof Promise ? a : Promise.resolve(Response.json(a)); })() :
  real(path, options);`, part, text)
}

// fortnight is the series of 14 days. Some have minutes of the lower bands, and some have a gap.
const fortnight = `(path) => { const step = path.includes("step=300") ? 300 : 3600, now = Math.floor(Date.now() / 1000), points = [];
  const seed = (n) => (Math.sin(n * 12.9898) * 43758.5453) % 1;
  for (let at = now - now % step - 336 * 3600; at < now; at += step) {
    const day = Math.floor(at / 86400), hour = at % 86400 / 3600, count = day % 9 === 4 && hour > 7 && hour < 9 ? 0 :
      Math.round(Math.min(step, now - at) * (90 + 45 * Math.sin((hour - 8) / 24 * 6.283) + 6 * Math.abs(seed(at))));
    const bad = day % 5 === 2 && hour > 13.2 && hour < 13.9 ? .03 : day % 3 === 1 && hour > 18 && hour < 19 ? .013 : Math.abs(seed(at / 7)) < .02 ? .004 : .00002;
    const failed = Math.floor(count * bad), slow = bad > .01 ? 6 : 1;
    points.push({time: new Date(at * 1000).toISOString(), count, success: count - failed, codes: failed ? {500: failed} : {},
      latency: {mean: .0002, p50: .00011 * slow, p90: .0012 * slow, p95: .0024 * slow, p99: .0068 * slow, max: .09}}); }
  return {from: points[0].time, to: new Date(now * 1000).toISOString(), step, points}; }`

// slowOnes are clients that do not read.
const slowOnes = `() => ({clients: [0, 1, 2].map((n) => ({id: "01J8Z" + "ABC"[n] + "QW4N7T2K9D3F5H6J8M0", addr: "198.51.100." + (20 + n) + ":5" + n + "122",
  listener: "ws://0.0.0.0:7272", uid: n === 1 ? "" : "user-" + (1042 + n), worker: "chat", pending: false, slow: true, group_count: 2, queued_messages: 0,
  queued_bytes: 0, unacked_bytes: 0, output_bytes: 912384 >> n, since: "2026-01-01T00:00:00Z", last_heard: new Date(Date.now() - 4e3 * (n + 1)).toISOString()}))})`

// alarms are alerts of each kind.
const alarms = `() => { const ago = (s) => new Date(Date.now() - 1000 * s).toISOString(), rule = (name, more) => ({name, module: "orders", interface: "",
    metric: "availability", above: null, below: 99.9, clear: 99.95, window: 300, for: 120, min_count: 20, severity: "critical", webhooks: ["ops"],
    repeat: 14400, source: "page", ...more});
  return {checked: ago(3), rules: [rule("orders fail", {}), rule("slow charges", {module: "billing", interface: "charge", metric: "p99", below: null, above: .25,
      severity: "warning", webhooks: ["ops", "team"], source: "file"}), rule("chat is quiet", {module: "chat", interface: "message", metric: "no_data", below: null})],
    active: [{rule: "orders fail", module: "orders", interface: "place", state: "firing", severity: "critical", value: 97.2, unit: "%", since: ago(1400),
        silenced: false, text: "availability 97.2 % is below 99.9 %"},
      {rule: "orders fail", module: "orders", interface: "timer", state: "firing", severity: "critical", value: 98.8, unit: "%", since: ago(1300), silenced: true,
        text: "availability 98.8 % is below 99.9 %"},
      {rule: "slow charges", module: "billing", interface: "charge", state: "pending", severity: "warning", value: .31, unit: "s", since: ago(60),
        silenced: false, text: "p99 310 ms is above 250 ms"}],
    recent: [{rule: "slow charges", module: "billing", interface: "charge", state: "resolved", severity: "warning", value: .1, unit: "s", since: ago(9000),
      ended: ago(8100), silenced: false, text: "p99 100 ms is not above 250 ms"}],
    silences: [{id: "s1", rule: "", module: "orders", interface: "timer", until: ago(-3600), by: "ada", comment: "timers are known"}],
    webhooks: [{name: "ops", kind: "json", sent: 12, failed: 0, dropped: 0, waiting: 0, last_error: ""},
      {name: "team", kind: "slack", sent: 3, failed: 2, dropped: 1, waiting: 1, last_error: "status 503"}]}; }`

const (
	escape  = "\u001b"
	settled = `!document.querySelector(".loading") && document.getAnimations().length === 0`
)

// eachState brings a window into each state of the page, and calls look.
func eachState(t *testing.T, f *fixture, ctx context.Context, dark bool, look func(name string)) {
	run(t, ctx, browsertest.Navigate(f.url), chromedp.WaitVisible(chromedp.CSS("#token")))
	if dark {
		run(t, ctx, script(`localStorage.setItem("sluice.theme", "dark")`), browsertest.Reload(),
			chromedp.WaitVisible(chromedp.CSS("#token")))
	}
	look("login")
	run(t, ctx, chromedp.SetValue(chromedp.CSS("#token"), "wrong"), click(".login button"),
		shows("#login-error", "not valid"))
	look("login-error")
	f.logIn(ctx, operateToken)
	trends := func(n int) step {
		return until(`document.querySelectorAll(".modules .spark .line[d^=M]").length > %d`, n)
	}
	open := func(selector string) step { return until(`document.querySelector(%q + ":popover-open")`, selector) }
	press := func(selector string) step { return script(`document.querySelector(%q).click()`, selector) }
	closed := chromedp.Steps(chromedp.KeyEvent(escape), until(`!document.querySelector("dialog, :popover-open")`))
	absent := `() => Promise.resolve(Response.json({detail: "no statistics"}, {status: 501}))`
	states := []struct {
		name  string
		steps step
	}{
		{"overview", chromedp.Steps(trends(8),
			until(`document.querySelector(".tile .spark .line").getAttribute("d")?.length > 40`))},
		{"overview-6h", chromedp.Steps(goTo("#/?from=-6h"), trends(8))},
		{"overview-24h", chromedp.Steps(goTo("#/?from=-24h"), trends(8))},
		{"sorted", chromedp.Steps(goTo("#/?from=-1h"), trends(8),
			script(`document.querySelectorAll(".sort")[3].click()`),
			until(`document.querySelector(".modules th[aria-sort]").textContent.includes("Failed")`))},
		{"menu", chromedp.Steps(click(".me"), open("#menu"))},
		{"range", chromedp.Steps(closed, click(".range > button"), until(`document.activeElement.id === "from"`))},
		{"module", chromedp.Steps(closed, goTo("#/module/orders"), shows("h1", "orders"), shows(".log", "orders"),
			trends(3))},
		{"interface", chromedp.Steps(goTo("#/module/orders/place"), shows("h1", "place"), shows(".log", "place"))},
		{"curve-table", chromedp.Steps(press(".chart .icon-button"),
			until(`document.querySelector(".chart .data tbody tr")`))},
		{"pick", chromedp.Steps(goTo("#/module/orders"), shows("h1", "orders"),
			until(`document.querySelector(".strip .cell.bad")`), press(".strip .cell.bad"), open(".pick"))},
		{"failures", chromedp.Steps(closed, goTo("#/failures"), shows(".log", "orders"))},
		{"failure-open", chromedp.Steps(script(`[...document.querySelectorAll(".log summary")]
  .find((s) => s.textContent.includes("panic")).click()`), shows(".more-of pre", "goroutine"))},
		{"failures-filtered", chromedp.Steps(goTo("#/failures?from=-6h&module=orders&code=500&text=panic"),
			until(`document.querySelector("#text").value === "panic"`), until(`document.querySelector(".log li")`))},
		{"failures-none", chromedp.Steps(goTo("#/failures?text=nothing+has+this+text"),
			shows(".empty", "No failure matches"))},
		{"live", chromedp.Steps(answers("clients?slow", slowOnes), goTo("#/live"), shows("main", "user-1042"),
			shows("main", "lobby"))},
		{"ask", chromedp.Steps(press(".small"), chromedp.WaitVisible(chromedp.CSS(".ask")))},
		{"alerts", chromedp.Steps(click(`.ask [value="no"]`), answers("api/v1/alerts", alarms), goTo("#/alerts"),
			shows("main", "p99 310 ms is above 250 ms"),
			script(`document.dispatchEvent(new Event("visibilitychange"))`), shows(".firing", "1"))},
		{"rule", chromedp.Steps(click("#new-rule"), chromedp.WaitVisible(chromedp.CSS(".sheet")))},
		{"silence", chromedp.Steps(closed, click("#new-silence"), chromedp.WaitVisible(chromedp.CSS(".sheet")))},
		{"no-alerts", chromedp.Steps(closed, goTo("#/"), answers("api/v1/alerts", absent), goTo("#/alerts"),
			shows(".empty", "no alerts"))},
		{"nothing", chromedp.Steps(goTo("#/?from=1000000000&to=1000003600"), shows(".empty", "No calls yet"))},
		{"no-such-module", chromedp.Steps(goTo("#/module/nobody"), shows(".empty", "no calls of this name"))},
		{"fortnight", chromedp.Steps(answers("series?from=-336h", fortnight), goTo("#/?from=-336h"),
			until(`document.querySelectorAll(".strip .row").length > 13`), trends(8))},
		{"loading", chromedp.Steps(answers("/stats?", `() => new Promise(() => {})`), goTo("#/module/chat"),
			until(`document.querySelector(".loading")`))},
		{"failed", chromedp.Steps(answers("/stats?", `() => Promise.resolve(Response.json({detail: "the file cannot be read"},
  {status: 500}))`), goTo("#/module/chat/message"), shows(".empty", "cannot be read"))},
	}
	for _, st := range states {
		run(t, ctx, st.steps)
		if st.name != "loading" {
			run(t, ctx, until(settled))
		}
		look(st.name)
	}
	run(t, ctx, goTo("#/"), answers("api/", `() => Promise.reject(new TypeError("away"))`), goTo("#/live"),
		shows(".banner", "does not answer"))
	look("away")
}

// TestStates saves a picture of each state of the page. It checks that there is one main landmark,
// that the page does not scroll sideways, and that controls are large enough. axe-core must find
// nothing either.
func TestStates(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	axe := browsertest.NewAxe(t)
	windows := []struct {
		name          string
		width, height int
		dark          bool
		colors        bool // axe-core checks only these: another window has the same size
	}{
		{"desktop-light", 1440, 900, false, false},
		{"phone-dark", 390, 844, true, false},
		{"desktop-dark", 1440, 900, true, true},
		{"phone-light", 390, 844, false, true},
	}
	for _, c := range windows[:suite.Of(t, 2, len(windows), "windows")] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := start(t, nil)
			remember(t, f.keeper, time.Now())
			f.chatter(12)
			for i := range 40 {
				f.dial([]string{"lobby", "tea kitchen", "deploys"}[:1+i%3]...)
			}
			ctx := browsertest.Open(t, c.width, c.height)
			eachState(t, f, ctx, c.dark, func(name string) {
				whole(t, ctx, c.width, c.height, c.name+"-"+name)
				checkState(t, ctx, axe, c.name+"-"+name, c.colors)
			})
		})
	}
}

// whole saves a picture of all of the page, also of what the window does not show, if
// DASHBOARD_SHOTS names a folder: pictures take longer than all checks.
func whole(t *testing.T, ctx context.Context, width, height int, name string) {
	t.Helper()
	if os.Getenv("DASHBOARD_SHOTS") == "" {
		return
	}
	full := ask[int](t, ctx, `document.documentElement.scrollHeight`)
	if full > height {
		run(t, ctx, chromedp.EmulateViewport(int64(width), int64(min(full, 3000))), until(settledSize, width))
	}
	shot(t, ctx, name)
	if full > height {
		run(t, ctx, chromedp.EmulateViewport(int64(width), int64(height)), until(settledSize, width))
	}
}

// settledSize is that the curves have the size of their places.
const settledSize = `innerWidth === %d && [...document.querySelectorAll(".plot")].every((p) => !p.firstChild ||
  Math.abs(p.clientWidth - p.firstChild.getBoundingClientRect().width) < 2)`

// checkState checks the page in one of its states.
func checkState(t *testing.T, ctx context.Context, axe *browsertest.Axe, name string, colors bool) {
	t.Helper()
	bad := ask[[]string](t, ctx, `(() => {
  const bad = [];
  const shown = (e) => e.checkVisibility({visibilityProperty: true});
  if (document.querySelectorAll("main").length !== 1) bad.push("not one main landmark");
  for (const e of document.querySelectorAll("h1, h2")) if (shown(e) && !e.textContent) bad.push("an empty heading");
  if (document.documentElement.scrollWidth > innerWidth) bad.push("wider than the window: " + [...document.querySelectorAll("main *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).slice(0, 3).map((e) => e.className).join());
  for (const e of document.querySelectorAll("button, input, select, summary")) {
    const {width, height} = e.getBoundingClientRect();
    if (shown(e) && (height < 24 || width < 24)) bad.push(e.outerHTML.slice(0, 80) + " is " + width + " by " + height);
  }
  return bad;
})()`)
	if len(bad) > 0 {
		t.Errorf("%s: %q", name, bad)
	}
	axe.Check(t, ctx, name, colors)
}

// TestMedia checks the page with forced colors, with large text, at a zoom of 400 %, and without
// JavaScript.
func TestMedia(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, operateToken)
	run(t, ada, shows(".modules", "message"), chromedp.WaitVisible(chromedp.CSS(".strip .cell.fair")))
	forced := func(value string) {
		t.Helper()
		features := []*emulation.MediaFeature{{Name: "forced-colors", Value: value}}
		params := emulation.SetEmulatedMediaParams{Features: features}
		if _, err := chromedp.Call(ada, emulation.SetEmulatedMedia, params); err != nil {
			t.Fatal(err)
		}
	}
	forced("active")
	shot(t, ada, "forced-colors")
	const colour = `getComputedStyle(document.querySelector(".strip .cell.fair")).backgroundColor`
	if got := ask[string](t, ada, colour); got == "rgb(255, 255, 255)" {
		t.Error("with forced colors the strip has none")
	}
	forced("none")
	run(t, ada, script(`document.documentElement.style.fontSize = "200%%"`), until(settledSize, 1280))
	shot(t, ada, "text-200")
	checkState(t, ada, nil, "text of 200 %", false)
	run(t, ada, script(`document.documentElement.style.fontSize = ""`), chromedp.EmulateViewport(320, 256))
	for _, place := range []string{"#/", "#/failures", "#/live", "#/module/chat/message"} {
		run(t, ada, goTo(place), until(settled))
		checkState(t, ada, nil, "zoom of 400 %: "+place, false)
	}
	shot(t, ada, "zoom-400")
	off := emulation.SetScriptExecutionDisabledParams{Value: true}
	if _, err := chromedp.Call(ada, emulation.SetScriptExecutionDisabled, off); err != nil {
		t.Fatal(err)
	}
	run(t, ada, browsertest.Navigate(f.url), chromedp.WaitVisible(chromedp.CSS(".noscript")))
}
