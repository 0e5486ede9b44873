package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// inLobby lets a user join the lobby.
func (u user) inLobby() user {
	u.t.Helper()
	u.Send("/join lobby")
	u.gets("users")
	return u
}

// texts returns the texts of the messages in a history.
func texts(e map[string]any) (all []string) {
	list, _ := e["messages"].([]any)
	for _, m := range list {
		all = append(all, fmt.Sprint(m.(map[string]any)["text"]))
	}
	return all
}

// What was said is there after the worker was replaced. It is read backwards, page by page.
func TestHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada := mustLogIn(t, g, here, "Ada", "").inLobby()
		for i := range 60 {
			ada.Send(fmt.Sprint(i + 1))
			ada.gets("message")
			time.Sleep(time.Second) // of the bubble's clock: not faster than the chat allows
		}
		g.RestartWorker(func() worker.Handler { return newHandler(t) })
		bob := mustLogIn(t, g, here, "Bob", "")
		bob.Send("/join lobby")
		e := bob.gets("history")
		if got := texts(e); len(got) != 50 || got[0] != "11" || e["more"] != true || e["first"] != 1.0 || e["last"] != 60.0 {
			t.Errorf("%v", e)
		}
		for _, c := range []struct {
			asked, texts string
			more         any
		}{
			{`{"type":"history","room":"lobby","before":11,"limit":3}`, "[8 9 10]", true},
			{`{"type":"history","room":"lobby","before":3}`, "[1 2]", nil},
			{`{"type":"history","room":"lobby","after":57}`, "[58 59 60]", nil},
			{"/history 4", "[1 2 3]", nil},
			{"/history #lobby 2", "[1]", nil},
		} {
			bob.Send(c.asked)
			if e := bob.gets("history"); fmt.Sprint(texts(e)) != c.texts || e["more"] != c.more {
				t.Errorf("%s: %v", c.asked, e)
			}
		}
		for asked, code := range map[string]string{
			`{"type":"history","room":"elsewhere"}`: "not_in_room", "/history x": "bad_request", "/history @Nobody": "not_found",
		} {
			bob.Send(asked)
			if e := bob.gets("error"); e["code"] != code {
				t.Errorf("%s: %v", asked, e)
			}
		}
	})
}

// A client that comes back gets what it has missed, and is told if some of it is lost.
func TestResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada, bob := mustLogIn(t, g, here, "Ada", "").inLobby(), mustLogIn(t, g, here, "Bob", "").inLobby()
		ada.Send("one")
		ada.Send(`{"type":"private","to":"Bob","text":"in private"}`)
		bob.gets("private")
		bob.Drop()
		synctest.Wait()
		for _, text := range []string{"two", "three"} {
			ada.Send(text)
		}
		ada.Send(`{"type":"private","to":"Bob","text":"while you were away"}`)
		ada.gets("private")
		if e := ada.gets("private"); e["away"] != true {
			t.Errorf("Ada got %v", e)
		}
		come := func(since, generation string) (w map[string]any) {
			bob.person = person{g.Dial(workertest.Request{}), t}
			bob.Send(fmt.Sprintf(`{"type":"login","name":"Bob","token":%q,"since":%s,"generation":%q}`,
				bob.token, since, generation))
			return bob.gets("welcome")
		}
		w := come(`{}`, "")
		all := w["conversations"].([]any)
		if fmt.Sprint(all) != fmt.Sprintf("[map[last:3 room:lobby] map[last:2 with:Ada withUid:%s]]", ada.uid) {
			t.Errorf("Bob has %v", all)
		}
		generation := fmt.Sprint(w["generation"])
		since := fmt.Sprintf(`{"#lobby":1,"@%s":1}`, ada.uid)
		bob.Drop()
		come(since, generation)
		if e := bob.gets("history"); fmt.Sprint(texts(e)) != "[two three]" || e["after"] != 1.0 || e["gap"] != nil {
			t.Errorf("Bob missed %v", e)
		}
		if e := bob.gets("history"); fmt.Sprint(texts(e)) != "[while you were away]" || e["withUid"] != ada.uid {
			t.Errorf("Bob missed %v", e)
		}
		bob.Drop()
		come(since, "another") // the numbers mean nothing
		if e := bob.gets("history"); fmt.Sprint(texts(e)) != "[one two three]" || e["after"] != nil {
			t.Errorf("Bob gets %v", e)
		}
		bob.Drop()
		come(`{"#lobby":99}`, generation)
		if e := bob.gets("history"); fmt.Sprint(texts(e)) != "[one two three]" || e["gap"] != true {
			t.Errorf("Bob gets %v", e)
		}
	})
}

