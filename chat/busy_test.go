package chat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// These tests check what the page draws, and when.

// module runs a script with a module of the page, named m, and returns its result.
func module[T any](t *testing.T, ctx context.Context, name, script string) T {
	t.Helper()
	run(t, ctx,
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`window.result = undefined; import("./%s").then((m) =>
  { %s }).then((v) => { window.result = {v}; }, (e) => { window.result = {e: String(e)}; }); 0`, name, script)),

		until(`window.result !== undefined`))
	if e := ask[string](t, ctx, `window.result.e ?? ""`); e != "" {
		t.Fatal(e)
	}
	return ask[T](t, ctx, `window.result.v`)
}

// TestPageNotices checks how people who join and leave are told of.
func TestPageNotices(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()))
	for _, c := range []struct{ moves, want string }{
		{"+a", "a joined"},
		{"+a +b", "a and b joined"},
		{"+a +b +c", "a, b and c joined"},
		{"+a +b +c +d +e", "a, b and 3 others joined"},
		{"+a -a", ""},
		{"+a hi -a", "a joined|hi|a left"},
		{"+a +b hi -a +a", "a and b joined|hi"}, // a reconnect
		{"+a hi +b -a", "a joined|hi|b joined; a left"},
		{"+a +a", "a joined"},
	} {
		got := module[string](t, ada, "conversation.js", fmt.Sprintf(`
const c = new m.Conversation("room", "lobby");
for (const w of %q.split(" ")) {
  if (w[0] === "+") c.came(w.slice(1), w.slice(1), 1);
  else if (w[0] === "-") c.went(w.slice(1), w.slice(1), 1);
  else c.add({id: w, from: "x", text: w, time: 1});
}
return c.messages.map((n) => n.kind === "notice" ? m.told(n) : n.text).join("|");`, c.moves))
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.moves, got, c.want)
		}
	}
	// After a reconnect a history that does not follow what is there leaves a gap.
	for _, c := range []struct{ past, want string }{
		{"2 3", "1|2|3"},
		{"3 4", "1|2|The connection was lost. Messages may be missing here.|3|4"},
		{"", "1|2"},
	} {
		got := module[string](t, ada, "conversation.js", fmt.Sprintf(`
const c = new m.Conversation("room", "lobby"), said = (id) => ({id, from: "x", text: id, time: Number(id)});
c.past([said("1"), said("2")]);
c.past(%q.split(" ").filter(Boolean).map(said));
return c.messages.map((n) => n.kind === "notice" ? m.told(n) : n.text).join("|");`, c.past))
		if got != c.want {
			t.Errorf("after the history %q: %q, not %q", c.past, got, c.want)
		}
	}
	// Messages that are published side by side are shown in the order of their numbers.
	order := module[string](t, ada, "conversation.js", `
const c = new m.Conversation("room", "lobby");
for (const seq of [1, 2, 5, 3, 4, 6]) c.add({id: "m" + seq, seq, from: "x", text: seq, time: 7 - seq});
c.older([{id: "m0", seq: 0.5, from: "x", text: 0, time: 0}, {id: "m1", seq: 1}]);
c.change({id: "m3", seq: 3, rev: 2, text: "new"});
c.change({id: "m3", seq: 3, rev: 1, text: "old"});
return c.messages.map((m) => m.text).join() + " " + c.last;`)
	if order != "0,1,2,new,4,5,6 6" {
		t.Errorf("the order is %s", order)
	}
	// The line of what is new moves to the first unread message when older ones are loaded, and a
	// reply shows its message as it is now.
	unread := module[string](t, ada, "conversation.js", `
const c = new m.Conversation("room", "lobby"), said = (n) => ({id: "m" + n, seq: n, from: "x", text: n, time: n});
c.position({last: 6, read: 2});
c.past([{...said(5), reply: {id: "m4", text: "4"}}, said(6)]);
c.seen();
c.findNew();
const before = c.newFrom.seq;
c.older([said(1), said(2), {...said(3), mine: true}, said(4)]);
c.change({...said(4), text: "edited"});
const quoted = c.messages.find((m) => m.seq === 5).reply.text;
c.change({...said(4), text: undefined, deleted: true});
return [before, c.newFrom.seq, c.newFrom.deleted, quoted, c.messages.find((m) => m.seq === 5).reply.text].join();`)
	if unread != "5,4,true,edited," {
		t.Errorf("of what is new: %s", unread)
	}
	// In a large room there are none, and they do not push messages out.
	got := module[string](t, ada, "conversation.js", `
const c = new m.Conversation("room", "lobby");
for (let i = 0; i < 1000; i++) { c.add({id: "m" + i, from: "x", text: i, time: i}); c.came("u" + i, "u" + i, i); }
const before = c.messages.filter((n) => n.kind !== "notice").length, notices = c.messages.length - before;
c.add({id: "m0", from: "x", time: 0});
c.add({id: "more", from: "x", time: 0});
const after = c.messages.filter((n) => n.kind !== "notice").length;
return [before, notices, after, c.messages[0].text, c.add({id: "m1", from: "x"}), c.add({id: "m999",
  from: "x"})].join();`)
	if got != "1000,50,801,200,true,false" {
		t.Errorf("of a large room: %s", got)
	}
}

