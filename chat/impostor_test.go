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
	s, w, ada := overWire(t, 1280, 800)
	bob := browsertest.Open(t, 1280, 800)
	run(t, bob, chromedp.Navigate(s.page()), logIn("Bob"))
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
	// The page may give the text back into the box, because it was sent on a connection that was cut.
	run(t, ada, paste("and still me"), until(`(document.querySelector("#say-form").requestSubmit(),
		document.querySelector("#messages").textContent.includes("and still me"))`))
	run(t, bob, shows("#messages", "and still me"))
	if n := ask[int](t, bob, `document.querySelectorAll("#privates li").length`); n != 1 {
		t.Errorf("Bob has %d private conversations with Ada", n)
	}
}

// TestPageNewOwner gives a name a new owner. The new one gets a conversation of their own, and not
// what is written to the one before.
func TestPageNewOwner(t *testing.T) {
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	bob := browsertest.Open(t, 1280, 800)
	run(t, bob, chromedp.Navigate(s.page()), logIn("Bob"))
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby", "/msg Bob it is me")
	grace.expect("private")
	run(t, bob, shows("#privates", "Grace"), click("#privates button"), shows("#messages", "it is me"))
	grace.send("/quit")
	run(t, bob, until(`!document.querySelector("#users").textContent.includes("Grace")`))
	mallory := dialText(t, s.text)
	mallory.send("/login Grace", "/msg Bob I am Grace", "/join lobby")
	mallory.expect("users")
	run(t, bob, until(`document.querySelectorAll("#privates li").length === 2`), say("hunter2"), boxHolds("hunter2"))
	run(t, bob, shows("#say-note", "somebody else has this name"))
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
