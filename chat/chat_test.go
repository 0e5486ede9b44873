package chat_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

func newChat(t *testing.T) *workertest.Gateway {
	t.Helper()
	return withStore(t, newHandler(t))
}

// newHandler returns a chat with a memory of its own.
func newHandler(t *testing.T) worker.Handler {
	t.Helper()
	h, err := chat.New(chat.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// withStore is a gateway in memory with a handler and the store that the chat needs.
func withStore(t *testing.T, h worker.Handler) *workertest.Gateway {
	t.Helper()
	st := newStore(t, store.Config{})
	g := workertest.New(t, h)
	g.OnInvoke(st.Serve)
	return g
}

// newStore returns a store in memory. It ends with the test.
func newStore(t *testing.T, cfg store.Config) *store.Store {
	t.Helper()
	cfg.Logger = quiet
	st, err := store.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// person is a client that reads events.
type person struct {
	*workertest.Client
	t *testing.T
}

func (p person) next() map[string]any {
	p.t.Helper()
	var e map[string]any
	if err := json.Unmarshal(p.Next().Data, &e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

// gets returns the next event of the type and skips others.
func (p person) gets(kind string) map[string]any {
	p.t.Helper()
	for {
		if e := p.next(); e["type"] == kind {
			return e
		}
	}
}

func enter(t *testing.T, g *workertest.Gateway, name string, rooms ...string) person {
	t.Helper()
	p := person{g.Dial(workertest.Request{}), t}
	p.Send("/login " + name)
	p.gets("welcome")
	for _, room := range rooms {
		p.Send("/join " + room)
		p.gets("users")
	}
	return p
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	cases := []struct{ sent, code string }{
		{`{"type":"say","room":"lobby","text":"x"}`, "login_first"},
		{`{"type":`, "bad_request"},
		{`{}x`, "bad_request"},
		{"\xff", "bad_request"},
		{"/fly", "bad_request"},
		{"hello", "login_first"},
		{`{"type":"login","name":"\u3164"}`, "bad_name"},
		{`{"type":"login","name":"\u2800"}`, "bad_name"},
		{`{"type":"login","name":"a\u034fb"}`, "bad_name"},
		{`{"type":"login","name":"taken\ufe0f"}`, "name_taken"},
		{`{"type":"login","name":""}`, "bad_name"},
		{`{"type":"login","name":"` + strings.Repeat("x", 25) + `"}`, "bad_name"},
		{`{"type":"login","name":"a\u202eb"}`, "bad_name"},
		{`{"type":"login","name":"a\u200bb"}`, "bad_name"},
		{`{"type":"login","name":"a\u0007b"}`, "bad_name"},
		{`{"type":"login","name":"Taken"}`, "name_taken"},
		{`{"type":"login","name":"TAKEN"}`, "name_taken"},
		{`{"type":"login","name":"Taken","token":"guessed"}`, "name_taken"},
	}
	g := newChat(t)
	enter(t, g, "Taken")
	for _, c := range cases {
		p := person{g.Dial(workertest.Request{}), t}
		p.Send(c.sent)
		if e := p.next(); e["code"] != c.code {
			t.Errorf("%q: %v, not %s", c.sent, e, c.code)
		}
	}
	p := enter(t, g, "Ann", "lobby")
	for _, c := range []struct{ sent, code string }{
		{`{"type":"login","name":"Other"}`, "bad_request"},
		{`{"type":"fly"}`, "bad_request"},
		{`{"type":"join","room":""}`, "bad_room"},
		{`{"type":"leave","room":"elsewhere"}`, "not_in_room"},
		{`{"type":"say","room":"elsewhere","text":"x"}`, "not_in_room"},
		{`{"type":"say","room":"lobby","text":" \n "}`, "bad_text"},
		{`{"type":"say","room":"lobby","text":"\u001b[2J"}`, "bad_text"},
		{"\x01", "bad_text"},
	} {
		p.Send(c.sent)
		if e := p.gets("error"); e["code"] != c.code {
			t.Errorf("%q: %v, not %s", c.sent, e, c.code)
		}
	}
}

// Requests with endless nesting, ambiguous documents and text that drives a terminal are refused.
// Other text reaches clients unchanged, as data.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	bob := enter(t, g, "Bob", "lobby")
	for i, c := range []struct{ sent, code string }{
		{`{"type":` + strings.Repeat("[", 1_000_000), "bad_request"},
		{`{"type":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 201), "bad_request"},
		{`{"type":"say","room":"lobby","text":"x","text":"y"}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":"x","t\u0065xt":"y"}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":"x","n":1e999}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":"\u0000"}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":"\ud800"}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":["x"]}`, "bad_request"},
		{`{"type":"say","room":"lobby","text":"` + strings.Repeat("x", 2001) + `"}`, "bad_text"},
		{`{"type":"say","room":"lobby","text":"\u009b2J"}`, "bad_text"},
		{`{"type":"say","room":"lobby","text":"\u001b]0;title\u0007"}`, "bad_text"},
		{`{"type":"join","room":"a\u0007b"}`, "bad_room"},
		{`{"type":"join","room":"\u001b[31m"}`, "bad_room"},
		{`{"type":"join","room":"` + strings.Repeat("x", 100_000) + `"}`, "bad_room"},
		{`{"type":"private","to":"b\u202eob","text":"x"}`, "bad_name"},
		{`{"type":"` + strings.Repeat("\\u001b", 100_000) + `"}`, "bad_request"},
		{"/join \x1b[2J", "bad_room"},
		{"/msg \x9b x", "bad_request"},
		{"a\x1b[2Jb", "bad_text"},
	} {
		p := enter(t, g, fmt.Sprint("Mallory", i), "lobby")
		p.Send(c.sent)
		e := p.gets("error")
		if e["code"] != c.code {
			t.Errorf("%.60q: %.200v, not %s", c.sent, e, c.code)
		}
		if text, _ := e["text"].(string); len(text) > 500 || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%.60q is answered %.600q", c.sent, text)
		}
		p.Drop()
	}
	ann := enter(t, g, "Ann<b>'\"&", "lobby")
	said := "</script><img src=x onerror=alert(1)>\r\n\"};{\"type\":\"left\"} %s ${x} \u2028"
	words, err := json.Marshal(map[string]string{"type": "say", "room": "lobby", "text": said})
	if err != nil {
		t.Fatal(err)
	}
	ann.Send(strings.ReplaceAll(string(words), `\r`, ""))
	e := bob.gets("message")
	if e["text"] != strings.TrimSpace(strings.ReplaceAll(said, "\r", "")) || e["from"] != "Ann<b>'\"&" {
		t.Errorf("Bob receives %q", e)
	}
}

func TestRoomAndPrivate(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ann := enter(t, g, "Ann", "lobby", "tea")
	bob := enter(t, g, "Bob", "lobby")
	if e := ann.gets("joined"); e["name"] != "Bob" || e["room"] != "lobby" {
		t.Errorf("Ann got %v", e)
	}
	ann.Send("/say lobby <script>alert(1)</script>")
	if e := bob.gets("message"); e["text"] != "<script>alert(1)</script>" || e["from"] != "Ann" {
		t.Errorf("Bob got %v", e)
	}
	ann.Send("/msg bob between us")
	if e := bob.gets("private"); e["text"] != "between us" || e["to"] != "Bob" {
		t.Errorf("Bob got %v", e)
	}
	ann.gets("private") // her own windows show it too
	ann.Send("/msg Zoe hello")
	if e := ann.gets("error"); e["code"] != "offline" {
		t.Errorf("to somebody who is not there: %v", e)
	}
	ann.Send(`{"type":"typing","room":"lobby"}`)
	if e := bob.gets("typing"); e["from"] != "Ann" {
		t.Errorf("Bob got %v", e)
	}
	ann.Send("/rooms")
	if e := ann.gets("rooms"); fmt.Sprint(e["rooms"]) != "[map[count:2 name:lobby] map[count:1 name:tea]]" {
		t.Errorf("rooms: %v", e["rooms"])
	}
	cid := enter(t, g, "Cid")
	cid.Send("/join lobby")
	past := cid.gets("history")
	if fmt.Sprint(past["messages"]) == "<nil>" || !strings.Contains(fmt.Sprint(past["messages"]), "alert(1)") {
		t.Errorf("history: %v", past)
	}
	if e := cid.gets("users"); fmt.Sprint(e["users"]) != "[Ann Bob Cid]" {
		t.Errorf("users: %v", e["users"])
	}
	ann.Drop()
	if e := bob.gets("left"); e["name"] != "Ann" || e["room"] != "lobby" {
		t.Errorf("Bob got %v", e)
	}
}

// A client that does not log in within half a minute is closed.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		silent, ann := person{g.Dial(workertest.Request{}), t}, enter(t, g, "Ann")
		time.Sleep(31 * time.Second) // of the bubble's clock
		if e := silent.next(); e["code"] != "login_timeout" {
			t.Errorf("got %v", e)
		}
		silent.ExpectClosed(worker.ReasonKicked)
		ann.Send("/rooms")
		ann.gets("rooms")
	})
}

