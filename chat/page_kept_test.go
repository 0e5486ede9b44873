package chat_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// act presses a button of the toolbar of the message that contains a text.
func act(text, action string) step {
	return chromedp.Steps(
		until(`(() => {
  const li = [...document.querySelectorAll("#talk .message")].find((li) => li.querySelector(".text").textContent.includes(%q));
  li?.focus();
  return li !== undefined;
})()`, text),
		click(fmt.Sprintf(`#actions [data-action=%q]`, action)))
}

// TestPageReplies answers, edits and deletes messages and reacts to them, in a room and in private.
func TestPageReplies(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada, bob := browsertest.Open(t, 1280, 800), browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	run(t, bob, browsertest.Navigate(s.page()), logIn("Bob"), say("shall we?"))
	run(t, ada, shows("#talk", "shall we?"), paste("a draft"), act("shall we?", "reply"),
		shows("#context-what", "Reply to Bob"))
	shot(t, ada, "replying")
	run(t, ada, boxHolds("a draft"), emptyBox(), paste("yes"), enterKey(), shows("#talk .reference", "shall we?"),
		until(`document.querySelector("#context").hidden`), boxHolds(""))
	run(t, bob, shows("#talk .reference", "shall we?"), click("#talk .reference"),
		until(`document.querySelector("#talk .flash")?.textContent.includes("shall we?")`))
	// An edit waits in the box; the draft comes back after it.
	run(t, ada, paste("a draft"), act("yes", "edit"), boxHolds("yes"), shows("#context-what", "Editing"),
		paste(", gladly"), enterKey(), shows("#talk .edited", "edited"), boxHolds("a draft"))
	run(t, bob, shows("#talk", "yes, gladly (edited)"))
	run(t, ada, emptyBox(),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#say-text").dispatchEvent(new KeyboardEvent("keydown",
  {key: "ArrowUp", bubbles: true, cancelable: true})),
  	0`), boxHolds("yes, gladly"), click("#context-stop"), boxHolds(""))
	// Reactions are counted, and taken back.
	run(t, bob, act("gladly", "react"), shows("#emoji", "\U0001f389"))
	shot(t, bob, "emoji")
	run(t, bob, click("#emoji button:nth-child(4)"), shows("#talk .reaction", "\U0001f389 1"))
	run(t, ada, click("#talk .reaction"), shows("#talk .reaction", "\U0001f389 2"),
		until(`document.querySelector("#talk .reaction").ariaPressed === "true" &&
  document.querySelector("#talk .reaction").title.includes("Bob and Ada")`))
	// A message that changes keeps the focus and its toolbar.
	run(t, ada, chromedp.Evaluate[chromedp.Void](
		`[...document.querySelectorAll("#talk .message")].find((li) => li.textContent.includes("gladly")).focus()`))
	run(t, bob, shows("#talk .reaction", "\U0001f389 2"), click("#talk .reaction"),
		shows("#talk .reaction", "\U0001f389 1"))
	run(t, ada, shows("#talk .reaction", "\U0001f389 1"), until(`document.activeElement.textContent.includes("gladly") &&
  document.activeElement.contains(document.querySelector("#actions:not([hidden])"))`))
	shot(t, ada, "replied")
	// A deleted message leaves a trace.
	run(t, ada, act("gladly", "delete"), shows("#delete-text", "gladly"), click("#delete-yes"),
		shows("#talk", "This message was deleted"))
	run(t, bob, shows("#talk", "This message was deleted"),
		until(`!document.querySelector("#talk").textContent.includes("gladly")`))
	if ask[bool](t, ada,
		`[...document.querySelectorAll("#talk .message")].some((li) => (li.focus(),
  li.querySelector(".text").textContent === "shall we?" &&
  ["edit", "delete"].some((a) => !document.querySelector("#actions [data-action=" + a + "]").hidden)))`) {
		t.Error("Ada can edit or delete what Bob has said")
	}
	// In private.
	run(t, ada, click(`#users [data-name="Bob"]`), shows("#title", "Bob"), say("psst"), shows("#talk", "psst"),
		act("psst", "react"), click("#emoji button"))
	run(t, bob, click("#privates button"), shows("#talk .reaction", "1"), act("psst", "reply"),
		shows("#context-what", "Ada"), say("what"))
	run(t, ada, shows("#talk .reference", "psst"))
}

// talkers are 20 people who say 8 things each in the lobby.
func talkers(t *testing.T, s *server) {
	t.Helper()
	for i := range 20 {
		c := dialText(t, s.text)
		c.send(fmt.Sprintf("/login talker%d", i), "/join lobby")
		for j := range 8 {
			c.send(fmt.Sprintf("message %d of %d", j, i))
			c.expect("message")
		}
	}
}

