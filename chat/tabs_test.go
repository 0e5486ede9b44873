package chat_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// Two connections of one user, such as two tabs, stand side by side. Both receive everything, and
// others see one person, who has left when both have.
func TestTwoConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		bob := enter(t, g, "Bob", "lobby")
		ann := mustLogIn(t, g, here, "Ann", "")
		ann.Send("/join lobby")
		ann.gets("users")
		bob.gets("joined")
		again := person{g.Dial(workertest.Request{}), t}
		again.Send(fmt.Sprintf(`{"type":"login","name":"ANN","token":%q}`, ann.token))
		if e := again.gets("welcome"); e["name"] != "Ann" || fmt.Sprint(e["conversations"]) != "[map[room:lobby]]" {
			t.Errorf("Ann is welcomed with %v", e)
		}
		if e := again.gets("users"); fmt.Sprint(e["users"]) != "[Ann Bob]" {
			t.Errorf("users: %v", e["users"])
		}
		again.Send("said by one")
		for who, p := range map[string]person{"the first": ann.person, "the second": again, "Bob": bob} {
			if e := p.next(); e["text"] != "said by one" {
				t.Errorf("%s got %v", who, e)
			}
		}
		bob.Send("/msg Ann psst")
		for _, p := range []person{ann.person, again, bob} {
			p.gets("private")
		}
		count := func(want string) {
			t.Helper()
			bob.Send("/rooms")
			if e := bob.gets("rooms"); fmt.Sprint(e["rooms"]) != want {
				t.Errorf("rooms: %v, want %s", e["rooms"], want)
			}
		}
		count("[map[count:2 name:lobby]]")

		// What one of them does reaches the other.
		again.Send("/join other")
		if e := ann.gets("self"); e["joined"] != "other" {
			t.Errorf("the first got %v", e)
		}
		again.Send("/leave other")
		again.Send(`{"type":"read","room":"lobby","seq":1}`)
		if e := ann.gets("read"); e["room"] != "lobby" || e["seq"] != 1.0 {
			t.Errorf("the first got %v", e)
		}
		ann.Send("/join other")
		ann.gets("users")
		if e := again.gets("self"); e["joined"] != "other" {
			t.Errorf("the second got %v", e)
		}

		// The first one is counted. When it has gone, the other one is.
		ann.Drop()
		synctest.Wait()
		count("[map[count:2 name:lobby]]")
		again.Send("still here")
		if e := bob.next(); e["text"] != "still here" {
			t.Errorf("Bob got %v", e)
		}
		if _, refused := logInAs(t, g, there, "Ann", ""); refused != "name_taken" {
			t.Errorf("somebody else: %q", refused)
		}
		again.Drop()
		if e := bob.next(); e["type"] != "left" || e["name"] != "Ann" {
			t.Errorf("Bob got %v", e)
		}
		synctest.Wait()
		count("[map[count:1 name:lobby]]")
	})
}

// A user who leaves a room with one connection is in it as long as another one is.
func TestLeaveWithOneConnection(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	bob := enter(t, g, "Bob", "lobby")
	ann := mustLogIn(t, g, here, "Ann", "")
	ann.Send("/join lobby")
	ann.gets("users")
	bob.gets("joined")
	again := mustLogIn(t, g, here, "Ann", ann.token)
	again.gets("users")
	ann.Send("/leave lobby")
	if e := again.gets("self"); e["left"] != "lobby" {
		t.Errorf("the second got %v", e)
	}
	ann.Send("/say lobby not there any more")
	ann.gets("error")
	again.Send("/leave lobby")
	if e := bob.next(); e["type"] != "left" {
		t.Errorf("Bob got %v", e)
	}
	// The room does not come back.
	if e := mustLogIn(t, g, here, "Ann", ann.token); e.Pending() > 0 {
		t.Errorf("Ann gets %v", e.next())
	}
}
