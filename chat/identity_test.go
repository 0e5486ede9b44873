package chat_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// user is a person with the uid and the token of the last login.
type user struct {
	person
	uid, token string
}

// logInAs logs in as a program does: with JSON and the token of the last login, if there is one. It
// returns the code of a refusal.
func logInAs(t *testing.T, g *workertest.Gateway, remote, name, token string) (u user, refused string) {
	t.Helper()
	u.person = person{g.Dial(workertest.Request{Remote: remote}), t}
	u.Send(fmt.Sprintf(`{"type":"login","name":%q,"token":%q}`, name, token))
	e := u.next()
	if e["type"] == "error" {
		return u, e["code"].(string)
	}
	u.uid, u.token = e["uid"].(string), e["token"].(string)
	return u, ""
}

// mustLogIn is logInAs of somebody who is not refused.
func mustLogIn(t *testing.T, g *workertest.Gateway, remote, name, token string) user {
	t.Helper()
	u, refused := logInAs(t, g, remote, name, token)
	if refused != "" {
		t.Fatalf("%s is refused: %s", name, refused)
	}
	return u
}

// Addresses of clients, which tell twoWorkers who serves them.
const (
	here  = "192.0.2.1:1"
	there = "192.0.2.1:2"
)

// twoWorkers is a handler that passes the clients of here to one chat, and those of there to
// another one. So it behaves as two workers.
func twoWorkers(t *testing.T) worker.Handler {
	t.Helper()
	var both [2]worker.Handler
	for i := range both {
		var err error
		if both[i], err = chat.New(chat.Config{}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(c worker.Call) worker.Handler { return both[c.RemoteAddr().Port()-1] }
	return worker.Handler{
		Connect: func(ctx context.Context, c worker.Call) error { return of(c).Connect(ctx, c) },
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error { return of(c).Message(ctx, c, m) },
		Close:   func(ctx context.Context, c worker.Call, why worker.Reason) error { return of(c).Close(ctx, c, why) },
	}
}

// A name whose owner's line has broken is kept for the owner's token, and for nobody else.
func TestNameIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		ada := mustLogIn(t, g, here, "Ada", "")
		ada.Drop()
		synctest.Wait()
		forged := "f" + ada.token[1:] // another uid
		for _, token := range []string{"", "guessed", forged, "." + ada.token, strings.ToUpper(ada.token)} {
			for _, name := range []string{"ADA", "Ada", "\u0410da"} {
				if _, refused := logInAs(t, g, here, name, token); refused != "name_taken" {
					t.Errorf("%s with %q: %q", name, token, refused)
				}
			}
		}
		if adam := mustLogIn(t, g, here, "Adam", ada.token); adam.uid == ada.uid {
			t.Error("a token is valid for another name")
		}
		again := mustLogIn(t, g, here, "ADA", ada.token)
		if again.uid != ada.uid {
			t.Errorf("the owner is now %s, and was %s", again.uid, ada.uid)
		}
		again.Drop()
		time.Sleep(6 * time.Minute) // of the bubble's clock
		mallory := mustLogIn(t, g, here, "Ada", "")
		if mallory.uid == ada.uid {
			t.Error("somebody else has the uid of Ada")
		}
		if _, refused := logInAs(t, g, here, "Ada", ada.token); refused != "name_taken" {
			t.Errorf("the name was free for long enough, and its new owner lost it: %q", refused)
		}
		mallory.Send("/quit") // gives the name free
		mallory.ExpectClosed(worker.ReasonKicked)
		synctest.Wait()
		if last := mustLogIn(t, g, here, "Ada", ada.token); last.uid != ada.uid {
			t.Error("an old token has lost its uid")
		}
	})
}