// A message is edited, deleted and reacted to, by JSON and by typed commands. Everybody in the
// conversation gets it as it is then.
func TestChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada, bob := mustLogIn(t, g, here, "Ada", "").inLobby(), mustLogIn(t, g, there, "Bob", "").inLobby()
		ada.gets("joined")
		ada.Send("helo")
		id := ada.gets("message")["id"]
		for _, c := range []struct {
			by   user
			sent string
			want string // of the message
		}{
			{ada, `{"type":"edit","room":"lobby","seq":1,"text":"hello","ref":"e1"}`, "hello <nil> <nil>"},
			{ada, "/edit 1 hello all", "hello all <nil> <nil>"},
			{bob, `{"type":"react","room":"lobby","seq":1,"emoji":"👍"}`,
				fmt.Sprintf("hello all [map[emoji:👍 uids:[%s]]] <nil>", bob.uid)},
			{bob, `{"type":"react","room":"lobby","seq":1,"emoji":"👍","off":true}`, "hello all <nil> <nil>"},
			{ada, "/react #lobby 1 :+1:", fmt.Sprintf("hello all [map[emoji::+1: uids:[%s]]] <nil>", ada.uid)},
			{ada, "/delete 1", "<nil> <nil> true"},
		} {
			time.Sleep(time.Second) // of the bubble's clock
			c.by.Send(c.sent)
			for _, p := range []user{ada, bob} {
				e := p.gets("changed")
				m := e["message"].(map[string]any)
				got := fmt.Sprintf("%v %v %v", m["text"], m["reactions"], m["deleted"])
				if got != c.want || m["id"] != id || e["uid"] != c.by.uid || e["seq"] != 1.0 || m["from"] != "Ada" {
					t.Errorf("%s: %v", c.sent, e)
				}
			}
		}
		bob.Send("first")
		bob.gets("message")
		ada.Send("/reply 2 second")
		reply, _ := bob.gets("message")["reply"].(map[string]any)
		if reply["text"] != "first" || reply["from"] != "Bob" || reply["seq"] != 2.0 {
			t.Errorf("replies to %v", reply)
		}
		for sent, code := range map[string]string{
			"/edit 2 not mine": "not_yours", "/delete 2": "not_yours", "/edit 9 x": "not_found", "/edit x": "bad_request",
			"/edit 3": "bad_text", "/react 2 xyz": "bad_emoji", "/react 2 :x y:": "bad_emoji",
			"/edit #other 1 x": "not_in_room",
			`{"type":"react","room":"lobby","seq":2,"emoji":"<b>"}`: "bad_emoji", "/reply 9 x": "not_found",
		} {
			time.Sleep(time.Second)
			ada.Send(sent)
			if e := ada.gets("error"); e["code"] != code {
				t.Errorf("%s: %v", sent, e)
			}
		}
		time.Sleep(15 * time.Minute)
		ada.Send("/edit 3 too late")
		if e := ada.gets("error"); e["code"] != "too_late" {
			t.Errorf("%v", e)
		}
	})
}

// The same in a private talk, whose messages nobody else can name.
func TestPrivateChanges(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada, bob := mustLogIn(t, g, here, "Ada", ""), mustLogIn(t, g, there, "Bob", "")
	eve := mustLogIn(t, g, "192.0.2.3:1", "Eve", "")
	ada.Send("/msg Bob secrt")
	bob.gets("private")
	ada.Send("/edit @Bob 1 secret")
	m := bob.gets("changed")["message"].(map[string]any)
	if m["text"] != "secret" || m["from"] != "Ada" || m["toUid"] != bob.uid || m["type"] != "private" {
		t.Errorf("Bob got %v", m)
	}
	bob.Send(`{"type":"react","toUid":"` + ada.uid + `","seq":1,"emoji":"❤️"}`)
	ada.gets("changed")
	if m := ada.gets("changed")["message"].(map[string]any); m["reactions"] == nil || m["to"] != "Bob" {
		t.Errorf("Ada got %v", m)
	}
	bob.Send("/reply @Ada 1 understood")
	if e := ada.gets("private"); e["reply"] == nil || e["text"] != "understood" {
		t.Errorf("Ada got %v", e)
	}
	for _, sent := range []string{
		`{"type":"edit","toUid":"` + ada.uid + `","seq":1,"text":"x"}`,
		`{"type":"edit","toUid":"` + ada.uid + " " + bob.uid + `","seq":1,"text":"x"}`,
		`{"type":"react","room":"@` + ada.uid + " " + bob.uid + `","seq":1,"emoji":"👍"}`,
		"/react @Bob 1 :x:",
	} {
		eve.Send(sent)
		if e := eve.gets("error"); e["code"] != "not_found" && e["code"] != "not_in_room" {
			t.Errorf("%s: %v", sent, e)
		}
	}
	eve.Send(`{"type":"history","toUid":"` + ada.uid + " " + bob.uid + `"}`)
	if e := eve.gets("history"); len(texts(e)) > 0 {
		t.Errorf("Eve reads %v", e)
	}
}

