package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// These tests check that text that was typed and not sent or not confirmed is never lost.

// until polls a condition of the page.
func until(condition string, args ...any) step {
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(condition, args...),
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(browsertest.Patience))
}

// boxHolds waits until the text box contains exactly the text.
func boxHolds(text string) step {
	return until(`document.querySelector("#say-text").value === %q`, text)
}

// paste inserts a text into the box as a paste does: at once, with an input event. If the text is
// too long for the element it is cut.
func paste(text string) step {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(
		`document.querySelector("#say-text").focus(), document.execCommand("insertText", false, %s)`, quoteJS(text)))
}

// emptyBox selects all text in the box and deletes it.
func emptyBox() step {
	return chromedp.Evaluate[chromedp.Void](`((box) => (box.focus(), box.select(), document.execCommand("delete")))(
		document.querySelector("#say-text"))`)
}

func quoteJS(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// enterKey presses Enter in the box. chromedp's own key inserts a line break even if the page has
// prevented that.
func enterKey() step {
	return chromedp.Evaluate[chromedp.Void](
		`document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}))`)
}

// inBox returns whether the focus is in the box.
func inBox(t *testing.T, ctx context.Context) {
	t.Helper()
	if id := ask[string](t, ctx, `document.activeElement.id`); id != "say-text" {
		t.Errorf("the focus is on %q", id)
	}
}

// A wire forwards connections to a server. It can hold data back or cut the connections.
type wire struct {
	addr string

	mu     sync.Mutex
	server string     // where new connections lead
	moved  *sync.Cond // broadcast when flows have changed
	flows  map[net.Conn]flow
	ended  bool
}

// flow is the state of the data that is read from one connection.
type flow struct{ toServer, held bool }

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: listener.Addr().String(), server: server, flows: make(map[net.Conn]flow)}
	w.moved = sync.NewCond(&w.mu)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			page, err := listener.Accept()
			if err != nil {
				return
			}
			w.accept(page, &running)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		w.cut()
		running.Wait()
	})
	return w
}

func (w *wire) accept(page net.Conn, running *sync.WaitGroup) {
	w.mu.Lock()
	to := w.server
	w.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = page.Close()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		_, _ = page.Close(), server.Close()
		return
	}
	w.flows[page], w.flows[server] = flow{toServer: true}, flow{}
	running.Go(func() { w.carry(server, page) })
	running.Go(func() { w.carry(page, server) })
}

// carry copies from one end to the other until an end is closed or the wire is cut.
func (w *wire) carry(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		for w.flows[from].held {
			w.moved.Wait()
		}
		_, whole := w.flows[from]
		w.mu.Unlock()
		if !whole {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// hold holds back the data of one direction on the present connections, until the wire is cut.
func (w *wire) hold(toServer bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn, f := range w.flows {
		w.flows[conn] = flow{f.toServer, f.held || f.toServer == toServer}
	}
}

// cut ends all connections. Data that was held back is lost.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.flows {
		_ = conn.Close()
	}
	clear(w.flows)
	w.moved.Broadcast()
}

// overWire starts a server and a window that connects to it through a wire.
func overWire(t *testing.T, width, height int) (s *server, w *wire, ada context.Context) {
	t.Helper()
	browsertest.Path(t)
	s = startServer(t, "127.0.0.1:0")
	w = newWire(t, strings.TrimPrefix(s.web, "ws://"))
	ada = browsertest.Open(t, width, height)
	run(t, ada, browsertest.Navigate("http://"+w.addr+"/"), logIn("Ada"))
	return s, w, ada
}

