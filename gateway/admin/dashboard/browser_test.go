package dashboard_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

// known gives the keeper calls whose figures the tests know: three minutes ago 1,000 of chat, of
// which 7 and 3 failed, and two hours ago 500 more.
func (f *fixture) known(now time.Time) {
	f.t.Helper()
	s := newSender(f.t, f.keeper)
	rows := []stats.Row{
		rowOf("chat", "message", 1000, map[uint32]uint64{500: 7, 4290: 3}, 2*time.Millisecond, 0.5),
		rowOf("chat", "connect", 40, nil, time.Millisecond, 0.5),
	}
	var failures []stats.Failure
	for i := range 10 {
		code, text := uint32(500), "no such room"
		if i >= 7 {
			code, text = 4290, "stock has changed"
		}
		failures = append(failures, stats.Failure{Time: now.Add(-3*time.Minute + time.Duration(i)*time.Millisecond),
			Module: "chat", Interface: "message", Code: code, Text: text, Addr: fmt.Sprintf("192.0.2.%d:4000", i)})
	}
	s.send(now.Add(-3*time.Minute), "worker-1", rows, failures)
	older := []stats.Row{rowOf("chat", "message", 500, nil, time.Millisecond, 0.5)}
	s.send(now.Add(-2*time.Hour), "worker-1", older, nil)
	s.done()
}

