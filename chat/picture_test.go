package chat_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// TestPagePicture makes the picture of the documentation, of people with browsers and text clients.
func TestPagePicture(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1120, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada Lovelace"), joinRoom("deploys"), joinRoom("tea kitchen"),
		room("lobby"))
	clients := map[string]*textClient{}
	for _, name := range []string{"Grace Hopper", "Linus", "Margaret", "Ken", "Barbara"} {
		c := dialText(t, s.text)
		c.send("/login "+name, "/join deploys", "/join lobby")
		c.expect("users")
		c.expect("users")
		clients[name] = c
	}
	run(t, ada, shows("#users", "Barbara"))
	tell := func(name, text string, more map[string]any) map[string]any {
		doc := map[string]any{"type": "say", "room": "lobby", "text": text}
		maps.Copy(doc, more)
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		clients[name].send(string(b))
		e := clients[name].expect("message")
		for e["text"] != text {
			e = clients[name].expect("message")
		}
		return e
	}
	tell("Grace Hopper", "Morning! The new workers are up: two of them, behind one gateway.", nil)
	question := tell("Linus", "Did anybody notice the reload?", nil)
	tell("Margaret", "No. 10,000 connections stayed open, and nothing was lost.",
		map[string]any{"reply": question["seq"]})
	tell("Ken", "This is how I did it:\n```sh\nsluice chat --workers 2 &\n"+
		"kill -HUP $!   # one worker after the other\n```", nil)
	tell("Ken", "More in https://example.org/reload", nil)
	run(t, ada, say("Nice. I am writing it down."), shows("#talk", "writing it down"))
	tell("Grace Hopper", "@Ada Lovelace, can you add the figures of yesterday?", nil)
	clients["Ken"].send("/say deploys v1.4 is out, @Ada Lovelace")
	clients["Barbara"].send(`/msg "Ada Lovelace" lunch at one?`)
	run(t, ada, shows("#talk", "figures of yesterday"), shows("#privates", "Barbara"),
		shows(`[data-conversation="room:deploys"]`, "1 unread"))
	clients["Linus"].send(`{"type":"typing","room":"lobby"}`)
	run(t, ada, shows("#typing", "Linus is typing"), paste("Sure, give me"))
	shot(t, ada, "picture")
}
