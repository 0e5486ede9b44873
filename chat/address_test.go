package chat_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// back and forward go to another entry of the browser's history, as its buttons do.
func back() step    { return chromedp.Evaluate[chromedp.Void](`history.back(), 0`) }
func forward() step { return chromedp.Evaluate[chromedp.Void](`history.forward(), 0`) }

// hasAddress waits until the page has the fragment.
func hasAddress(fragment string) step { return until(`location.hash === %q`, fragment) }

// TestPageAddresses checks that each conversation has an address: for Back and Forward, for a link,
// for a reload, and below any path.
func TestPageAddresses(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	front := proxy(t, s.page(), false)
	ada := browsertest.Open(t, 1280, 800)
	bob := dialText(t, s.text)
	bob.send("/login Bob B", "/join caf\u00e9 / bar")
	bob.expect("users")
	const cafe, with = "#/room/caf%C3%A9%20%2F%20bar", "#/with/Bob%20B"
	run(t, ada, browsertest.Navigate(front+"?a=b"+cafe),
		until(`document.querySelector("#login-room").value === "caf\u00e9 / bar"`),
		chromedp.SetValue(chromedp.CSS("#login-name"), "Ada"), click("#login-button"),
		shows("#title", "# caf\u00e9 / bar"), hasAddress(cafe))
	run(t, ada, chromedp.SetValue(chromedp.CSS("#join-room"), "tea"), click("#join-form button"),
		shows("#title", "# tea"), hasAddress("#/room/tea"))
	run(t, ada, click(`[data-conversation^="room:caf"] button`), hasAddress(cafe), shows("#users", "Bob B"),
		click(`#users [data-name="Bob B"]`), shows("#title", "Bob B"), hasAddress(with))
	// Back and Forward.
	run(t, ada, back(), shows("#title", "caf\u00e9"), hasAddress(cafe), back(), shows("#title", "tea"), back(),
		shows("#title", "caf\u00e9"))
	run(t, ada, forward(), shows("#title", "tea"), forward(), forward(), shows("#title", "Bob B"))
	if n := ask[int](t, ada, `history.length`); n > 5 { // about:blank, the page, and three conversations
		t.Errorf("there are %d entries in the history", n)
	}
	// A reload keeps the rooms and the private conversations.
	run(t, ada, browsertest.Reload(), shows("#title", "Bob B"), shows("#rooms", "tea"), shows("#rooms", "caf\u00e9"),
		hasAddress(with), back(), shows("#title", "caf\u00e9"))
	// A room that was left is not joined again by Back.
	run(t, ada, click(`[data-conversation="room:tea"] button`), shows("#title", "tea"),
		click(`[data-conversation^="room:caf"] button`), shows("#title", "caf\u00e9"),
		leaveRoom(), until(`!document.querySelector("#title").textContent.includes("caf\u00e9")`), back(), back())
	run(t, ada, chromedp.Evaluate[chromedp.Void](`location.hash = "#/room/elsewhere"`),
		shows("#nothing", "You are not in this room"), shows("#title", "elsewhere"))
	shot(t, ada, "not-in-room")
	run(t, ada, click("#nothing-join"), shows("#title", "# elsewhere"), hasAddress("#/room/elsewhere"))
	for _, hash := range []string{"#/room/%", "#/room/", "#/with/ada", "#x"} {
		run(t, ada, chromedp.Evaluate[chromedp.Void](`location.hash = `+quoteJS(hash)), say("still here "+hash),
			shows("#talk", "still here "+hash))
	}
	path := ask[string](t, ada, `location.pathname + location.search`)
	if !strings.HasSuffix(path, "/apps/chat/?a=b") {
		t.Errorf("the path has become %s", path)
	}
}

// TestPageLeavesLater leaves a room just after as many requests as the server allows. The refusal
// is not the end: the page leaves a moment later. A room that is opened meanwhile stays open when
// the answer for another one comes late.
func TestPageLeavesLater(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby")
	bob.expect("users")
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), click(`#users [data-name="Bob"]`), shows("#title", "Bob"))
	session := ask[string](t, ada, `document.querySelector('script[type="module"]').getAttribute("src")`)
	session = strings.Replace(session, "chat.js", "session.js", 1)
	// The answer to the join comes when the user has gone elsewhere.
	module[bool](t, ada, session, `m.join("late"); m.open("room:lobby"); return true`)
	run(t, ada, until(`document.querySelector('[data-conversation="room:late"]')`), shows("#title", "lobby"))
	module[bool](t, ada, session, `for (let i = 0; i < 60; i++) m.request({type: "rooms", ref: m.QUIET}); return true`)
	run(t, ada, leaveRoom(), until(`!document.querySelector('[data-conversation="room:lobby"]')`))
	bob.expect("left")
}

// TestPageDrawers checks that Back, Escape and the shade close the drawers of a phone, that an open
// drawer has the focus, and that the rest of the page cannot be reached meanwhile.
func TestPageDrawers(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 390, 844)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), hasAddress("#/room/lobby"))
	isOpen := func(id string) step {
		return until(`(document.querySelector("#app").classList.contains("show-%[1]s") &&
  document.querySelector("#%[1]s").contains(document.activeElement) && document.querySelector("#conversation").inert)`,
			id)
	}
	isClosed := func(opener string) step {
		return until(`(document.querySelector("#shade").hidden && !document.querySelector("#conversation").inert &&
  !history.state?.drawer && document.activeElement.id === %q)`,
			opener)
	}
	length := ask[int](t, ada, `history.length`)
	run(t, ada, click("#open-sidebar"), isOpen("sidebar"), chromedp.KeyEvent("\u001b"), isClosed("open-sidebar"))
	run(t, ada, click("#open-users"), isOpen("people"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#shade").click(), 0`), isClosed("open-users"))
	run(t, ada, click("#open-users"), isOpen("people"), click("#people .close"), isClosed("open-users"))
	run(t, ada, click("#open-sidebar"), isOpen("sidebar"), chromedp.Evaluate[chromedp.Void](`history.back(), 0`),
		until(`document.querySelector("#shade").hidden`), shows("#title", "lobby"))
	run(t, ada, click("#open-sidebar"), isOpen("sidebar"), click("#rooms button"),
		until(`document.querySelector("#shade").hidden && !history.state?.drawer`), shows("#title", "lobby"),
		hasAddress("#/room/lobby"))
	// A conversation takes the place of the drawer in the history.
	run(t, ada, click("#open-sidebar"), isOpen("sidebar"), chromedp.SetValue(chromedp.CSS("#join-room"), "tea"),
		click("#join-form button"), shows("#title", "tea"), hasAddress("#/room/tea"))
	if now := ask[int](t, ada, `history.length`); now != length+1 {
		t.Errorf("the history has %d entries, %d before", now, length)
	}
	run(t, ada, back(), shows("#title", "lobby"), until(`document.querySelector("#shade").hidden`))
	// No control of a closed drawer is a stop of the Tab key.
	reached := ask[int](t, ada, `[...document.querySelectorAll("#sidebar button, #sidebar input, #people button")]
  .filter((e) => e.checkVisibility({visibilityProperty: true})).length`)
	if reached > 0 {
		t.Errorf("%d controls of closed drawers can be reached", reached)
	}
}
