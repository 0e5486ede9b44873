package chat_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// step is one action in a window.
type step = chromedp.Action[chromedp.Void]

func run(t *testing.T, ctx context.Context, steps ...step) {
	t.Helper()
	within, cancel := context.WithTimeout(ctx, 2*browsertest.Patience) // the window is open for longer
	defer cancel()
	if err := chromedp.Do(within, steps...); err != nil {
		const state = `[location.href, document.readyState, document.querySelector("#title")?.textContent,
			document.querySelector(":popover-open")?.id, document.activeElement?.id,
			document.querySelector("#toast")?.textContent, ...performance.getEntriesByType("resource")
				.filter((e) => e.responseStatus !== 200).map((e) => e.name + " " + e.responseStatus)].join(" | ")`
		seen, _ := chromedp.Run(ctx, chromedp.Evaluate[string](state))
		t.Fatalf("%v; the page: %s", err, seen)
	}
}

// ask returns the result of a script in the window.
func ask[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shows waits until an element contains the text.
func shows(selector, text string) step {
	const holds = `document.querySelector(%q)?.textContent.includes(%q)`
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(holds, selector, text),
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(browsertest.Patience))
}

func click(selector string) step { return chromedp.Click(chromedp.CSS(selector)) }

// leaveRoom chooses that in the menu of the conversation.
func leaveRoom() step {
	// A menu has the focus when it is in its place. A click on one that is moving would close it.
	const placed = `document.activeElement.closest(".menu") && document.getAnimations().length === 0`
	return chromedp.Steps(click("#more"), until(placed), click("#leave"))
}

func logIn(name string) step { return logInTo(name, "lobby") }

// logInTo logs in when the form has the name of the room.
func logInTo(name, room string) step {
	return chromedp.Steps(
		chromedp.WaitEnabled(chromedp.CSS("#login-button")),
		until(`document.querySelector("#login-room").value === %q`, room),
		chromedp.SetValue(chromedp.CSS("#login-name"), name),
		click("#login-button"),
		chromedp.WaitVisible(chromedp.CSS("#app")),
		shows("#title", room),
	)
}

func say(text string) step {
	return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#say-text"), text), click("#say-button"))
}

// shot saves a picture of the window, if the variable CHAT_SHOTS names a folder.
func shot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("CHAT_SHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPage lets two people with browsers and a third one with a text client talk to each other.
func TestPage(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada, bob := browsertest.Open(t, 1280, 800), browsertest.Open(t, 390, 844)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	run(t, bob, browsertest.Navigate(s.page()))
	shot(t, bob, "login-phone")
	run(t, bob, logIn("Bob"))

	// They see each other and each other's messages.
	run(t, ada, shows("#users", "Bob"), say("Good evening, Bob!"))
	run(t, bob, shows("#messages", "Good evening, Bob!"),
		say("Good evening! <b>bold</b> <img src=x onerror=\"document.title='owned'\">"))
	run(t, ada, shows("#messages", "<b>bold</b>")) // as text
	images := ask[int](t, ada, `document.querySelectorAll("#messages img, #messages b").length`)
	title := ask[string](t, ada, `document.title`)
	if images != 0 || strings.Contains(title, "owned") {
		t.Errorf("what Bob typed became part of the page: %d elements, title %q", images, title)
	}

	// A text client is in the same room.
	grace := dialText(t, s.text)
	grace.send(`/login Grace`, `{"type":"join","room":"lobby"}`)
	grace.expect("welcome")
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"))
	run(t, ada, say("And Grace, over plain text"))
	for grace.expect("message")["text"] != "And Grace, over plain text" {
	}
	grace.send(`{"type":"say","room":"lobby","text":"Hello from a telnet window"}`)
	run(t, bob, shows("#messages", "Hello from a telnet window"))

	// One of them is typing.
	run(t, bob, chromedp.SendKeys(chromedp.CSS("#say-text"), "I am just"))
	run(t, ada, shows("#typing", "Bob is typing"))
	ask[string](t, bob, `document.querySelector("#say-text").value = ""`)

	// Two talk in private; the third receives nothing.
	run(t, ada, click(`#users [data-name="Bob"]`), shows("#title", "Bob"), say("Between us two"))
	run(t, bob, shows("#unread-total", "1"), click("#open-sidebar"), shows("#privates", "Ada"))
	shot(t, bob, "sidebar-phone")
	run(t, bob, click("#privates button"), shows("#messages", "Between us two"), say("I keep it to myself"))
	run(t, ada, shows("#messages", "I keep it to myself"))
	grace.send("/rooms")
	for e := grace.next(); e["type"] != "rooms"; e = grace.next() {
		if e["type"] == "private" {
			t.Errorf("Grace received %v", e)
		}
	}
	run(t, ada, click(`[data-conversation="room:lobby"] button`), shows("#title", "lobby"))
	run(t, bob, click("#open-sidebar"), click(`[data-conversation="room:lobby"] button`), shows("#title", "lobby"))
	shot(t, ada, "desktop-light")
	shot(t, bob, "phone-light")
	run(t, ada, click("#me-button"), click(`[data-theme-is="dark"]`), chromedp.KeyEvent("\u001b"),
		until(`document.documentElement.dataset.theme === "dark" && !document.querySelector("#me-menu:popover-open")`))
	ask[string](t, bob, `document.documentElement.dataset.theme = "dark"`)
	shot(t, ada, "desktop-dark")
	shot(t, bob, "phone-dark")
}

// TestPageReconnects stops the server and starts it again. The page reconnects by itself, as the
// same user, into the same room.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 390, 844)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), say("before"), shows("#messages", "before"))
	s.stop()
	run(t, ada, shows("#pill", "reconnecting"), chromedp.WaitVisible(chromedp.CSS("#offline")))
	shot(t, ada, "offline-phone")
	s = startServer(t, strings.TrimPrefix(s.web, "ws://"))
	run(t, ada, shows("#pill", "connected"))
	grace := dialText(t, s.text)
	grace.send(`/login Grace`, `/join lobby`)
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"), say("after"))
	for grace.expect("message")["text"] != "after" {
	}
	run(t, ada, shows("#messages", "after"))
	times := ask[int](t, ada,
		`[...document.querySelectorAll("#messages .text")].filter((e) => e.textContent === "before").length`)
	if times != 1 {
		t.Errorf("what was said before the break is shown %d times", times)
	}
}