// TestPageQuickTypist types fifteen lines as fast as it can, more than the server allows at once.
// All arrive, in order.
func TestPageQuickTypist(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	ask[bool](t, ada, `window.words = new Set(), new MutationObserver(() => {
  for (const e of document.querySelectorAll("#outbox .word")) words.add(e.textContent);
}).observe(document.querySelector("#outbox"), {childList: true, characterData: true, subtree: true}), true`)
	var want []string
	for i := range 15 {
		want = append(want, fmt.Sprint("line ", i+1))
	}
	run(t, ada, chromedp.Evaluate[chromedp.Void](`for (let i = 1; i <= 15; i++) {
  document.querySelector("#say-text").focus(), document.execCommand("insertText", false, "line " + i);
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}));
}`))
	for _, line := range want {
		if got := grace.expect("message")["text"]; got != line {
			t.Fatalf("Grace receives %q, not %q", got, line)
		}
	}
	run(t, ada, shows("#talk", "line 15"), outboxEmpty(), boxHolds(""))
	if got := spoken(t, ada, "line"); !slices.Equal(got, want) {
		t.Errorf("Ada sees %q", got)
	}
	inBox(t, ada)
	if words := ask[string](t, ada, `[...words].join()`); !strings.Contains(words, "faster than the chat allows") {
		t.Errorf("of the lines that waited the page said %q", words)
	}
	// A reader at the end of the list stays there when the box grows.
	atTheEnd := until(`((m) => m.scrollHeight > m.clientHeight && m.scrollHeight - m.scrollTop - m.clientHeight < 2)(
		document.querySelector("#messages"))`)
	run(t, ada, paste(strings.Repeat("\n", 5)), until(`document.querySelector("#say-text").rows === 6`), atTheEnd)
}

// TestPageDrafts changes the conversation while a text is half written. The text stays in its
// conversation, also after a reload and after the user has left and come back.
func TestPageDrafts(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby")
	bob.expect("users")
	lobby := click(`[data-conversation="room:lobby"] button`)
	private := click(`#privates button`)
	run(t, ada, click(`#users [data-name="Bob"]`), shows("#title", "Bob"), paste("the password is hunter2"), lobby,
		shows("#title", "lobby"), boxHolds(""))
	run(t, ada, enterKey(), paste("in the lobby"),
		until(`document.querySelector("#privates li").classList.contains("draft")`))
	run(t, ada, private, boxHolds("the password is hunter2"), lobby, boxHolds("in the lobby"))
	run(t, ada, browsertest.Reload(), shows("#title", "lobby"), boxHolds("in the lobby"), private,
		boxHolds("the password is hunter2"))
	run(t, ada, lobby, leaveRoom(), shows("#title", "Bob"),
		chromedp.SetValue(chromedp.CSS("#join-room"), "lobby"), click("#join-form button"),
		shows("#title", "lobby"), boxHolds("in the lobby"), enterKey(), shows("#messages", "in the lobby"), boxHolds(""))
	for e := bob.next(); e["text"] != "in the lobby"; e = bob.next() {
		if e["type"] == "message" || e["type"] == "private" {
			t.Errorf("Bob receives %v", e)
		}
	}
}

// TestPageTooLong pastes a text that is longer than a message may be. It stays complete and is not
// sent, and the page says by how much it is too long. Characters are counted as the server counts
// them.
func TestPageTooLong(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 390, 844)
	long := strings.Repeat("0123456789", 799) + "the end..."
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), paste(long), shows("#say-count", "6,000 too many"),
		shows("#say-note", "at most 2,000"),
		enterKey(), boxHolds(long))
	inBox(t, ada)
	if !ask[bool](t, ada, `document.querySelector("#say-button").disabled`) {
		t.Error("the text can be sent")
	}
	if ask[string](t, ada, `document.querySelector("#say-text").getAttribute("aria-invalid")`) != "true" {
		t.Error("the box is not said to be invalid")
	}
	shot(t, ada, "too-long")
	emoji := strings.Repeat("😀", 2000)
	run(t, ada, emptyBox(), shows("#say-count", ""), paste(emoji), shows("#say-count", "2,000 of 2,000"),
		enterKey(), shows("#messages", emoji), boxHolds(""))
	run(t, ada, paste(emoji+"x"), shows("#say-count", "1 too many"), enterKey(),
		chromedp.Evaluate[chromedp.Void](`document.execCommand("delete")`), shows("#say-count", "2,000 of 2,000"),
		enterKey(), boxHolds(""), until(`document.querySelectorAll("#messages .text").length === 2`))
}

