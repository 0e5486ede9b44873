package chat_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestSentAgain sends messages again with the same ref, also on a new connection. They are
// published once, and the sender receives the id of the first one.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ann, bob := mustLogIn(t, g, here, "Ann", ""), enter(t, g, "Bob", "lobby")
	ann.Send("/join lobby")
	ann.gets("users")
	const said = `{"type":"say","room":"lobby","text":"once","ref":"r 1","again":true}`
	ann.Send(said)
	id := ann.gets("message")["id"]
	ann.Send(said)
	if e := ann.next(); e["type"] != "sent" || e["id"] != id || e["ref"] != "r 1" {
		t.Errorf("the answer to a message that is sent again is %v, not the id %v", e, id)
	}
	ann.Send(`{"type":"private","to":"Bob","text":"in private","ref":"r 2"}`)
	id = ann.gets("private")["id"]
	ann.Drop()

	// The same user on a new connection.
	ann = mustLogIn(t, g, here, "ANN", ann.token)
	ann.Send(`{"type":"private","to":"Bob","text":"in private","ref":"r 2","again":true}`)
	if e := ann.gets("sent"); e["id"] != id {
		t.Errorf("the answer on a new connection is %v, not the id %v", e, id)
	}
	// Another user may use the same ref.
	cid := enter(t, g, "Cid", "lobby")
	cid.Send(said)
	cid.gets("message")
	// A client that does not say so does not send a message again: its refs may begin anew.
	cid.Send(`{"type":"say","room":"lobby","text":"new","ref":"r 1"}`)
	cid.gets("message")
	bob.Send("the end")
	var heard []string
	for _, want := range []string{"message", "private", "message", "message", "message"} {
		e := bob.gets(want)
		heard = append(heard, fmt.Sprint(e["from"], ": ", e["text"]))
	}
	if got := fmt.Sprint(heard); got != "[Ann: once Ann: in private Cid: once Cid: new Bob: the end]" {
		t.Errorf("Bob received %s", got)
	}
}

// TestSentAgainLater sends a message again after many others, and at another worker. It is known as
// long as it is kept.
func TestSentAgainLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := withStore(t, twoWorkers(t))
		ann := mustLogIn(t, g, here, "Ann", "")
		send := func(ref int) string {
			time.Sleep(time.Second) // of the bubble's clock: not faster than the chat allows
			ann.Send(fmt.Sprintf(`{"type":"private","to":"Ann","text":"x","ref":"%d","again":true}`, ref))
			return ann.next()["type"].(string)
		}
		for i := range 51 {
			if kind := send(i); kind != "private" {
				t.Fatalf("message %d is answered with %s", i, kind)
			}
		}
		if kind := send(0); kind != "sent" {
			t.Errorf("the first of 51 messages is answered with %s", kind)
		}
		ann = mustLogIn(t, g, there, "Ann", ann.token)
		if kind := send(50); kind != "sent" {
			t.Errorf("at another worker it is answered with %s", kind)
		}
	})
}