// A client can ask whether the user with whom it talks in private is connected.
func TestPresence(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada, bob := mustLogIn(t, g, here, "Ada", ""), mustLogIn(t, g, here, "Bob", "")
	ask := `{"type":"presence","toUid":"` + bob.uid + `","ref":"p"}`
	ada.Send(ask)
	if e := ada.gets("presence"); e["toUid"] != bob.uid || e["away"] != nil || e["ref"] != "p" {
		t.Errorf("%v", e)
	}
	bob.Send("/quit")
	bob.ExpectClosed(worker.ReasonKicked)
	ada.Send(ask)
	if e := ada.gets("presence"); e["away"] != true {
		t.Errorf("%v", e)
	}
	for _, uid := range []string{"", strings.Repeat("u", 65)} {
		ada.Send(`{"type":"presence","toUid":"` + uid + `"}`)
		if e := ada.gets("error"); e["code"] != "bad_request" {
			t.Errorf("%q: %v", uid, e)
		}
	}
}

// The statistics have the kinds of requests, and of unknown ones only that there were some.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada := mustLogIn(t, g, here, "Ada", "").inLobby()
	ada.Send("one")
	ada.gets("message")
	for i := range 3 {
		ada.Send(fmt.Sprintf(`{"type":"no such %d"}`, i))
		ada.gets("error")
	}
	g.ExpectCalls("login", 1, 0)
	g.ExpectCalls("join", 1, 0)
	g.ExpectCalls("say", 1, 0)
	g.ExpectCalls("unknown", 3, 0)
}

// The reading position and what is muted are those of the user, at every connection.
func TestMarks(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada := mustLogIn(t, g, here, "Ada", "").inLobby()
	ada.Send("one")
	ada.Send(`{"type":"mute","room":"lobby"}`)
	if e := ada.gets("muted"); e["room"] != "lobby" || e["on"] != true {
		t.Errorf("%v", e)
	}
	ada.Send(`{"type":"read","room":"lobby","seq":7}`)
	ada.Send("/history")
	if e := ada.gets("history"); e["read"] != 1.0 {
		t.Errorf("%v", e)
	}
	w := person{g.Dial(workertest.Request{}), t}
	w.Send(fmt.Sprintf(`{"type":"login","name":"Ada","token":%q}`, ada.token))
	if e := w.gets("welcome"); fmt.Sprint(e["conversations"]) != "[map[last:1 muted:true read:1 room:lobby]]" {
		t.Errorf("%v", e)
	}
	ada.Send(`{"type":"mute","room":"lobby","off":true}`)
	if e := w.gets("muted"); e["on"] != nil {
		t.Errorf("%v", e)
	}
}

// People who are blocked cannot write to those who have blocked them.
func TestBlock(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada, eve := mustLogIn(t, g, here, "Ada", ""), mustLogIn(t, g, there, "Eve", "")
	ada.Send("/block EVE")
	if e := ada.gets("blocks"); fmt.Sprint(e["blocked"]) != fmt.Sprintf("[map[name:Eve uid:%s]]", eve.uid) {
		t.Errorf("%v", e)
	}
	eve.Send("/msg Ada hello")
	if e := eve.gets("error"); e["code"] != "blocked" {
		t.Errorf("Eve got %v", e)
	}
	ada.Send("/unblock Eve")
	if e := ada.gets("blocks"); e["blocked"] != nil {
		t.Errorf("%v", e)
	}
	eve.Send("/msg Ada hello")
	ada.gets("private")
	// An edit or a reaction is no way around it. To delete is allowed.
	ada.Send("/block Eve")
	ada.gets("blocks")
	for _, sent := range []string{"/edit @Ada 1 and another thing", "/react @Ada 1 :x:"} {
		eve.Send(sent)
		if e := eve.gets("error"); e["code"] != "blocked" {
			t.Errorf("%s: %v", sent, e)
		}
	}
	eve.Send("/delete @Ada 1")
	if e := ada.gets("changed"); e["message"].(map[string]any)["deleted"] != true {
		t.Errorf("%v", e)
	}
	ada.Send("/block Nobody")
	if e := ada.gets("error"); e["code"] != "not_found" {
		t.Errorf("%v", e)
	}
}