// TestPageRefused checks that each refusal is shown with its reason, and that the text can be sent
// again, edited or deleted.
func TestPageRefused(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby")
	token := bob.expect("welcome")["token"]
	bob.expect("users")
	run(t, ada, click(`#users [data-name="Bob"]`), shows("#title", "Bob"))
	bob.send("/quit")
	run(t, ada, shows("#rooms", "1 person"), paste("are you there"), enterKey(),
		shows("#outbox .failed", "Bob is not online"), boxHolds(""))
	bob = dialText(t, s.text)
	bob.send(fmt.Sprintf(`/login "Bob" %s`, token), "/join lobby")
	bob.expect("users")
	run(t, ada, click("#outbox .sendAgain"), shows("#talk", "are you there"), outboxEmpty())
	inBox(t, ada)
	if e := bob.expect("private"); e["text"] != "are you there" {
		t.Errorf("Bob receives %v", e)
	}
	run(t, ada, click(`[data-conversation="room:lobby"] button`), paste("red\u001b[31m"), enterKey(),
		shows("#outbox .failed", "must not contain control characters"))
	shot(t, ada, "refused")
	if ask[bool](t, ada, `document.querySelector("#outbox .sendAgain").checkVisibility()`) {
		t.Error("a text that is never accepted can be sent again")
	}
	run(t, ada, click("#outbox .putBack"), boxHolds("red\u001b[31m"), outboxEmpty(), enterKey(),
		shows("#outbox .failed", "control characters"), click("#outbox .discard"), outboxEmpty(), boxHolds(""))
}

// outboxEmpty waits until no message is unconfirmed.
func outboxEmpty() step { return until(`document.querySelectorAll("#outbox li").length === 0`) }

// TestPageOffline writes while there is no connection. The messages are shown at once, and are sent
// when the connection is back.
func TestPageOffline(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 390, 844)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	s.stop()
	run(t, ada, shows("#pill", "reconnecting"), paste("still here"), enterKey(), shows("#outbox", "still here"),
		shows("#outbox", "Waiting for the connection"), boxHolds(""))
	inBox(t, ada)
	run(t, ada, paste("and here"), enterKey(), shows("#outbox", "and here"))
	shot(t, ada, "offline-kept")
	startServer(t, strings.TrimPrefix(s.web, "ws://"))
	run(t, ada, shows("#pill", "connected"), shows("#talk", "and here"), outboxEmpty())
	if got := ask[string](t, ada, `[...document.querySelectorAll("#talk .text")].map((e) =>
  e.textContent).join()`); got != "still here,and here" {
		t.Errorf("the page shows %s", got)
	}
}

// TestPageDeadLine sends two messages on a connection that is dead without being closed. The page
// notices that, reconnects, and sends both once and in order. A connection that is dead for longer
// than an answer takes is noticed again.
func TestPageDeadLine(t *testing.T) {
	t.Parallel()
	s, w, ada := overWire(t, 390, 844)
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"))
	ask[bool](t, ada, watch)
	w.hold(true)
	run(t, ada, paste("first"), enterKey(), paste("second"), enterKey(), boxHolds(""),
		until(`document.querySelectorAll("#outbox li").length === 2`), shows("#outbox", "Sending"))
	ask[int](t, ada, `setTimeout(() => shown.push("late"), 30_000)`) // the page takes 9 s, by the same clock
	shot(t, ada, "sending")
	run(t, ada, until(`shown.some((text) => text.includes("reconnecting"))`))
	if shown := ask[[]string](t, ada, `shown`); slices.Contains(shown, "late") {
		t.Errorf("the dead connection was noticed after 30 s: %q", shown)
	}
	run(t, ada, shows("#pill", "connected"), outboxEmpty(), shows("#talk", "second"))
	inBox(t, ada)
	grace.send("/say lobby so far")
	for _, want := range []string{"first", "second", "so far"} {
		if e := grace.expect("message"); e["text"] != want {
			t.Errorf("Grace receives %v, not %s", e["text"], want)
		}
	}
}

// TestPageLateEcho loses the answers to messages and not the messages. They are not published a
// second time, whether the page learns of them from the history or not.
func TestPageLateEcho(t *testing.T) {
	t.Parallel()
	s, w, ada := overWire(t, 1280, 800)
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"))
	w.hold(false)
	run(t, ada, paste("said once"), enterKey())
	if e := grace.expect("message"); e["text"] != "said once" || e["ref"] == nil {
		t.Errorf("Grace receives %v", e)
	}
	w.cut()
	run(t, ada, shows("#talk", "said once"), outboxEmpty(), click(`#users [data-name="Grace"]`), shows("#title", "Grace"))
	w.hold(false)
	run(t, ada, paste("told once"), enterKey())
	if e := grace.expect("private"); e["text"] != "told once" {
		t.Errorf("Grace receives %v", e)
	}
	w.cut()
	run(t, ada, shows("#talk", "told once"), outboxEmpty(), paste("the end"), enterKey(), shows("#talk", "the end"))
	if e := grace.expect("private"); e["text"] != "the end" {
		t.Errorf("Grace receives %v", e)
	}
	if n := ask[int](t, ada, `document.querySelectorAll("#talk .text").length`); n != 2 {
		t.Errorf("the page shows %d messages", n)
	}
}