// TestPagePages scrolls back to the first of many messages. What is under the eyes stays there.
func TestPagePages(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	talkers(t, s)
	ada := browsertest.Open(t, 1280, 700)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#talk", "message 7 of 19"))
	count := func(n int) step { return until(`document.querySelectorAll("#talk .message").length >= %d`, n) }
	run(t, ada, count(50))
	for _, n := range []int{51, 101, 151} {
		// The browser draws messages, and learns their heights, when they come into view.
		const drawn = `(() => { const l = document.querySelector("#messages"), same = l.scrollHeight === window.height;
  window.height = l.scrollHeight;
  return same && document.elementFromPoint(600, 340).closest(".message") !== null; })()`
		run(t, ada, chromedp.Evaluate[chromedp.Void](`document.querySelector("#messages").scrollTop = 450, 0`),
			until(drawn), until(drawn))
		ask[bool](t, ada, `window.place = (() => {
  const e = document.elementFromPoint(600, 340).closest(".message");
  return {e, top: e.getBoundingClientRect().top};
})(), document.querySelector("#messages").scrollTop -= 100, true`)
		run(t, ada, count(n), until(drawn), until(drawn))
		moved := ask[float64](t, ada,
			`place.e.isConnected ? Math.abs(place.e.getBoundingClientRect().top - place.top) : -1`)
		if moved < 0 || moved > 105 { // 100 of them are the scroll itself
			t.Errorf("the message under the eyes moved by %v pixels", moved)
		}
	}
	run(t, ada, chromedp.Evaluate[chromedp.Void](`document.querySelector("#messages").scrollTop = 0, 0`), count(160),
		chromedp.WaitVisible(chromedp.CSS("#beginning-title")))
	order := ask[string](t, ada,
		`[...document.querySelectorAll("#talk .message .text")].map((e) => e.textContent).join()`)
	want := ""
	for i := range 20 {
		for j := range 8 {
			want += fmt.Sprintf(",message %d of %d", j, i)
		}
	}
	if order != want[1:] {
		t.Errorf("the page shows %s", order)
	}
}

// TestPageAway writes to somebody who is away, and reads it in another window of that person, where
// it is unread until one of the windows shows it.
func TestPageAway(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada, bob := browsertest.Open(t, 1280, 800), browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	run(t, bob, browsertest.Navigate(s.page()), logIn("Bob"))
	run(t, ada, click(`#users [data-name="Bob"]`), say("one"), shows("#talk", "one"),
		shows("#subtitle", "private, online"))
	people := func(n string) step {
		return until(`document.querySelector('[data-conversation="room:lobby"] .sr').textContent.includes(%q)`, n)
	}
	// A page that the browser keeps for Back is gone until the user comes back.
	kept := func(event string) step {
		return chromedp.Evaluate[chromedp.Void](
			fmt.Sprintf(`dispatchEvent(new PageTransitionEvent(%q, {persisted: true})), 0`, event))
	}
	run(t, bob, shows("#privates", "Ada"), kept("pagehide"))
	run(t, ada, people("1 person"))
	run(t, bob, kept("pageshow"))
	run(t, ada, people("2 people"))
	run(t, bob, browsertest.Navigate("about:blank"))
	run(t, ada, people("1 person"), say("two"),
		shows("#talk", "Bob is not here now"), shows("#subtitle", "private, not here now"))
	run(t, bob, browsertest.Navigate(s.page()), shows("#privates .badge", "2"))
	run(t, ada, room("lobby"), click("#privates button"), shows("#subtitle", "private, online"))
	twin := browsertest.Open(t, 1280, 800)
	saved := ask[string](t, bob, `localStorage.getItem("sluice.chat")`)
	run(t, twin, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")))
	ask[bool](t, twin, fmt.Sprintf(`localStorage.setItem("sluice.chat", %q), true`, saved))
	run(t, twin, browsertest.Reload(), shows("#privates .badge", "2"))
	run(t, bob, click("#privates button"), shows("#talk", "two"), shows("#talk .new", "2 new messages"))
	run(t, twin, until(`!document.querySelector("#privates .badge")`))
	// A room that one window joins and leaves is one of the other too.
	run(t, bob, joinRoom("tea"))
	run(t, twin, shows("#rooms", "tea"))
	run(t, bob, leaveRoom())
	run(t, twin, until(`!document.querySelector("#rooms").textContent.includes("tea")`))
	// Muted and blocked.
	run(t, bob, room("lobby"), click("#more"), click("#mute"),
		until(`document.querySelector("#rooms li").classList.contains("muted")`))
	run(t, twin, until(`document.querySelector("#rooms li").classList.contains("muted")`))
	run(t, bob, click("#privates button"), shows("#title", "Ada"), click("#more"), click("#block"))
	run(t, ada, say("three"), shows("#outbox .failed", "does not take messages"))
}

// TestPagePassword protects a name with a password, and logs in with it.
func TestPagePassword(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), click("#me-button"), click("#set-password"),
		chromedp.SendKeys(chromedp.CSS("#password-new"), "correct horse"))
	shot(t, ada, "password")
	run(t, ada, click("#password-form .primary"), shows("#toast", "protected by the password"), click("#me-button"),
		click("#log-out"),
		shows("#login-error", "You have logged out"), chromedp.SetValue(chromedp.CSS("#login-name"), "Ada"),
		click("#login-button"),
		chromedp.WaitVisible(chromedp.CSS("#login-password")))
	run(t, ada, chromedp.SendKeys(chromedp.CSS("#login-password"), "wrong horse"), click("#login-button"),
		shows("#login-error", "wrong"))
	shot(t, ada, "password-wrong")
	run(t, ada, chromedp.SetValue(chromedp.CSS("#login-password"), "correct horse"), click("#login-button"),
		shows("#me", "Ada"))
}