// People who type do not get what somebody whom they have blocked says in a room. Programs get it,
// and hide it.
func TestBlockInRooms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada, bob := mustLogIn(t, g, here, "Ada", "").inLobby(), enter(t, g, "Bob", "lobby")
		eve := enter(t, g, "Eve", "lobby")
		heard := func(p person, want string) {
			t.Helper()
			synctest.Wait()
			var all []string
			for p.Pending() > 0 {
				switch e := p.next(); e["type"] {
				case "message":
					all = append(all, fmt.Sprint(e["text"]))
				case "changed":
					all = append(all, fmt.Sprint("changed to ", e["message"].(map[string]any)["text"]))
				}
			}
			if got := fmt.Sprint(all); got != want {
				t.Errorf("heard %s, not %s", got, want)
			}
		}
		eve.Send("one")
		eve.gets("message")
		bob.Send("/block Eve")
		ada.Send(`{"type":"block","name":"Eve"}`)
		bob.gets("blocks")
		ada.gets("blocks")
		synctest.Wait()
		eve.Send("two")
		eve.Send("/edit 1 three")
		synctest.Wait()
		ada.Send("four")
		heard(bob, "[four]")
		heard(ada.person, "[two changed to three four]")
		bob.Send("/history")
		if got := fmt.Sprint(texts(bob.gets("history"))); got != "[four]" {
			t.Errorf("Bob's history: %s", got)
		}
		ada.Send(`{"type":"history","room":"lobby"}`)
		if got := fmt.Sprint(texts(ada.gets("history"))); got != "[three two four]" {
			t.Errorf("Ada's history: %s", got)
		}
		// Another connection of Bob, which types too.
		bob.Send("/password longerword")
		bob.gets("protected")
		again := person{g.Dial(workertest.Request{}), t}
		again.Send(`/login "Bob" longerword`)
		if got := fmt.Sprint(texts(again.gets("history"))); got != "[four]" {
			t.Errorf("Bob's history at a second connection: %s", got)
		}
		eve.Send("five")
		heard(again, "[]")
		bob.Send("/unblock Eve")
		bob.gets("blocks")
		synctest.Wait()
		eve.Send("six")
		heard(bob, "[six]")
		heard(again, "[six]")
	})
}

// A name with a password belongs to those who know it.
func TestPassword(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada := person{g.Dial(workertest.Request{}), t}
		ada.Send("/login Ada")
		uid := ada.gets("welcome")["uid"]
		ada.Send("/password short")
		if e := ada.gets("error"); e["code"] != "bad_password" {
			t.Errorf("%v", e)
		}
		ada.Send(`/password "correct horse"`)
		if e := ada.gets("protected"); e["on"] != true || e["token"] == nil {
			t.Errorf("%v", e)
		}
		ada.Send("/quit")
		synctest.Wait()
		time.Sleep(30 * 24 * time.Hour)
		for login, code := range map[string]string{
			"/login ADA": "password_needed", `/login "Ada" wrong`: "bad_password", `/login "Ada" a.b.c`: "password_needed",
			`{"type":"login","name":"Ada","password":"wrong too"}`: "bad_password", "/login \u0410da": "name_taken",
		} {
			p := person{g.Dial(workertest.Request{}), t}
			p.Send(login)
			if e := p.next(); e["code"] != code {
				t.Errorf("%s: %v", login, e)
			}
		}
		for _, login := range []string{
			`/login "Ada" correct horse`, `{"type":"login","name":"Ada","password":"correct horse"}`,
		} {
			p := person{g.Dial(workertest.Request{}), t}
			p.Send(login)
			if e := p.next(); e["type"] != "welcome" || e["uid"] != uid || e["protected"] != true {
				t.Errorf("%s: %v", login, e)
			}
		}
		for range 5 {
			p := person{g.Dial(workertest.Request{}), t}
			p.Send(`/login "Ada" wrong`)
			if e := p.next(); e["code"] == "slow_down" {
				return
			}
		}
		t.Error("attempts are not limited")
	})
}