// TestPageTwins opens the page in a second window with the stored state of the first one, as a
// browser does when it duplicates a tab. Both windows are the same person, and show the same.
func TestPageTwins(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	older, newer := browsertest.Open(t, 1280, 800), browsertest.Open(t, 1280, 800)
	run(t, older, browsertest.Navigate(s.page()), logIn("Ada"))
	saved := ask[string](t, older, `sessionStorage.getItem("sluice.chat")`)
	run(t, newer, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")))
	ask[bool](t, newer, fmt.Sprintf(`sessionStorage.setItem("sluice.chat", %q), true`, saved))
	run(t, newer, browsertest.Reload(), shows("#title", "lobby"))
	run(t, newer, say("said in the newer one"), shows("#messages", "said in the newer one"))
	run(t, older, shows("#messages", "said in the newer one"), say("said in the older one"))
	run(t, newer, shows("#messages", "said in the older one"))
	if people := ask[int](t, older, `document.querySelectorAll("#users li").length`); people != 1 {
		t.Errorf("%d people are in the room", people)
	}
	// A plain tab of the same browser is logged in too. A log out is one of all of them.
	tab := browsertest.Open(t, 1280, 800)
	shared := ask[string](t, older, `localStorage.getItem("sluice.chat")`)
	run(t, tab, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")))
	ask[bool](t, tab, fmt.Sprintf(`localStorage.setItem("sluice.chat", %q), true`, shared))
	run(t, tab, browsertest.Reload(), shows("#title", "lobby"), shows("#me", "Ada"))
	ask[bool](t, tab, `localStorage.removeItem("sluice.chat"),
  dispatchEvent(new StorageEvent("storage", {key: "sluice.chat", newValue: null})), true`)
	run(t, tab, shows("#login-error", "no longer logged in"))
}

// TestPageOnAPhoneOnItsSide checks that the login, the messages and the list of people fit on the
// screen.
func TestPageOnAPhoneOnItsSide(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 844, 390)
	run(t, ada, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")))
	shot(t, ada, "login-landscape")
	bottom := ask[float64](t, ada, `document.querySelector("#login-button").getBoundingClientRect().bottom`)
	if bottom > 390 {
		t.Errorf("the button to step in ends at %v of 390 pixels", bottom)
	}
	run(t, ada, logIn("Ada"), say("hello"), shows("#messages", "hello"))
	if width := ask[float64](t, ada, `document.querySelector("#messages").getBoundingClientRect().width`); width < 500 {
		t.Errorf("what is said has %v of 844 pixels", width)
	}
	run(t, ada, click("#open-users"),
		chromedp.Poll[chromedp.Void](`document.querySelector("#users button").getBoundingClientRect().right <= 844`))
	shot(t, ada, "people-landscape")
	run(t, ada, click("#shade"), say("still here"), shows("#messages", "still here"))
	shot(t, ada, "landscape")
}

// TestPageKeepsFocus lets a message arrive while the user is about to press a button with the
// keyboard. The WebSocket has a path of its own.
func TestPageKeepsFocus(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0/chat/ws")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	ask[bool](t, ada, `document.querySelector("#rooms button").focus(), true`)
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby", "hello")
	run(t, ada, shows("#users", "Grace"), shows("#messages", "hello"))
	if !ask[bool](t, ada, `document.activeElement === document.querySelector("#rooms button")`) {
		t.Error("the button lost the focus")
	}
}

// TestPageWithoutWorker lets a user log in while no worker is connected, and send messages after
// the worker has ended. The page says that the chat does not answer, and continues by itself when
// it does. A message that waits for long is not delivered, and is sent when the user says so.
func TestPageWithoutWorker(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startGateway(t, gateway.Config{QueueTimeout: 200 * time.Millisecond}, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")),
		chromedp.SetValue(chromedp.CSS("#login-name"), "Ada"), click("#login-button"),
		shows("#login-error", "does not answer"))
	stopWorker := startWorker(t, s.inner)
	run(t, ada, shows("#title", "lobby"), say("somebody is there"), shows("#talk", "somebody is there"))
	stopWorker()
	run(t, ada, say("nobody is there"), shows("#outbox", "takes long to answer"))
	stopWorker = startWorker(t, s.inner)
	run(t, ada, shows("#talk", "nobody is there"), outboxEmpty())
	stopWorker()
	run(t, ada, say("delete this"), say("for a long time"), shows("#outbox .failed", "the chat does not answer"),
		until(`document.querySelectorAll("#outbox .failed").length === 2`))
	shot(t, ada, "not-delivered")
	startWorker(t, s.inner)
	run(t, ada, click("#outbox li:first-child .discard"), until(`document.querySelectorAll("#outbox li").length === 1`),
		click("#outbox .sendAgain"), shows("#talk", "for a long time"), outboxEmpty())
	if got := ask[string](t, ada, `[...document.querySelectorAll("#talk .text")].map((e) =>
  e.textContent).join()`); got != "somebody is there,nobody is there,for a long time" {
		t.Errorf("the page shows %s", got)
	}
}

// TestPageRooms goes from room to room. A room that cannot be entered does not change the current
// one. After the last room is left, the page says what to do.
func TestPageRooms(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 390, 844)
	enter := func(room string) step {
		return chromedp.Steps(click("#open-sidebar"), chromedp.SetValue(chromedp.CSS("#join-room"), room),
			click("#join-form button"))
	}
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), say("hello"), shows("#messages", "hello"))
	run(t, ada, enter("\u2800"), shows("#join-error", "visible"))
	if text := ask[string](t, ada, `document.querySelector("#join-room").value`); text != "\u2800" {
		t.Errorf("the refused name was replaced by %q", text)
	}
	if title := ask[string](t, ada, `document.querySelector("#title").textContent`); title != "# lobby" {
		t.Errorf("after a room that cannot be entered the window shows %q", title)
	}
	run(t, ada, chromedp.KeyEvent("\u001b"), enter("tea"), shows("#title", "tea"))
	run(t, ada, leaveRoom(), shows("#title", "lobby"), leaveRoom(), chromedp.WaitVisible(chromedp.CSS("#nothing")))
	shot(t, ada, "nothing-phone")
	if left := ask[string](t, ada, `["title", "subtitle", "talk"].map((id) =>
  document.getElementById(id).textContent).join("")`); left != "" {
		t.Errorf("of the last room %q is left", left)
	}
	if ask[bool](t, ada, `document.querySelector("#open-users").checkVisibility()`) {
		t.Error("there is a button for the people of no room")
	}
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/msg Ada are you there")
	run(t, ada, shows("#unread-total", "1"))
	s.stop()
	run(t, ada, shows("#pill", "reconnecting"))
	startServer(t, strings.TrimPrefix(s.web, "ws://"))
	run(t, ada, shows("#pill", "connected"), click("#open-sidebar"), shows("#privates", "Grace"))
	if rooms := ask[string](t, ada, `document.querySelector("#rooms").textContent`); rooms != "" {
		t.Errorf("who had left all rooms is back in %q", rooms)
	}
}
