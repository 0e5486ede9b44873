package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// flood makes each of several people enter the lobby from a connection of its own and say things.
// It returns how many of their messages were published. from returns the connection of a person.
func flood(t *testing.T, g *workertest.Gateway, people, each int, from func(i int) workertest.Request) int {
	t.Helper()
	witness := person{g.Dial(workertest.Request{Remote: "198.51.100.77:1"}), t}
	witness.Send("/login Witness")
	witness.Send("/join lobby")
	witness.gets("users")
	for i := range people {
		p := person{g.Dial(from(i)), t}
		p.Send(fmt.Sprint("/login P", i))
		p.Send("/join lobby")
		for range each {
			p.Send("noise")
		}
		synctest.Wait()
		p.Drop()
	}
	synctest.Wait()
	published := 0
	for range witness.Pending() {
		if witness.next()["type"] == "message" {
			published++
		}
	}
	return published
}

// An address has a limit of its own, whatever the number of its connections.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	from := func(format string, args ...any) workertest.Request {
		return workertest.Request{Remote: fmt.Sprintf(format, args...)}
	}
	header := func(remote, forwarded string) workertest.Request {
		h := map[string]string{"X-Forwarded-For": forwarded}
		return workertest.Request{Target: "/", Remote: remote, Header: h}
	}
	for _, c := range []struct {
		name string
		from func(i int) workertest.Request
		each bool // each person is an address
	}{
		{"one address", func(i int) workertest.Request { return from("192.0.2.1:%d", i+1) }, false},
		{"in IPv6 form", func(i int) workertest.Request {
			return from("%s:1", []string{"192.0.2.1", "[::ffff:192.0.2.1]"}[i%2])
		}, false},
		{"one network", func(i int) workertest.Request { return from("[2001:db8::%x]:1", i) }, false},
		{"many networks", func(i int) workertest.Request {
			return from("[2001:db8:0:%x::1]:1", i)
		}, true},
		{"many addresses", func(i int) workertest.Request { return from("192.0.2.%d:1", i) }, true},
		{"forged", func(i int) workertest.Request {
			return header("192.0.2.1:1", fmt.Sprintf("203.0.113.%d", i))
		}, false},
		{"forged on this machine", func(i int) workertest.Request {
			return header("127.0.0.1:1", fmt.Sprintf("203.0.113.%d", i))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const people, each, joining = 30, 8, 2
				n := flood(t, newChat(t), people, each, c.from)
				if want := people * each; c.each && n != want {
					t.Errorf("%d messages of %d", n, want)
				}
				if want := 200 - 20*joining; !c.each && n != want {
					t.Errorf("%d messages of one address, not %d", n, want)
				}
			})
		})
	}
}

// Many addresses together have the limit of the room.
func TestRoomLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := flood(t, newChat(t), 70, 8, func(i int) workertest.Request {
			return workertest.Request{Remote: fmt.Sprintf("192.0.2.%d:1", i)}
		})
		if n != 400 {
			t.Errorf("%d messages of 560 at once, not 400", n)
		}
	})
}

// The limits of a user and of an address outlive connections.
func TestReconnectingDoesNotHelp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		listener := enter(t, g, "Listener", "lobby")
		var token string
		for range 10 {
			p := person{g.Dial(workertest.Request{Remote: "192.0.2.9:1"}), t}
			p.Send(fmt.Sprintf(`{"type":"login","name":"Ada","token":%q,"room":"lobby"}`, token))
			for range 20 {
				p.Send("noise")
			}
			synctest.Wait()
			for range p.Pending() {
				if e := p.next(); e["type"] == "welcome" {
					token = e["token"].(string)
				}
			}
			p.Drop()
			synctest.Wait()
		}
		heard := 0
		for range listener.Pending() {
			if listener.next()["type"] == "message" {
				heard++
			}
		}
		if heard != 10 {
			t.Errorf("%d messages in no time, not 10", heard)
		}
		time.Sleep(5 * time.Second) // of the bubble's clock
		ada := person{g.Dial(workertest.Request{}), t}
		ada.Send(fmt.Sprintf(`{"type":"login","name":"Ada","token":%q,"room":"lobby"}`, token))
		ada.Send("calm again")
		listener.gets("message")
	})
}

// A second connection, to another worker, does not let a user say more.
func TestLimitsHoldAtAllWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := withStore(t, twoWorkers(t))
		first := mustLogIn(t, g, here, "Ann", "").inLobby()
		second := mustLogIn(t, g, there, "Ann", first.token)
		time.Sleep(time.Minute) // of the bubble's clock
		for range 10 {
			first.Send("here")
			second.Send("there")
		}
		synctest.Wait()
		said, refused := 0, 0
		for first.Pending() > 0 {
			switch e := first.next(); {
			case e["type"] == "message":
				said++
			case e["code"] == "slow_down":
				refused++
			}
		}
		if said != 10 || refused == 0 {
			t.Errorf("%d of 20 messages were accepted, and the first connection was refused %d times", said, refused)
		}
	})
}

