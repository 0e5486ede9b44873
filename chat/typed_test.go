package chat_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// TestTyped uses the whole chat by telnet commands. Commands without a room mean the room joined
// last, and names may have spaces.
func TestTyped(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ada := enter(t, g, "Ada Lovelace", "tea room")
	stranger := person{g.Dial(workertest.Request{}), t}
	stranger.Send("hello")
	if text := fmt.Sprint(stranger.gets("error")["text"]); !strings.Contains(text, "/login NAME") {
		t.Errorf("who is not logged in is told %q", text)
	}
	stranger.Send("/login Bob")
	stranger.gets("welcome")
	stranger.Send("/join tea room")
	stranger.gets("users")
	stranger.Send("/users")
	if e := stranger.gets("users"); fmt.Sprint(e["room"], e["users"]) != "tea room[Ada Lovelace Bob]" {
		t.Errorf("/users: %v", e)
	}
	stranger.Send(`/msg "Ada Lovelace" in private`)
	if e := ada.gets("private"); e["text"] != "in private" || e["to"] != "Ada Lovelace" {
		t.Errorf("/msg: %v", e)
	}
	stranger.Send(`/say "tea room" aloud`)
	if e := ada.gets("message"); e["text"] != "aloud" {
		t.Errorf("/say: %v", e)
	}
	stranger.Send(`/msg "Ada hello`) // no name ends there
	stranger.gets("error")
	stranger.Send("/leave")
	if e := ada.gets("left"); e["name"] != "Bob" {
		t.Errorf("/leave: %v", e)
	}
	stranger.Send("/leave")
	if e := stranger.gets("error"); e["code"] != "not_in_room" {
		t.Errorf("/leave of nothing: %v", e)
	}
	stranger.Send("/quit")
	stranger.ExpectClosed(worker.ReasonKicked)
}
