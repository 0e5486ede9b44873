package chat_test

import (
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// unheard stores a message without telling anybody, as if its event were lost.
func (s *server) unheard(t *testing.T, text string) {
	t.Helper()
	p := store.Post{UID: "bob", Name: "Bob", Room: "lobby", Author: text, Text: text, Key: text}
	if _, err := s.store.Post(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
}

// TestPageMissedMuch reconnects after more was said than the server sends at once, while another
// window has used up what the server allows. The page gets everything, in order.
func TestPageMissedMuch(t *testing.T) {
	t.Parallel()
	const missed = 900
	s, w, ada := overWire(t, 1280, 800)
	run(t, ada, say("before"), shows("#talk", "before"))
	for i := range missed {
		s.unheard(t, fmt.Sprint("missed ", i))
	}
	token := ask[string](t, ada, `JSON.parse(sessionStorage.getItem("sluice.chat")).token`)
	twin := dialText(t, s.text)
	twin.send(fmt.Sprintf(`{"type":"login","name":"Ada","token":%q}`, token))
	twin.expect("welcome")
	for range 12 {
		twin.send(`{"type":"ping"}`)
	}
	w.cut()
	run(t, ada, until(`document.querySelectorAll("#talk .message").length === %d`, missed+1))
	wrong := ask[string](t, ada, `[...document.querySelectorAll("#talk .message .text")].map((e) => e.textContent)
  .find((text, i) => text !== (i === 0 ? "before" : "missed " + (i - 1))) ?? ""`)
	if wrong != "" {
		t.Errorf("%q is not in its place", wrong)
	}
	if notes := ask[string](t, ada, `[...document.querySelectorAll("#talk .notice")].map((e) => e.textContent)
  .filter((text) => text.includes("missing")).join()`); notes != "" {
		t.Errorf("nothing is missing, but the page says %s", notes)
	}
}

// TestPageMissedOne gets a message whose event is lost, as may happen to one that is said while
// somebody joins. The next message shows that it is missing.
func TestPageMissedOne(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	s.unheard(t, "the very first")
	grace.send("second")
	run(t, ada, shows("#talk", "the very first"))
	s.unheard(t, "third")
	s.unheard(t, "fourth")
	grace.send("fifth")
	run(t, ada, shows("#talk", "fourth"))
	order := ask[string](t, ada, `[...document.querySelectorAll("#talk .message .text")].map((e) => e.textContent).join()`)
	if want := "the very first,second,third,fourth,fifth"; order != want {
		t.Errorf("the page shows %s, not %s", order, want)
	}
}

// TestPageQuiet asks for the list of rooms more often than the server allows. As the user has not
// asked for it, the page says nothing.
func TestPageQuiet(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	ask[bool](t, ada, `(() => { for (let i = 0; i < 12; i++) {
  document.querySelector(".open-browse").click();
  document.querySelector("#browse").close();
} return true; })()`)
	run(t, ada, say("after them"), shows("#talk", "after them"))
	if !ask[bool](t, ada, `document.querySelector("#toast").hidden`) {
		t.Errorf("the page says %q", ask[string](t, ada, `document.querySelector("#toast").textContent`))
	}
}

// TestPageMissedAtTheJoin lets somebody say something after the server has read the history for a
// join, and before the join is in effect. The page gets it, though nothing is said afterwards.
func TestPageMissedAtTheJoin(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()),
		until(`!document.querySelector("#login-button").disabled`))
	// What the page does a second later it does when the test says so.
	ask[bool](t, ada, `(() => {
  const timeout = window.setTimeout;
  window.later = [];
  window.setTimeout = (f, ms, ...args) => ms === 1000 ? window.later.push(f) : timeout(f, ms, ...args);
  return true;
})()`)
	run(t, ada, logIn("Ada"))
	s.unheard(t, "said between")
	ask[bool](t, ada, `window.later.forEach((f) => f()), true`)
	run(t, ada, shows("#talk", "said between"))
}