// Operators may turn the limit of addresses off.
func TestNoAddressLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := chat.New(chat.Config{AddressRate: -1})
		if err != nil {
			t.Fatal(err)
		}
		n := flood(t, withStore(t, h), 100, 1, func(int) workertest.Request { return workertest.Request{} })
		if n != 100 {
			t.Errorf("%d of 100 messages", n)
		}
	})
}

// A client that is refused all the time is closed.
func TestRefusedTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		patient, p := enter(t, g, "Patient"), enter(t, g, "Ann", "lobby")
		for range 3 * 50 {
			patient.Send("/rooms")
			time.Sleep(time.Second / 2) // of the bubble's clock
		}
		for range 10 + 50 {
			p.Send("noise")
		}
		for p.gets("error")["code"] != "too_many" {
		}
		p.ExpectRefused("too many requests")
		patient.Send("/quit")
		for patient.Pending() > 0 {
			if e := patient.next(); e["type"] == "error" {
				t.Fatalf("the patient one got %v", e)
			}
		}
	})
}

// One author cannot push what others have said out of the history of a room.
func TestHistoryHasShares(t *testing.T) {
	t.Parallel()
	for _, noise := range []string{"noise", strings.Repeat("\U0001f98a", 2000)} {
		synctest.Test(t, func(t *testing.T) {
			h, err := chat.New(chat.Config{})
			if err != nil {
				t.Fatal(err)
			}
			g := workertest.New(t, h)
			g.OnInvoke(newStore(t, store.Config{MaxMessages: 50, MaxConversationBytes: 48 << 10}).Serve)
			for i := range 5 {
				p := person{g.Dial(workertest.Request{Remote: fmt.Sprintf("203.0.113.%d:1", i)}), t}
				p.Send(fmt.Sprint("/login P", i))
				p.Send("/join lobby")
				for range 5 {
					p.Send("to be kept")
				}
			}
			for i := range 4 { // new names do not help
				p := enter(t, g, fmt.Sprint("Mallory", i), "lobby")
				for range 40 {
					p.Send(noise)
					time.Sleep(time.Second / 2) // of the bubble's clock
				}
			}
			late := person{g.Dial(workertest.Request{}), t}
			late.Send("/login Late")
			late.Send("/join lobby")
			past := fmt.Sprint(late.gets("history")["messages"])
			if kept := strings.Count(past, "to be kept"); kept != 25 {
				t.Errorf("%d of 25 messages are left", kept)
			}
			if strings.Count(past, noise) == 0 {
				t.Error("the last messages are not there")
			}
		})
	}
}

// A message shows something, and is not longer than it looks.
func TestTexts(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	for i, text := range []string{
		"\u200b", "\u00ad", "\u2800", "\ufeff", "\u034f", " \u200d\n\u2060\t",
		"\u3164", "\u202e", "\u0301", "\ue000", "\u2028",
	} {
		p := enter(t, g, fmt.Sprint("P", i), "lobby")
		p.Send(`{"type":"say","room":"lobby","text":` + quoteJS(text) + `}`)
		if e := p.gets("error"); e["code"] != "bad_text" {
			t.Errorf("%q: %v", text, e)
		}
	}
	for said, want := range map[string]string{
		"x" + strings.Repeat("\n", 1990) + "y": "x\n\n\ny",
		"a\n \n\u200b\n\t\n\nb":                "a\n\n\nb",
		"a\n\n\nb\n\nc\nd":                     "a\n\n\nb\n\nc\nd",
		"\u202eexe.png\u202c":                  "exe.png\u202c",
		"\U0001f468\u200d\U0001f469":           "\U0001f468\u200d\U0001f469",
		"\u2764\ufe0f":                         "\u2764\ufe0f",
		"!":                                    "!",
	} {
		p := enter(t, newChat(t), "Bob", "lobby")
		p.Send(`{"type":"say","room":"lobby","text":` + quoteJS(said) + `}`)
		if e := p.gets("message"); e["text"] != want {
			t.Errorf("%q becomes %q", said, e["text"])
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	p := person{newChat(t).Dial(workertest.Request{}), t}
	p.Send("/help") // also before the login
	text := p.gets("help")["text"].(string)
	for _, command := range []string{"/login", "/join", "/leave", "/say", "/msg", "/rooms", "/users", "/help", "/quit"} {
		if !strings.Contains(text, command) {
			t.Errorf("no %s in %q", command, text)
		}
	}
}