// TestPageDrawsWhatChanges lets many messages arrive. The page draws each of them once and touches
// nothing else. Somebody who reads older messages is not disturbed.
func TestPageDrawsWhatChanges(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 600)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	talker := func(name string) {
		c := dialText(t, s.text)
		c.send("/login "+name, "/join lobby")
		c.expect("users")
		for i := range 7 {
			c.send(fmt.Sprintf("/say lobby %s %d", name, i))
		}
	}
	for i := range 6 {
		talker(fmt.Sprint("first", i))
	}
	atEnd := until(`((m) => m.scrollHeight > m.clientHeight &&
  m.scrollHeight - m.scrollTop - m.clientHeight < 2)(document.querySelector("#messages"))`)
	run(t, ada, hasHeard("first5", 7), shows("#users", "first5"), atEnd)
	// A change of the height of the window or of the box keeps the end in view.
	run(t, ada, chromedp.EmulateViewport(1280, 420), atEnd, paste("1\n2\n3\n4\n5\n6"), atEnd,
		chromedp.EmulateViewport(1280, 600), atEnd)

	ask[bool](t, ada, `
window.touched = [];
window.observer = new MutationObserver((all) => touched.push(...all.map(({target, removedNodes}) =>
  target.nodeName + "." + (target.id || target.className) + (removedNodes.length ? " removed" : ""))));
for (const id of ["sidebar", "people", "messages"]) observer.observe(document.getElementById(id),
  {subtree: true, childList: true, attributes: true, characterData: true});
true`)
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join elsewhere")
	bob.expect("users")
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join elsewhere", "/msg Ada an unread one")
	run(t, ada, shows("#privates", "Grace"))
	ask[bool](t, ada, `observer.takeRecords(), touched = [], true`)
	talkOn := func(from string) {
		c := dialText(t, s.text)
		c.send(`{"type":"login","name":"first0x"}`)
		c.expect("welcome")
		for i := range 6 {
			c.send(fmt.Sprintf("/msg Ada %s %d", from, i))
		}
		c.send("/quit")
	}
	talkOn("again")
	run(t, ada, shows("#privates", "6"))
	if touched := ask[[]string](t, ada, `touched.filter((t) =>
  !/privates|badge|LI|BUTTON|SPAN.sr|#text/.test(t))`); len(touched) > 1 {
		t.Errorf("messages in another conversation changed %q", touched)
	}
	// A reader of older messages.
	run(t, ada, chromedp.Evaluate[chromedp.Void](`document.querySelector("#messages").scrollTop = 40, 0`),
		until(`document.querySelector("#messages").scrollTop < 60`))
	ask[bool](t, ada,
		`observer.takeRecords(), touched = [],
  window.place = document.querySelectorAll("#talk .message")[3].getBoundingClientRect().top, true`)
	talker("second")
	run(t, ada, shows("#to-end", "new messages"), hasHeard("second", 7))
	moved := ask[float64](t, ada, `document.querySelectorAll("#talk .message")[3].getBoundingClientRect().top - place`)
	if moved != 0 {
		t.Errorf("the text under the eyes moved by %v pixels", moved)
	}
	if removed := ask[[]string](t, ada, `touched.filter((t) => /removed/.test(t) &&
  /talk/.test(t))`); len(removed) > 1 { // the notice of those who joined
		t.Errorf("to draw seven messages the page removed %d times", len(removed))
	}
	shot(t, ada, "reading-older")
	run(t, ada, click("#to-end"), atEnd)
}