// A name that was typed with /login is free as soon as its owner has gone: a script logs in again
// without a token. People who type their token are as safe as programs.
func TestTypedNameIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		p := person{g.Dial(workertest.Request{}), t}
		p.Send("/login Bot One")
		token := p.gets("welcome")["token"]
		p.Drop()
		synctest.Wait()
		p = person{g.Dial(workertest.Request{}), t}
		p.Send(fmt.Sprintf(`/login "Bot One" %s`, token))
		p.gets("welcome")
		p.Drop()
		synctest.Wait()
		if _, refused := logInAs(t, g, here, "Bot One", ""); refused != "name_taken" {
			t.Errorf("somebody else: %q", refused)
		}
	})
}

// All workers know whose a name is. What is written to somebody who is away is kept for them.
func TestNameIsKeptAtAllWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := withStore(t, twoWorkers(t))
		bob := mustLogIn(t, g, there, "Bob", "")
		ada := mustLogIn(t, g, here, "Ada", "")
		ada.Send(`{"type":"private","to":"Bob","text":"it is me"}`)
		if e := bob.gets("private"); e["uid"] != ada.uid || e["toUid"] != bob.uid || e["away"] != nil {
			t.Errorf("Bob got %v", e)
		}
		time.Sleep(time.Hour)
		ada.Drop()
		synctest.Wait()
		for _, worker := range []string{here, there} {
			if _, refused := logInAs(t, g, worker, "ADA", ""); refused != "name_taken" {
				t.Errorf("Mallory: %q", refused)
			}
		}
		bob.Send(fmt.Sprintf(`{"type":"private","to":"Ada","toUid":%q,"text":"hunter2"}`, ada.uid))
		if e := bob.gets("private"); e["away"] != true {
			t.Errorf("Bob got %v", e)
		}
		ada = mustLogIn(t, g, there, "Ada", ada.token)
		ada.Send(fmt.Sprintf(`{"type":"history","toUid":%q}`, bob.uid))
		past := ada.gets("history")
		last := past["messages"].([]any)[1].(map[string]any)
		if past["with"] != "Bob" || last["text"] != "hunter2" || last["from"] != "Bob" || last["toUid"] != ada.uid {
			t.Errorf("Ada finds %v", past)
		}
		ada.Send("/quit")
		ada.ExpectClosed(worker.ReasonKicked)
		synctest.Wait()
		bob.Send(fmt.Sprintf(`{"type":"private","to":"Ada","toUid":%q,"text":"hunter2"}`, ada.uid))
		if e := bob.gets("error"); e["code"] != "offline" {
			t.Errorf("Bob got %v", e)
		}
		mallory := mustLogIn(t, g, here, "Ada", "")
		bob.Send(fmt.Sprintf(`{"type":"private","to":"Ada","toUid":%q,"text":"hunter2"}`, ada.uid))
		if e := bob.gets("error"); e["code"] != "offline" || !strings.Contains(fmt.Sprint(e["text"]), "somebody else") {
			t.Errorf("Bob got %v", e)
		}
		if mallory.Pending() > 0 {
			t.Errorf("Mallory reads %v", mallory.next())
		}
	})
}

// Another store does not accept a token.
func TestKeysDiffer(t *testing.T) {
	t.Parallel()
	ada := mustLogIn(t, newChat(t), here, "Ada", "")
	if again := mustLogIn(t, newChat(t), here, "Ada", ada.token); again.uid == ada.uid {
		t.Error("a token is valid at another store")
	}
}

// Everything that somebody says and does has the uid.
func TestUIDs(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	bob := enter(t, g, "Bob", "lobby")
	ada := mustLogIn(t, g, here, "Ada", "")
	ada.Send("/join lobby")
	if e := bob.gets("joined"); e["uid"] != ada.uid {
		t.Errorf("%v", e)
	}
	if e := ada.gets("users"); fmt.Sprint(e["users"]) != "[Ada Bob]" || e["uids"].([]any)[0] != ada.uid {
		t.Errorf("%v", e)
	}
	ada.Send(`{"type":"typing","room":"lobby"}`)
	ada.Send("hello")
	for _, kind := range []string{"typing", "message", "left"} {
		if kind == "left" {
			ada.Drop()
		}
		if e := bob.gets(kind); e["uid"] != ada.uid {
			t.Errorf("%v", e)
		}
	}
}
