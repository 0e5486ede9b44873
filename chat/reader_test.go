package chat_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// room opens a room that the user is in.
func room(name string) step {
	return chromedp.Steps(click(fmt.Sprintf(`[data-conversation="room:%s"] button`, name)), shows("#title", "# "+name))
}

// joinRoom joins a room with the field in the sidebar.
func joinRoom(name string) step {
	return chromedp.Steps(chromedp.SetValue(chromedp.CSS("#join-room"), name), click("#join-form button"),
		shows("#title", "# "+name))
}

// TestPageReadingPlace goes to another room and back. The page shows the place where the reader
// was, or the first new message below a line with their number.
func TestPageReadingPlace(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 600)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), joinRoom("tea"), room("lobby"))
	talker := func(name string, messages int) {
		c := dialText(t, s.text)
		c.send("/login "+name, "/join lobby")
		c.expect("users")
		for i := range messages {
			c.send(fmt.Sprintf("/say lobby %s %d", name, i))
		}
	}
	for i := range 6 {
		talker(fmt.Sprint("first", i), 7)
	}
	run(t, ada, hasHeard("first5", 7),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#messages").scrollTop = 200, 0`),
		until(`document.querySelector("#messages").scrollTop < 300`))
	const top = `[...document.querySelectorAll("#talk .text")].find((e) =>
  e.getBoundingClientRect().top > 100).textContent`
	before := ask[string](t, ada, top)
	run(t, ada, room("tea"), room("lobby"), until(`%s === %q`, top, before), room("tea"))
	for i := range 3 {
		talker(fmt.Sprint("second", i), 7)
	}
	run(t, ada, shows(`[data-conversation="room:lobby"]`, "21 unread"), room("lobby"),
		shows("#talk .new", "21 new messages"),
		until(`document.querySelector("#talk .new").nextElementSibling.textContent.includes("second0 0") &&
  document.querySelector("#talk .new").getBoundingClientRect().top > document.querySelector("#messages").getBoundingClientRect().top &&
  document.querySelector("#talk .new").getBoundingClientRect().bottom < document.querySelector("#messages").getBoundingClientRect().bottom`))
	shot(t, ada, "first-unread")
	// The line goes when the user does.
	run(t, ada, room("tea"), room("lobby"), until(`!document.querySelector("#talk .new")`))
}

// TestPageMentions mentions the user in a room that is not shown. The mention is counted, and the
// browser notifies of it if the user wants that.
func TestPageMentions(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()))
	ask[bool](t, ada, `window.told = [], window.Notification = class {
  static permission = "default";
  static async requestPermission() { return Notification.permission = "granted"; }
  constructor(title, {body}) { told.push(title + "|" + body); window.lastNote = this; }
  close() {}
}, true`)
	run(t, ada, logIn("Ada"), joinRoom("tea"))
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby", "/say lobby @ADA, not yet")
	run(t, ada, shows(`[data-conversation="room:lobby"] .badge`, "1"), shows(`[data-conversation="room:lobby"]`,
		"1 mention"))
	run(t, ada, click("#me-button"), click("#notify"),
		until(`document.querySelector("#notify").ariaChecked === "true"`),
		chromedp.KeyEvent("\u001b"))
	bob.send("/say lobby nothing for you", "/say lobby mail ada@Ada.example, `@Ada`", "/say lobby hi @Ada!",
		"/msg Ada a secret")
	run(t, ada, until(`told.length === 2`))
	told := ask[string](t, ada, `told.join(", ")`)
	if told != "Bob mentioned you in # lobby|hi @Ada!, Bob to you|a secret" {
		t.Errorf("notified was %q", told)
	}
	run(t, ada, shows(`[data-conversation="room:lobby"] .badge`, "2"), shows(`[data-conversation="room:lobby"]`,
		"4 unread"))
	shot(t, ada, "mentioned")
	run(t, ada, chromedp.Evaluate[chromedp.Void](`lastNote.onclick(), 0`), shows("#title", "Bob"))
}

// TestPageBrowse finds a room in the list of all rooms, opens a new one, and leaves it again.
func TestPageBrowse(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	for i := range 30 {
		c := dialText(t, s.text)
		c.send(fmt.Sprintf("/login user%d", i), fmt.Sprintf("/join room%d", i), "/join lobby")
		c.expect("users")
	}
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#users", "user29"))
	// The list of people can be filtered, and has numbers in their order.
	people := `[...document.querySelectorAll("#users li")].map((li) => li.querySelector("button").title).join()`
	run(t, ada, chromedp.SendKeys(chromedp.CSS("#people-filter"), "USER1"),
		until(`%s === %q`, people, "user1,user10,user11,user12,user13,user14,user15,user16,user17,user18,user19"),
		chromedp.SendKeys(chromedp.CSS("#people-filter"), "x"), chromedp.WaitVisible(chromedp.CSS("#people-none")))
	browse := click(".section-head .open-browse")
	run(t, ada, browse, shows("#browse-list", "# room29"), shows("#browse-list", "joined"))
	shot(t, ada, "browse")
	run(t, ada, chromedp.SendKeys(chromedp.CSS("#browse-text"), "room17"),
		until(`document.querySelectorAll("#browse-list li").length === 1`),
		chromedp.KeyEvent("\r"), shows("#title", "# room17"), until(`!document.querySelector("#browse").open`))
	run(t, ada, browse, chromedp.SendKeys(chromedp.CSS("#browse-text"), "# New  One"),
		shows("#browse-list", "Open # new one"),
		click("#browse-list li button"), shows("#title", "# new one"))
	run(t, ada, browse, chromedp.SendKeys(chromedp.CSS("#browse-text"), "\u2800"), click("#browse-list li button"),
		shows("#browse-error", "visible"), chromedp.KeyEvent("\u001b"),
		until(`!document.querySelector("#browse").open`))
	// A room that was left comes back with what was there.
	run(t, ada, say("kept"), shows("#talk", "kept"), leaveRoom(), shows("#toast", "You have left # new one"),
		until(`!document.querySelector("#rooms").textContent.includes("new one")`))
	shot(t, ada, "undo")
	run(t, ada, click("#toast button"), shows("#title", "# new one"), shows("#talk", "kept"))
	// The 21st room is refused, and its name stays.
	for i := range 17 {
		run(t, ada, joinRoom(fmt.Sprint("extra", i)))
	}
	run(t, ada, chromedp.SetValue(chromedp.CSS("#join-room"), "too many"), click("#join-form button"),
		shows("#join-error", "At most 20 rooms"), until(`document.querySelector("#join-room").value === "too many"`))
	run(t, ada, room("lobby"), shows("#users", "user29"), click(`#users button:enabled`),
		until(`document.querySelectorAll("#privates li").length === 1`))
	if !ask[bool](t, ada,
		`((e) => e.bottom <= innerHeight &&
  e.height > 10)(document.querySelector("#privates li").getBoundingClientRect())`) {
		t.Error("with twenty rooms the private conversation is out of sight")
	}
	shot(t, ada, "many-rooms")
}