// TestPageReloaded reloads the page while a message is unconfirmed on a dead connection. The
// message is sent again, and nothing is shown twice.
func TestPageReloaded(t *testing.T) {
	t.Parallel()
	s, w, ada := overWire(t, 1280, 800)
	grace := dialText(t, s.text)
	grace.send("/login Grace", "/join lobby")
	grace.expect("users")
	run(t, ada, shows("#users", "Grace"))
	w.hold(true)
	run(t, ada, paste("under way"), enterKey(), shows("#outbox", "under way"), browsertest.Reload())
	run(t, ada, shows("#title", "lobby"), shows("#talk", "under way"), outboxEmpty())
	grace.send("/say lobby so far")
	for _, want := range []string{"under way", "so far"} {
		if e := grace.expect("message"); e["text"] != want {
			t.Errorf("Grace receives %v, not %s", e["text"], want)
		}
	}
}

// TestRefs sends requests with refs. The answers repeat them. The answer to a request without a ref
// has none.
func TestRefs(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ann, bob := enter(t, g, "Ann", "lobby"), enter(t, g, "Bob", "lobby")
	for _, c := range []struct{ sent, code, ref string }{
		{`{"type":"say","room":"elsewhere","text":"x","ref":"1"}`, "not_in_room", "1"},
		{`{"type":"say","room":"lobby","text":" ","ref":"2"}`, "bad_text", "2"},
		{`{"type":"private","to":"Zoe","text":"x","ref":"3"}`, "offline", "3"},
		{`{"type":"fly","ref":"4"}`, "bad_request", "4"},
		{`{"type":"say","room":"lobby","text":"x","ref":"` + strings.Repeat("x", 25) + `"}`, "bad_request", "<nil>"},
		{`{"type":"say","room":"lobby","text":"x","ref":"\u202e"}`, "bad_request", "<nil>"},
		{`{"type":"say","room":"elsewhere","text":"x"}`, "not_in_room", "<nil>"},
	} {
		ann.Send(c.sent)
		if e := ann.gets("error"); e["code"] != c.code || fmt.Sprint(e["ref"]) != c.ref {
			t.Errorf("%s: %v, not %s of %s", c.sent, e, c.code, c.ref)
		}
	}
	bob.Send(`{"type":"say","room":"lobby","text":"x","ref":"m-1"}`)
	if e := bob.gets("message"); e["ref"] != "m-1" {
		t.Errorf("said: %v", e)
	}
	bob.Send(`{"type":"private","to":"Ann","text":"x","ref":"m-2"}`)
	if e := bob.gets("private"); e["ref"] != "m-2" {
		t.Errorf("said in private: %v", e)
	}
	bob.Send("of a text client")
	if e := bob.gets("message"); e["ref"] != nil {
		t.Errorf("said: %v", e)
	}
	cid := enter(t, g, "Cid")
	cid.Send(`{"type":"join","room":"lobby"}`)
	if past := fmt.Sprint(cid.gets("history")["messages"]); !strings.Contains(past, "ref:m-1") {
		t.Errorf("history: %s", past)
	}
	quick := person{g.Dial(workertest.Request{}), t}
	for i := range 20 {
		quick.Send(fmt.Sprintf(`{"type":"users","ref":"q%d"}`, i))
	}
	for i := range 20 {
		if e := quick.gets("error"); e["ref"] != fmt.Sprint("q", i) {
			t.Errorf("answer %d: %v", i, e)
		}
	}
	quick.Send(`{"type":"users","ref":"q","text":"` + strings.Repeat("x", 40_000) + `"}`)
	if e := quick.gets("error"); e["code"] != "slow_down" || e["ref"] != nil {
		t.Errorf("what is too large to be read: %v", e)
	}
}
