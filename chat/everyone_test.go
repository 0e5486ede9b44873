package chat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// state is a state of the page, and the steps that lead there from the one before.
type state struct {
	name  string
	steps step
}

// eachState opens the page and calls look in each of its states.
func eachState(t *testing.T, width, height int, dark bool, look func(ctx context.Context, name string)) {
	t.Helper()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, width, height)
	phone := width < 760
	show := func(id string, then step) step { // in a drawer, on a phone
		if !phone {
			return then
		}
		return chromedp.Steps(click("#open-"+id), until(`!document.querySelector("#shade").hidden`), then)
	}
	run(t, ada, browsertest.Navigate(s.page()))
	ask[string](t, ada,
		fmt.Sprintf(`document.documentElement.dataset.theme = %q`, map[bool]string{false: "light", true: "dark"}[dark]))
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby", "/join tea")
	bob.expect("users")
	bob.expect("users")
	for i, name := range strings.Fields("Cleo Dora Emil Fay Gus Hal Ida Jo Kim Lou Max Ned Ola") {
		c := dialText(t, s.text)
		c.send("/login "+name, "/join lobby", fmt.Sprintf("Message %d, with a https://link.example/ and", i),
			"one more.")
		c.expect("message")
	}
	seen := look
	look = func(ctx context.Context, name string) {
		seen(ctx, name)
		time.Sleep(time.Second) // as a person does: the chat takes ten requests at once, and five a second
	}
	states := []state{
		{"login", chromedp.WaitEnabled(chromedp.CSS("#login-button"))},
		{"login-refused",
			chromedp.Steps(chromedp.SetValue(chromedp.CSS("#login-name"), "Bob"), click("#login-button"),
				shows("#login-error", "in use"))},
		{"room", chromedp.Steps(logIn("Ada"), shows("#talk", "Message 12"), shows("#users", "Ola"))},
		{"own", chromedp.Steps(say("What I say"), shows("#talk", "What I say"), paste("half a text"))},
		{"sidebar", show("sidebar", until(`document.activeElement.closest("#sidebar") || innerWidth > 760`))},
		{"join-refused",
			chromedp.Steps(chromedp.SetValue(chromedp.CSS("#join-room"), "!?"), click("#join-form button"),
				shows("#join-error", "visible"))},
		{"people",
			chromedp.Steps(chromedp.KeyEvent("\u001b"), until(`document.querySelector("#shade").hidden &&
  !history.state?.drawer`), show("users", shows("#users", "Ola")))},
		{"private", chromedp.Steps(click(`#users [data-name="Bob"]`), shows("#title", "Bob"))},
		{"failed", chromedp.Steps(paste("red\u001b[31m"), enterKey(), shows("#outbox .failed", "control characters"))},
		{"too-long", chromedp.Steps(paste(strings.Repeat("x ", 1002)), shows("#say-count", "too many"))},
		{"not-in-room",
			chromedp.Steps(emptyBox(), chromedp.Evaluate[chromedp.Void](`location.hash = "#/room/elsewhere"`),
				shows("#nothing", "not in this room"))},
		{"tea", chromedp.Steps(click("#nothing-join"), shows("#title", "elsewhere"))},
	}
	for _, st := range states {
		run(t, ada, st.steps)
		look(ada, st.name)
	}
	bob.send("/say lobby unread in the lobby, @Ada")
	run(t, ada, until(`document.title.startsWith("(")`))
	look(ada, "unread")
	open := chromedp.Evaluate[chromedp.Void](`document.querySelector('[data-conversation="room:lobby"] button').click(),
  0`)
	run(t, ada, open, shows("#talk .new", "1 new message"))
	look(ada, "new")
	rich := chromedp.Steps(say("`code`, https://a.example/ and :tada:"), paste("```\nfunc main() {}\n```\n> quoted"),
		enterKey(),
		shows("#talk blockquote", "quoted"))
	run(t, ada, rich, act("code", "react"), click("#emoji button"), shows("#talk .reaction", "1"),
		act("unread", "reply"),
		shows("#context-what", "Bob"))
	look(ada, "replying")
	run(t, ada, click("#context-stop"), click("#more"), until(`document.querySelector("#more-menu:popover-open")`))
	look(ada, "more-menu")
	run(t, ada, chromedp.KeyEvent("\u001b"), click("#open-search"), chromedp.SendKeys(chromedp.CSS("#search-text"),
		"one more"),
		shows("#search-count", "of"))
	look(ada, "searching")
	dialog := func(id, opener string) {
		run(t, ada, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).click(), 0`, opener)),
			until(`document.querySelector("#%s").open`, id))
		look(ada, "dialog-"+id)
		run(t, ada, chromedp.KeyEvent("\u001b"), until(`!document.querySelector("#%s").open`, id))
	}
	run(t, ada, chromedp.KeyEvent("\u001b"))
	dialog("browse", ".open-browse")
	dialog("help", "#open-help")
	dialog("password", "#set-password")
	run(t, ada, show("sidebar", click("#me-button")), until(`document.querySelector("#me-menu:popover-open")`))
	look(ada, "me-menu")
	run(t, ada, chromedp.KeyEvent("\u001b"), until(`!document.querySelector("#me-menu:popover-open")`),
		chromedp.KeyEvent("\u001b"),
		until(`document.querySelector("#shade").hidden`))
	s.stop()
	run(t, ada, shows("#pill", "reconnecting"), paste("written while away"), enterKey(), shows("#outbox", "Waiting"))
	look(ada, "offline")
}

// TestPageStates saves a picture of each state of the page. It checks that there is one visible
// main landmark, that headings are not empty, that the page does not scroll sideways, and that
// controls are large enough. axe-core must find nothing either.
func TestPageStates(t *testing.T) {
	t.Parallel()
	axe := browsertest.NewAxe(t)
	windows := []struct {
		name          string
		width, height int
		dark          bool
		colors        bool // axe-core checks only these: another window has the same size
	}{
		{"desktop-light", 1280, 800, false, false},
		{"phone-dark", 390, 844, true, false},
		{"desktop-dark", 1280, 800, true, true},
		{"phone-light", 390, 844, false, true},
	}
	for _, c := range windows[:suite.Of(t, 2, len(windows), "windows")] {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			eachState(t, c.width, c.height, c.dark, func(ctx context.Context, name string) {
				checkState(t, ctx, axe, c.name+"-"+name, c.colors)
			})
		})
	}
}

// checkState checks the page in one of its states.
func checkState(t *testing.T, ctx context.Context, axe *browsertest.Axe, name string, colors bool) {
	t.Helper()
	shot(t, ctx, name)
	bad := ask[[]string](t, ctx, `(() => {
  const bad = [];
  const shown = (e) => e.checkVisibility({visibilityProperty: true}) && !e.closest("[inert]");
  if (!document.querySelector("[inert]") &&
  [...document.querySelectorAll("main")].filter(shown).length !== 1) bad.push("not one main landmark");
  for (const e of document.querySelectorAll("h1, h2")) if (shown(e) && !e.textContent) bad.push("an empty heading");
  if (document.documentElement.scrollWidth > innerWidth) bad.push("wider than the window");
  for (const e of document.querySelectorAll("button, input, textarea")) {
    const {width, height} = e.getBoundingClientRect();
    if (shown(e) && !e.matches(".skip") && (height < 24 || width < 24)) bad.push(e.id + " is " + width +
  " by " + height);
  }
  for (const list of document.querySelectorAll("#rooms, #privates, #users")) {
    const stops = [...list.querySelectorAll("button:enabled")].filter((b) => b.tabIndex === 0).length;
    if (stops !== (list.querySelector("button:enabled") ? 1 : 0)) bad.push(list.id + " has " + stops +
  " stops of the Tab key");
  }
  return bad;
})()`)
	if len(bad) > 0 {
		t.Errorf("%s: %q", name, bad)
	}
	axe.Check(t, ctx, name, colors)
}

// TestPageMedia checks the page with forced colors, at a zoom of 400 %, printed, and without
// JavaScript.
func TestPageMedia(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), say("one"), say("two"), shows("#talk", "two"),
		chromedp.SetValue(chromedp.CSS("#join-room"), "tea"), click("#join-form button"), shows("#title", "tea"),
		click(`[data-conversation="room:lobby"] button`), shows("#title", "lobby"))
	media := func(m string, features ...*emulation.MediaFeature) {
		t.Helper()
		params := emulation.SetEmulatedMediaParams{Media: m, Features: features}
		if _, err := chromedp.Call(ada, emulation.SetEmulatedMedia, params); err != nil {
			t.Fatal(err)
		}
	}
	forced := func(value string) *emulation.MediaFeature {
		return &emulation.MediaFeature{Name: "forced-colors", Value: value}
	}
	media("", forced("active"))
	shot(t, ada, "forced-colors")
	if border := ask[string](t, ada, `["lobby", "tea"].map((r) =>
  getComputedStyle(document.querySelector('[data-conversation="room:' + r +
  '"] button')).borderTopWidth).join()`); border != "2px,0px" {
		t.Errorf("with forced colors the current room has a border of %s", border)
	}
	media("", forced("none"))
	run(t, ada, chromedp.EmulateViewport(320, 256))
	shot(t, ada, "zoom-400")
	if height := ask[float64](t, ada, `document.querySelector("#messages").clientHeight`); height < 100 {
		t.Errorf("at a zoom of 400 %% the messages have %v of 256 pixels", height)
	}
	run(t, ada, chromedp.EmulateViewport(700, 300))
	media("print")
	shot(t, ada, "print")
	printed := ask[string](t, ada, `["sidebar", "people", "say-form", "leave", "title", "talk"].filter((id) =>
  document.getElementById(id).checkVisibility({visibilityProperty: true})).join()`)
	if printed != "title,talk" {
		t.Errorf("printed are %s", printed)
	}
	if cut := ask[bool](t, ada, `(() => { const m = document.querySelector("#messages");
  return getComputedStyle(m).overflowY !== "visible" || m.scrollHeight > m.clientHeight; })()`); cut {
		t.Error("only a part of the messages is printed")
	}
	media("")
	off := emulation.SetScriptExecutionDisabledParams{Value: true}
	if _, err := chromedp.Call(ada, emulation.SetScriptExecutionDisabled, off); err != nil {
		t.Fatal(err)
	}
	run(t, ada, browsertest.Navigate(s.page()), chromedp.WaitVisible(chromedp.CSS(".noscript")))
}

// TestPageKeyboard uses the page without a mouse, and checks what is announced to screen readers.
func TestPageKeyboard(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby", "an older message")
	grace.expect("message")
	hal := dialText(t, s.text)
	hal.send("/login Hal", "/join lobby")
	hal.expect("users")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#users", "Hal"),
		until(`document.activeElement.id === "say-text"`))
	focused := func(name string) step { return until(`document.activeElement.title === %q`, name) }
	press := func(key string) step {
		return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
			`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: %q, bubbles: true,
  cancelable: true})), 0`,
			key))
	}
	// F6 goes from pane to pane, and the arrows go through a list.
	run(t, ada, press("F6"), focused("Grace"), press("ArrowDown"), focused("Hal"), press("ArrowDown"),
		focused("Hal"), press("Home"), focused("Grace"), press("End"), focused("Hal"))
	if stops := ask[int](t, ada, `[...document.querySelectorAll("#users button")].filter((b) =>
  b.tabIndex === 0).length`); stops != 1 {
		t.Errorf("the list of people has %d stops of the Tab key", stops)
	}
	// A dialog opens with the focus where one writes.
	for opener, field := range map[string]string{".open-browse": "browse-text", "#set-password": "password-old"} {
		run(t, ada, chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).click(), 0`, opener)),
			until(`document.activeElement.id === %q`, field), chromedp.KeyEvent("\u001b"),
			until(`!document.querySelector("dialog[open]")`))
	}
	run(t, ada, chromedp.Evaluate[chromedp.Void](`document.querySelector("#users button:enabled").focus(), 0`),
		press("End"), focused("Hal"))
	run(t, ada, press("F6"), focused("# lobby"), press("F6"), until(`document.activeElement.id === "messages"`),
		press("F6"), until(`document.activeElement.id === "say-text"`))
	// New messages are announced, and neither older nor own ones, nor who joins.
	ida := dialText(t, s.text)
	ida.send("/login Ida", "/join lobby")
	ida.expect("users")
	run(t, ada, say("my own"), shows("#talk", "my own"))
	hal.send("/say lobby a new message")
	run(t, ada, shows("#spoken", "a new message"))
	if spoken := ask[string](t, ada, `document.querySelector("#spoken").textContent`); spoken != "Hal: a new message" {
		t.Errorf("announced was %q", spoken)
	}
	// The state of the network is shown before the connection ends, and announced once.
	ask[bool](t, ada,
		`Object.defineProperty(navigator, "onLine", {configurable: true, get: () => false}),
  dispatchEvent(new Event("offline")), true`)
	run(t, ada, shows("#pill", "offline"), shows("#connection", "is lost"))
	ask[bool](t, ada,
		`Object.defineProperty(navigator, "onLine", {configurable: true, get: () => true}),
  dispatchEvent(new Event("online")), true`)
	run(t, ada, shows("#pill", "connected"), shows("#connection", "Connected again"))
}