// If several clients take a name at the same time, one of them keeps it.
func TestNameRace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		var all []person
		for range 5 {
			all = append(all, person{g.Dial(workertest.Request{}), t})
		}
		for _, p := range all {
			p.Send("/login Ann")
		}
		synctest.Wait() // until nothing moves any more
		refused := 0
		for _, p := range all {
			for range p.Pending() {
				if p.next()["code"] == "name_taken" {
					refused++
				}
			}
		}
		if refused != len(all)-1 {
			t.Errorf("%d of %d were refused", refused, len(all))
		}
	})
}

// Too many requests are refused, and the client stays connected. Invalid requests count too.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		p := enter(t, g, "Ann", "lobby")
		for range 30 {
			p.Send("/say lobby x")
		}
		if e := p.gets("error"); e["code"] != "slow_down" {
			t.Errorf("got %v", e)
		}
		p.Send(`{"type":"leave","room":"lobby","ref":"l"}`)
		for e := p.next(); e["ref"] != "l" || e["room"] != "lobby"; e = p.next() { // so that the client leaves it later
		}
		p = person{g.Dial(workertest.Request{}), t}
		for range 30 {
			p.Send("{no request")
		}
		for p.gets("error")["code"] != "slow_down" {
		}
	})
}

// Names and rooms survive the replacement of a worker. The new worker closes the clients that do
// not log in.
func TestWorkerReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ann, bob := enter(t, g, "Ann", "lobby"), enter(t, g, "Bob", "lobby")
		cid := person{g.Dial(workertest.Request{}), t}
		cid.Send(`{"type":"login","name":"Cid"}`)
		cid.gets("welcome")
		silent := person{g.Dial(workertest.Request{}), t}
		synctest.Wait()
		g.RestartWorker(func() worker.Handler { return newHandler(t) })
		ann.Send("/say lobby still here")
		if e := bob.gets("message"); e["from"] != "Ann" || e["text"] != "still here" {
			t.Errorf("Bob got %v", e)
		}
		other := person{g.Dial(workertest.Request{}), t}
		other.Send(`{"type":"login","name":"Cid"}`)
		if e := other.gets("error"); e["code"] != "name_taken" {
			t.Errorf("another Cid got %v", e)
		}
		time.Sleep(31 * time.Second) // of the bubble's clock
		if e := silent.next(); e["code"] != "login_timeout" {
			t.Errorf("a client that does not log in got %v", e)
		}
	})
}

