package chat_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// TestPageImpostor cuts the line of Ada, who talks with Bob in private. Nobody else gets her name,
// and the conversation goes on when she is back.
func TestPageImpostor(t *testing.T) {
	t.Parallel()
	s, w, ada := overWire(t, 1280, 800)
	bob := browsertest.Open(t, 1280, 800)
	run(t, bob, browsertest.Navigate(s.page()), logIn("Bob"))
	run(t, bob, click(`#users [data-name="Ada"]`), shows("#title", "Ada"), say("are you there?"))
	run(t, ada, click(`#privates button`), shows("#messages", "are you there?"), say("it is me"))
	run(t, bob, shows("#messages", "it is me"))
	mallory := dialText(t, s.text)
	for _, name := range []string{"ADA", "\u0410da"} {
		mallory.send("/login " + name)
		if e := mallory.expect("error"); e["code"] != "name_taken" {
			t.Errorf("%s while Ada is here: %v", name, e)
		}
		w.cut()
		mallory.send("/login " + name)
		if e := mallory.expect("error"); e["code"] != "name_taken" {
			t.Errorf("%s while Ada is away: %v", name, e)
		}
	}
	run(t, ada, paste("and still me"), enterKey(), shows("#talk", "and still me"), outboxEmpty())
	run(t, bob, shows("#messages", "and still me"))
	if n := ask[int](t, bob, `document.querySelectorAll("#privates li").length`); n != 1 {
		t.Errorf("Bob has %d private conversations with Ada", n)
	}
}

// TestPageNewOwner gives a name a new owner. The new one gets a conversation of their own, and not
// what is written to the one before.
func TestPageNewOwner(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	bob := browsertest.Open(t, 1280, 800)
	run(t, bob, browsertest.Navigate(s.page()), logIn("Bob"))
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby", "/msg Bob it is me")
	grace.expect("private")
	run(t, bob, shows("#privates", "Grace"), click("#privates button"), shows("#messages", "it is me"))
	grace.send("/quit")
	run(t, bob, shows("#rooms", "1 person"))
	mallory := dialText(t, s.text)
	mallory.send("/login Grace", "/msg Bob I am Grace", "/join lobby")
	mallory.expect("users")
	run(t, bob, until(`document.querySelectorAll("#privates li").length === 2`), say("hunter2"),
		shows("#outbox .failed", "somebody else has this name"))
	text := ask[string](t, bob, `document.querySelector("#messages").textContent`)
	if strings.Contains(text, "I am Grace") {
		t.Errorf("Mallory writes in the conversation with Grace: %q", text)
	}
	run(t, bob, click("#privates li:last-child button"), shows("#messages", "I am Grace"))
	run(t, bob, shows("#messages", "This is not the Grace of before"))
	mallory.send("/leave")
	for e := mallory.next(); e["type"] != "left"; e = mallory.next() {
		if e["text"] == "hunter2" {
			t.Errorf("Mallory reads %v", e)
		}
	}
}

// TestPageNameTaken lets the page come back to a server where somebody else has its user's name.
// The page asks for another name and loses nothing.
func TestPageNameTaken(t *testing.T) {
	t.Parallel()
	_, w, ada := overWire(t, 1280, 800)
	other := startServer(t, "127.0.0.1:0") // its key is another one, so Ada's token is worth nothing
	mallory, bob := dialText(t, other.text), dialText(t, other.text)
	mallory.send("/login Ada")
	mallory.expect("welcome")
	bob.send("/login Bob", "/join lobby")
	bob.expect("users")
	run(t, ada, say("said before"), shows("#talk", "said before"), paste("a draft"))
	w.mu.Lock()
	w.server = strings.TrimPrefix(other.web, "ws://")
	w.mu.Unlock()
	w.cut()
	run(t, ada, shows("#rename-why", "in use"), boxHolds("a draft"), shows("#talk", "said before"), enterKey(),
		shows("#outbox", "Waiting for a name"))
	shot(t, ada, "name-taken")
	rename := func(name string) step {
		return chromedp.Steps(chromedp.SetValue(chromedp.CSS("#rename-name"), name), click("#rename .primary"))
	}
	run(t, ada, rename("Bob"), until(`document.querySelector("#rename-name").value === "Bob"`), rename("Ada L"),
		shows("#me", "Ada L"), until(`document.querySelector("#rename").hidden`), shows("#talk", "a draft"), outboxEmpty(),
		shows("#talk", "said before"))
	if e := bob.expect("message"); e["from"] != "Ada L" || e["text"] != "a draft" {
		t.Errorf("Bob receives %v", e)
	}
	// So it is when the page is loaded again.
	run(t, ada, paste("another draft"))
	third := startServer(t, "127.0.0.1:0")
	mallory = dialText(t, third.text)
	mallory.send("/login Ada L")
	mallory.expect("welcome")
	w.mu.Lock()
	w.server = strings.TrimPrefix(third.web, "ws://")
	w.mu.Unlock()
	run(t, ada, browsertest.Reload())
	w.cut()
	run(t, ada, shows("#login-error", "in use"), until(`document.querySelector("#login-name").value === "Ada L"`),
		chromedp.SetValue(chromedp.CSS("#login-name"), "Ada M"), click("#login-button"), shows("#title", "lobby"),
		boxHolds("another draft"))
}