// row returns the texts of the cells of the table's row that a link leads to.
func row(iface string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".modules tr")].find((r) =>
  r.querySelector("a")?.hash.includes(%q))?.innerText.replace(/\s+/g, " ").trim()`, iface)
}

// TestDashboard logs in, and finds the figures of a keeper exactly, also those of another time.
func TestDashboard(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	f.known(time.Now())
	f.dial("lobby")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(f.url), chromedp.WaitVisible(chromedp.CSS("#token")),
		chromedp.SetValue(chromedp.CSS("#token"), "wrong"), click(".login button"), shows("#login-error", "not valid"))
	f.logIn(ada, operateToken)
	run(t, ada, shows(".tile:nth-child(1)", "1"), shows(".gateway", "edge-1"), shows(".gateway", "Ready"),
		shows(".tile:nth-child(4)", "2"), shows(".tile:nth-child(4)", "4 links"),
		shows(".tile:nth-child(5)", "99.03 %"), shows(".tile:nth-child(5)", "10 failures of 1,040 calls"),
		until(`(%s ?? "").includes("1,000")`, row("/message")))
	if got := ask[string](t, ada, row("/message")); !strings.HasPrefix(got, "message 1,000 99.00 % 10 1.97 ms ") {
		t.Errorf("the row is %q", got)
	}
	run(t, ada, click(`[data-preset="-6h"]`), until(`(%s ?? "").includes("1,500 ")`, row("/message")),
		until(`location.hash.includes("from=-6h")`))
	run(t, ada, chromedp.Evaluate[chromedp.Void](`document.querySelector('.modules a[href*="/message"]').click(), 0`),
		shows("h1", "message"), shows(".tile:nth-child(1)", "1,500"), shows(".bars", "500"), shows(".bars", "70.00 %"),
		until(`document.querySelectorAll(".log li").length === 8`), shows(".log", "stock has changed"))
	run(t, ada, chromedp.Evaluate[chromedp.Void](`history.back(), 0`), shows("h1", "Overview"),
		until(`document.querySelector('[data-preset="-6h"]').getAttribute("aria-current") === "true"`))
}

// TestDrillDown goes from a peak of a curve to its failures, with the mouse and with the keyboard.
func TestDrillDown(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, operateToken)
	run(t, ada, chromedp.WaitVisible(chromedp.CSS(".u-over")), shows(".modules", "message"))
	type point struct{ X, Y float64 }
	at := ask[point](t, ada, `(() => { const r = document.querySelector(".u-over").getBoundingClientRect();
  return {X: r.right - 3, Y: r.y + r.height / 2}; })()`)
	for clicks := 0; ; clicks++ { // from the end to the left, until the peak is hit
		run(t, ada, chromedp.MouseClickXY(at.X, at.Y), until(`document.querySelector(".pick:popover-open")`))
		said := ask[string](t, ada, `document.querySelector(".pick").innerText`)
		if strings.Contains(said, "0.167") {
			break
		}
		if clicks == 12 {
			t.Fatalf("no peak until %v: %s", at, said)
		}
		at.X -= 6
		run(t, ada, chromedp.KeyEvent("\u001b"), until(`!document.querySelector(".pick:popover-open")`))
	}
	shot(t, ada, "drill-down")
	run(t, ada, click(".pick a"), shows("h1", "Failures"), until(`document.querySelectorAll(".log li").length === 10`))
	span := ask[float64](t, ada, `(() => { const q = new URLSearchParams(location.hash.split("?")[1]);
  return q.get("to") - q.get("from"); })()`)
	if span != 60 {
		t.Errorf("the failures are those of %v s", span)
	}
	// The strip with the keyboard: the cell before the last one, or the last one.
	run(t, ada, goTo("#/"), chromedp.WaitVisible(chromedp.CSS(".strip .cell")),
		chromedp.Evaluate[chromedp.Void](`document.querySelector(".strip").focus(), 0`))
	text := func() string {
		return ask[string](t, ada, `document.querySelector(".strip").getAttribute("aria-valuetext")`)
	}
	for range 3 {
		if strings.Contains(text(), "99.03 %, fair, 1,040 calls") {
			break
		}
		run(t, ada, chromedp.KeyEvent(kb.ArrowLeft))
	}
	if !strings.Contains(text(), "99.03 %, fair, 1,040 calls") {
		t.Errorf("the strip says %q", text())
	}
	if marked := ask[int](t, ada, `document.querySelectorAll(".strip .cell.at").length`); marked != 1 {
		t.Errorf("%d cells are marked", marked)
	}
	run(t, ada, chromedp.KeyEvent("\r"), until(`document.querySelector(".pick:popover-open")`),
		until(`document.activeElement.textContent === "Failures of this time"`), chromedp.KeyEvent("\r"),
		shows("h1", "Failures"), until(`document.querySelectorAll(".log li").length === 10`))
}

// TestCurveKeys goes through a curve with the keyboard. The place stays when new figures come.
func TestCurveKeys(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, operateToken)
	run(t, ada, chromedp.WaitVisible(chromedp.CSS(".u-over")), shows(".modules", "message"),
		script(`document.querySelector(".plot").focus()`))
	said := func() string { return ask[string](t, ada, `document.activeElement.getAttribute("aria-valuetext")`) }
	for steps := 0; !strings.Contains(said(), "0.167"); steps++ {
		if steps == 8 {
			t.Fatalf("no peak: %q", said())
		}
		run(t, ada, chromedp.KeyEvent(kb.ArrowLeft))
	}
	peak := said()
	f.known(time.Now().Add(-10 * time.Minute)) // further figures
	run(t, ada, shows(".tile:nth-child(5)", "20 failures"))
	if said() != peak {
		t.Errorf("it said %q, and says %q", peak, said())
	}
	run(t, ada, chromedp.KeyEvent("\r"), shows(".pick:popover-open", "0.167"), chromedp.KeyEvent(kb.Tab),
		chromedp.KeyEvent("\r"), until(`document.querySelector(".range > button").classList.contains("current")`),
		shows("h1", "Overview"), shows(".zone", "fixed time"))
}

// TestFailureLog searches, opens a failure and reproduces what is shown from the address alone.
func TestFailureLog(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 900)
	f.logIn(ada, readToken)
	rows := func(n int) step { return until(`document.querySelectorAll(".log li").length === %d`, n) }
	run(t, ada, goTo("#/failures"), rows(10), chromedp.SendKeys(chromedp.CSS("#text"), "ROOM"), rows(7),
		chromedp.SendKeys(chromedp.CSS("#addr"), "192.0.2.3"), rows(1),
		until(`location.hash.includes("text=ROOM") && location.hash.includes("addr=192.0.2.3")`))
	if focused := ask[string](t, ada, `document.activeElement.id`); focused != "addr" {
		t.Errorf("while one types, the focus goes to %q", focused)
	}
	run(t, ada, click(".log summary"), shows(".more-of", "worker-1"), click(".links a"), rows(1))
	address := ask[string](t, ada, `location.hash`)
	bob := browsertest.Open(t, 1280, 900)
	f.logIn(bob, readToken)
	run(t, bob, goTo(address), rows(1), until(`document.querySelector("#text").value === "ROOM"`),
		until(`document.querySelector("#code").value === "500"`), click(".clear"), rows(10),
		chromedp.SetValue(chromedp.CSS("#code"), "4"), chromedp.SendKeys(chromedp.CSS("#code"), "290"), rows(3),
		chromedp.Evaluate[chromedp.Void](`history.back(), 0`), rows(10))
	run(t, bob, goTo("#/failures?code=x"), shows(".failures", "must be between 0"))
}

// TestRoles: what changes the gateway is for operators, asks first, and is in the log.
func TestRoles(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	viewer := browsertest.Open(t, 1280, 800)
	f.logIn(viewer, readToken)
	run(t, viewer, goTo("#/live"), shows("main", "may only read"))
	if ask[int](t, viewer, `document.querySelectorAll(".operate, .danger").length`) != 0 {
		t.Error("a viewer is offered what it may not do")
	}
	ada := browsertest.Open(t, 1280, 800)
	f.logIn(ada, operateToken)
	run(t, ada, goTo("#/live"), chromedp.WaitVisible(chromedp.CSS("#log-level")),
		until(`document.querySelector("#log-level").value === "info"`),
		chromedp.SetValue(chromedp.CSS("#log-level"), "debug"), click(".operate .button"), shows("#toast", "debug"))
	run(t, ada, click(".danger"), chromedp.WaitVisible(chromedp.CSS(".ask")), click(`.ask [value="no"]`),
		until(`!document.querySelector(".ask")`))
	if f.drained.Load() {
		t.Error("the gateway drains, although the operator has not confirmed it")
	}
	run(t, ada, click(".danger"), chromedp.WaitVisible(chromedp.CSS(".ask")), click(`.ask [value="yes"]`),
		shows("#toast", "begun"))
	f.wait("the drain", f.drained.Load)
	f.wait("the log", func() bool { return strings.Contains(f.log.String(), "change=drain") })
	if !strings.Contains(f.log.String(), "operator=ada") {
		t.Error("the log does not say who has done it")
	}
}

// TestSessionEnds: a page whose token is removed goes to the login, and says why.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	ada, bob := browsertest.Open(t, 1280, 800), browsertest.Open(t, 390, 844)
	f.logIn(ada, operateToken)
	f.logIn(bob, readToken)
	run(t, bob, click(".me"), chromedp.WaitVisible(chromedp.CSS("#log-out")), click("#log-out"),
		chromedp.WaitVisible(chromedp.CSS("#token")))
	f.writeTokens("viewer " + readToken + " read\n")
	run(t, ada, shows("#login-error", "has ended"))
	f.logIn(ada, readToken)
}

// TestAway: while the gateway does not answer the page says so, keeps what it shows, and goes on by
// itself. Without a token file there is no login.
func TestAway(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, func(c *admin.Config) { c.TokenFile = "" })
	f.known(time.Now())
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(f.url), shows(".modules", "message"))
	if ask[bool](t, ada, `Boolean(document.querySelector("#log-out"))`) {
		t.Error("without a login there is a log out")
	}
	f.stop()
	run(t, ada, shows(".banner", "does not answer"), shows(".pill", "Away"), shows(".modules", "message"))
	shot(t, ada, "away")
	f.serve()
	run(t, ada, until(`document.querySelector(".banner").hidden`), shows(".pill", "Ready"))
}

// TestNoStatistics: a gateway without a keeper shows what it can, and says how to get the rest.
func TestNoStatistics(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, func(c *admin.Config) { c.TokenFile, c.Stats, c.StatsTo = "", nil, "https://stats.example:9090" })
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(f.url), shows(".empty", "keeps no statistics"), shows(".empty", "stats.example"),
		shows(".tile:nth-child(4)", "2"))
	for _, place := range []string{"#/failures", "#/module/chat", "#/module/chat/message"} {
		run(t, ada, goTo(place), shows(".empty", "keeps no statistics"))
	}
}

// TestNothingIsMarkup puts names, addresses and texts that are markup, scripts and tricks of
// direction on each page.
func TestNothingIsMarkup(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	corpus := []string{
		`<img src=x onerror="document.title='owned'">`, `<script>document.title='owned'</script>`,
		`"><svg onload=document.title='owned'>`, `javascript:document.title='owned'`,
		`{{constructor.constructor('1')()}}`, `'-alert(1)-'`, `../../api/v1/drain`, `__proto__`, `constructor`,
		`?from=-1h#/live`, `%3Cb%3E%00`, "\u202egnp.exe", `a/b\c`,
	}
	s := newSender(t, f.keeper)
	var rows []stats.Row
	var failures []stats.Failure
	for _, evil := range corpus {
		rows = append(rows, rowOf(evil, evil, 10, map[uint32]uint64{7: 1}, time.Millisecond, 0.5))
		failures = append(failures, stats.Failure{Time: time.Now(), Module: evil, Interface: evil, Code: 7, Addr: evil,
			Text: evil})
	}
	s.send(time.Now().Add(-time.Minute), `<b>node</b>`, rows, failures)
	s.done()
	f.dial(`<img src=x onerror="document.title='owned'">`)
	ada := browsertest.Open(t, 1280, 800)
	f.logIn(ada, operateToken)
	foreign := func(where string) {
		t.Helper()
		bad := ask[[]string](t, ada, `[...document.querySelectorAll("main *")].filter((e) =>
  e.matches("script, img, iframe, object, [onerror], [onload], b b, a[href]:not([href^='#'])")).map((e) => e.outerHTML)`)
		if title := ask[string](t, ada, `document.title`); len(bad) > 0 || strings.Contains(title, "owned") {
			t.Errorf("%s: %q, title %q", where, bad, title)
		}
	}
	run(t, ada, until(`document.querySelectorAll(".modules tr.group").length === %d`, len(corpus)))
	foreign("overview")
	const found = `[...document.querySelectorAll(".modules tr:not(.group) th a")]`
	links, names := ask[[]string](t, ada, found+`.map((a) => a.hash)`), ask[[]string](t, ada,
		found+`.map((a) => a.lastChild.textContent)`)
	if len(links) < len(corpus) {
		t.Fatalf("%d links", len(links))
	}
	for i, link := range links {
		run(t, ada, goTo(link), until(`document.querySelector("h1 .here").textContent === %q`, names[i]),
			shows(".tile:nth-child(1)", "10"), until(`document.querySelectorAll(".log li").length === 1`), goTo("#/"),
			until(`document.querySelectorAll(".modules tr.group").length === %d`, len(corpus)))
		foreign(link)
	}
	run(t, ada, goTo("#/failures"), until(`document.querySelectorAll(".log li").length === %d`, len(corpus)),
		chromedp.Evaluate[chromedp.Void](`document.querySelectorAll(".log details").forEach((d) => { d.open = true; }), 0`),
		until(`document.querySelectorAll(".more-of").length === %d`, len(corpus)))
	foreign("failures")
	shot(t, ada, "markup")
	run(t, ada, goTo("#/live"), shows("main", "onerror"))
	foreign("live")
	if f.drained.Load() {
		t.Error("a name has drained the gateway")
	}
}