// Every client receives the messages of every other client, in each sender's order.
func TestManyTalk(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	const people, each = 10, 8
	var all []person
	for i := range people {
		all = append(all, enter(t, g, fmt.Sprintf("p%d", i), "lobby"))
	}
	for n := range each {
		for _, p := range all {
			p.Send(fmt.Sprintf("/say lobby %d", n))
		}
	}
	for i, p := range all {
		next := make(map[string]int)
		for range people * each {
			e := p.gets("message")
			from := e["from"].(string)
			if e["text"] != fmt.Sprint(next[from]) {
				t.Fatalf("p%d received %v of %s when %d was due", i, e["text"], from, next[from])
			}
			next[from]++
		}
	}
}

// Text of users can only become text: the page has no code that makes markup of a string, and its
// policy lets no other script run.
func TestPageIsSafe(t *testing.T) {
	t.Parallel()
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|` +
		`setAttribute\("on|style=|<script>|on(click|load|error)="`)
	err := fs.WalkDir(os.DirFS("page"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile("page/" + path)
		if found := markup.Find(b); found != nil {
			t.Errorf("%s contains %q", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	chat.Page("").ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy: %q", policy)
	}
	for _, path := range []string{"/../chat.go", "/page", "/nothing"} {
		w := httptest.NewRecorder()
		chat.Page("").ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}