// TestPageHidden lets messages arrive while the page is not visible. It changes nothing but the
// title, and shows the first of the messages as new when it is visible again.
func TestPageHidden(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), say("before"), shows("#talk", "before"),
		shows("#title", "lobby"))
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"))
	hide := func(hidden bool) {
		ask[bool](t, ada,
			fmt.Sprintf(`Object.defineProperty(document, "hidden", {configurable: true, get: () => %v}),
  document.dispatchEvent(new Event("visibilitychange")), true`, hidden))
	}
	hide(true)
	grace.send("/say lobby one", "/say lobby two")
	run(t, ada, until(`document.title === "(2) # lobby – sluice chat"`))
	if got := ask[string](t, ada, `document.querySelector("#talk").textContent`); strings.Contains(got, "one") {
		t.Errorf("the hidden page shows %q", got)
	}
	hide(false)
	run(t, ada, shows("#talk", "two"), until(`document.title === "# lobby – sluice chat"`),
		until(`document.querySelector("#talk .new")?.nextElementSibling.textContent.includes("one")`))
	shot(t, ada, "new")
}

// TestPageLeftRoom lets messages of a room arrive that the user has just left. The room does not
// come back.
func TestPageLeftRoom(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()))
	ask[bool](t, ada,
		`window.WebSocket = class extends WebSocket { constructor(url) { super(url); window.line = this; } }, true`)
	run(t, ada, logIn("Ada"), chromedp.SetValue(chromedp.CSS("#join-room"), "r9"), click("#join-form button"),
		shows("#title", "r9"), leaveRoom(), shows("#title", "lobby"))
	late := func(doc string) { ask[bool](t, ada, fmt.Sprintf(`line.onmessage({data: %q}), true`, doc)) }
	for _, doc := range []string{
		`{"type":"message","room":"r9","from":"Bob","text":"late","id":"1","time":1}`,
		`{"type":"joined","room":"r9","name":"Bob","time":1}`,
		`{"type":"users","room":"r9","users":["Bob"],"time":1}`, `{"type":"typing","room":"r9","from":"Bob","time":1}`,
		`{"type":"history","room":"r9","messages":[{"from":"Bob","text":"late","id":"1","time":1}],"time":1}`,
	} {
		late(doc)
	}
	run(t, ada, say("still here"), shows("#talk", "still here"))
	if rooms := ask[string](t, ada, `document.querySelector("#rooms").textContent`); strings.Contains(rooms, "r9") {
		t.Errorf("the room is back: %q", rooms)
	}
	if toast := ask[string](t, ada, `document.querySelector("#toast").textContent`); toast != "You have left # r9.Undo" {
		t.Errorf("the page says %q", toast)
	}
	// It can be joined again.
	run(t, ada, chromedp.SetValue(chromedp.CSS("#join-room"), "r9"), click("#join-form button"), shows("#title", "r9"))
}