// TestForeignPage: a page of another port of this host cannot use the operator's session, nor show
// the dashboard in a frame.
func TestForeignPage(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	ada := browsertest.Open(t, 1280, 800)
	f.logIn(ada, operateToken)
	evil := start(t, func(c *admin.Config) { c.TokenFile = "" }) // of the same host, so the cookie is sent
	run(t, ada, browsertest.Navigate(evil.url), chromedp.WaitVisible(chromedp.CSS(".app")))
	f.tryFrom(ada, fmt.Sprintf(`fetch(%q, {method: "POST", mode: "no-cors", credentials: "include",
  headers: {"Content-Type": "text/plain"}})`, f.url+"api/v1/drain"))
	f.tryFrom(ada, fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {"X-Sluice-CSRF": "1"}})`,
		f.url+"api/v1/drain"))
	if f.drained.Load() {
		t.Fatal("a page of another origin has drained the gateway")
	}
	for _, path := range []string{"", "session"} {
		response := f.request(http.MethodGet, path, "", "")
		_, _ = io.Copy(io.Discard, response.Body)
		if path == "" && !strings.Contains(response.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Error("the page can be framed")
		}
		if response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%q allows other origins", path)
		}
	}
}

// tryFrom runs a request in a window, and waits until it has ended in whichever way.
func (f *fixture) tryFrom(ctx context.Context, request string) {
	f.t.Helper()
	run(f.t, ctx, chromedp.Evaluate[chromedp.Void](`window.tried = "", Promise.resolve(`+request+
		`).then((a) => { window.tried = "answer"; }, (e) => { window.tried = "refused"; }), 0`), until(`window.tried !== ""`))
}