// TestPageSearchInThePast finds a message that is in none of the loaded pages of the history.
func TestPageSearchInThePast(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	talkers(t, s)
	ada := browsertest.Open(t, 1280, 800)
	text := chromedp.CSS("#search-text")
	count := func(words string) step {
		return until(`document.querySelector("#search-count").textContent === %q`, words)
	}
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#talk", "message 7 of 19"), click("#open-search"),
		chromedp.SendKeys(text, "MESSAGE 0 of 0"), count("1 of 1"), shows("#talk .found.at", "message 0 of 0"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#search-text").select(), 0`),
		chromedp.SendKeys(text, "message 3 of"), count("1 of 20"),
		shows("#talk .found.at", "message 3 of 19"))
}

// TestPageSearch searches in a conversation.
func TestPageSearch(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby", "The first Needle", "hay", "another needle", "hay")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#talk", "another needle"), click("#open-search"),
		chromedp.SendKeys(chromedp.CSS("#search-text"), "NEEDLE"), shows("#search-count", "1 of 2"),
		shows("#talk .found.at", "another needle"), click("#search-previous"),
		shows("#talk .found.at", "The first Needle"),
		shows("#search-count", "2 of 2"))
	shot(t, ada, "search")
	run(t, ada, chromedp.SendKeys(chromedp.CSS("#search-text"), "x"), shows("#search-count", "Nothing found"),
		chromedp.KeyEvent("\u001b"),
		until(`document.querySelector("#search").hidden && !document.querySelector(".found")`))
}

// TestPageMenu chooses a theme, takes another name, and logs out.
func TestPageMenu(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby")
	bob.expect("users")
	theme := func(name string) step {
		return chromedp.Steps(click(fmt.Sprintf(`[data-theme-is=%q]`, name)),
			until(`document.querySelector('[data-theme-is=%q]').ariaChecked === "true"`, name))
	}
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), say("as Ada"))
	// A menu is in its place, and has the focus, before anything is painted. The button closes it too.
	if placed := ask[string](t, ada, `(() => {
  const opener = document.querySelector("#more"), menu = document.querySelector("#more-menu");
  opener.click();
  const placed = [menu.matches(":popover-open"), menu.offsetTop >= opener.getBoundingClientRect().bottom,
    menu.contains(document.activeElement)];
  opener.click();
  return [...placed, menu.matches(":popover-open")].join();
})()`); placed != "true,true,true,false" {
		t.Errorf("a menu that is opened and closed: %s", placed)
	}
	run(t, ada, click("#me-button"), theme("dark"))
	shot(t, ada, "menu")
	run(t, ada, theme("light"), theme("system"), until(`!document.documentElement.dataset.theme`), click("#open-help"),
		shows("#help-list", "Shift"))
	shot(t, ada, "shortcuts")
	run(t, ada, chromedp.KeyEvent("\u001b"), paste("a draft"), click("#me-button"), click("#change-name"),
		chromedp.WaitVisible(chromedp.CSS("#rename")), chromedp.SetValue(chromedp.CSS("#rename-name"), "Grace"),
		click("#rename .primary"),
		shows("#me", "Grace"), shows("#talk", "as Ada"), boxHolds("a draft"), say(" and more"),
		shows("#talk", "a draft and more"))
	for e := bob.next(); e["from"] != "Grace"; e = bob.next() {
	}
	// The former name is free, and after a log out so is this one, and nothing is left on the page.
	run(t, ada, paste("not for others"), click("#me-button"), click("#log-out"),
		shows("#login-error", "You have logged out"))
	carol := dialText(t, s.text)
	for _, name := range []string{"Ada", "Grace"} {
		carol.send("/login " + name)
		carol.expect("welcome")
		carol.send("/quit")
		carol = dialText(t, s.text)
	}
	left := ask[string](t, ada,
		`["talk", "rooms", "privates", "users"].map((id) => document.getElementById(id).textContent).join("") +
  (sessionStorage.getItem("sluice.chat") ?? "") + (localStorage.getItem("sluice.chat") ?? "")`)
	if left != "" {
		t.Errorf("after a log out %q is left", left)
	}
	run(t, ada, chromedp.SetValue(chromedp.CSS("#login-name"), "Dan"), click("#login-button"), shows("#me", "Dan"),
		boxHolds(""))
	run(t, ada, shows("#talk", "as Ada")) // the history of the room
}
