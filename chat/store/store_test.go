package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/internal/kv/kvtest"
)

// talk is a store as people use it: through a Client.
type talk struct {
	store.Client
	t  *testing.T
	st *store.Store
}

// kinds open a store of each kind. Twice with the same folder, a file is the same one.
var kinds = map[string]func(dir string, cfg store.Config) (*store.Store, error){
	"memory": func(_ string, cfg store.Config) (*store.Store, error) { return store.New(cfg) },
	"file":   func(dir string, cfg store.Config) (*store.Store, error) { return store.Open(dir, cfg) },
	"shared": func(_ string, cfg store.Config) (*store.Store, error) { return store.Share(kvtest.NewRemote(), cfg) },
}

// each runs a test of the contract with a store of each kind.
func each(t *testing.T, cfg store.Config, test func(t *testing.T, k talk)) {
	t.Helper()
	t.Parallel()
	cfg.Logger = slog.New(slog.DiscardHandler)
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := open(filepath.Join(t.TempDir(), "data"), cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, talk{store.Client{Invoke: st.Serve}, t, st})
		})
	}
}

// code returns the code of a Refusal, "" for none.
func code(t *testing.T, err error) string {
	t.Helper()
	if r, ok := errors.AsType[*store.Refusal](err); ok {
		return r.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

func (k talk) say(uid, room, text string) store.Message {
	k.t.Helper()
	p, err := k.Post(k.t.Context(), &store.Post{UID: uid, Name: uid, Room: room, Author: uid, Text: text, Key: text})
	if err != nil {
		k.t.Fatal(err)
	}
	return p.Message
}

func (k talk) page(r store.Read) store.Page {
	k.t.Helper()
	p, err := k.Read(k.t.Context(), &r)
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

func (k talk) login(name, token string) store.Account {
	k.t.Helper()
	keys := []string{name, "like " + name}
	a, err := k.Login(k.t.Context(), &store.Login{Name: name, Keys: keys, Token: token, Returns: true})
	if err != nil {
		k.t.Fatalf("%s: %v", name, err)
	}
	return a
}

// refused returns the code with which a login is refused.
func (k talk) refused(l store.Login) string {
	k.t.Helper()
	l.Keys = []string{l.Name, "like " + l.Name}
	_, err := k.Login(k.t.Context(), &l)
	return code(k.t, err)
}

func texts(p store.Page) (all []string) {
	for _, m := range p.Messages {
		all = append(all, m.Text)
	}
	return all
}

func want(t *testing.T, what string, got any, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("%s: %v, want %s", what, got, want)
	}
}

func TestPages(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		for i := range 10 {
			if m := k.say("ada", "lobby", fmt.Sprint(i+1)); m.Seq != uint64(i+1) || m.ID == "" {
				t.Fatalf("%+v", m)
			}
			k.say("ada", "lobby 2", "elsewhere")
		}
		lobby := store.Room("lobby")
		for _, c := range []struct {
			read      store.Read
			texts     string
			more, gap bool
		}{
			{store.Read{}, "[1 2 3 4 5 6 7 8 9 10]", false, false},
			{store.Read{Limit: 3}, "[8 9 10]", true, false},
			{store.Read{Limit: 3, Before: 8}, "[5 6 7]", true, false},
			{store.Read{Limit: 3, Before: 4}, "[1 2 3]", false, false},
			{store.Read{Before: 1}, "[]", false, false},
			{store.Read{Before: 99, Limit: 1}, "[10]", true, false},
			{store.Read{After: 8}, "[9 10]", false, false},
			{store.Read{After: 3, Limit: 2}, "[4 5]", true, false},
			{store.Read{After: 10}, "[]", false, false},
			{store.Read{After: 99}, "[]", false, false},
		} {
			c.read.Conversation = lobby
			p := k.page(c.read)
			if fmt.Sprint(texts(p)) != c.texts || p.More != c.more || p.Gap != c.gap || p.First != 1 || p.Last != 10 {
				t.Errorf("%+v: %v, more %v, gap %v, %d to %d", c.read, texts(p), p.More, p.Gap, p.First, p.Last)
			}
		}
		if p := k.page(store.Read{Conversation: store.Room("empty")}); p.Last != 0 || p.First != 0 || len(p.Messages) > 0 {
			t.Errorf("an empty room: %+v", p)
		}
	})
}

// A message that is posted twice is stored once. A request that is delivered again has not been
// seen by anybody. Another request with the same ref has, if its client says so.
func TestPostTwice(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		post := func(ref, key string, again bool) (store.Message, bool) {
			p, err := k.Post(t.Context(), &store.Post{
				UID: "ada", Room: "lobby", Author: "a", Text: "hi", Ref: ref, Key: key, Again: again,
			})
			if err != nil {
				t.Fatal(err)
			}
			return p.Message, p.Before
		}
		first, _ := post("r1", "k1", false)
		if m, before := post("r1", "k1", false); m.ID != first.ID || before {
			t.Errorf("delivered again: %+v, before %v", m, before)
		}
		if m, before := post("r1", "k2", true); m.ID != first.ID || !before {
			t.Errorf("sent again: %+v, before %v", m, before)
		}
		if m, before := post("r1", "k3", false); m.ID == first.ID || before {
			t.Errorf("another message with the same ref: %+v, before %v", m, before)
		}
		line, _ := post("", "k4", false)
		if m, before := post("", "k4", false); m.ID != line.ID || before {
			t.Errorf("a line without a ref: %+v, before %v", m, before)
		}
		if m, _ := post("", "k5", true); m.ID == line.ID {
			t.Error("two lines became one")
		}
		want(t, "last", k.page(store.Read{Conversation: store.Room("lobby")}).Last, "4")
	})
}

// A full conversation loses its oldest message, or the oldest one of an author that has more than
// half. A reader who was away is told that messages are missing.
func TestConversationIsBounded(t *testing.T) {
	each(t, store.Config{MaxMessages: 10, MaxConversationBytes: 4000}, func(t *testing.T, k talk) {
		lobby := store.Room("lobby")
		for i := range 4 {
			k.say("ada", "lobby", fmt.Sprintf("a%d", i))
			k.say("bob", "lobby", fmt.Sprintf("b%d", i))
		}
		for i := range 20 {
			k.say("eve", "lobby", fmt.Sprintf("e%d", i))
		}
		p := k.page(store.Read{Conversation: lobby})
		want(t, "after a flood", texts(p), "[b1 a2 b2 a3 b3 e15 e16 e17 e18 e19]")
		want(t, "first", p.First, "4")
		for after, missing := range map[uint64]bool{2: true, 3: true, 7: true, 22: true, 23: false, 27: false, 28: false} {
			if p := k.page(store.Read{Conversation: lobby, After: after}); p.Gap != missing {
				t.Errorf("after %d: gap %v, %v", after, p.Gap, texts(p))
			}
		}
		large := strings.Repeat("x", 1200)
		for i := range 5 {
			k.say("ada", "lobby", fmt.Sprint(i)+large)
		}
		s, err := k.st.Stats()
		if err != nil || s.Bytes > 4000 || s.Messages >= 10 || s.EvictedMessages < 18 || s.Conversations != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		if p := k.page(store.Read{Conversation: lobby}); !slices.Contains(texts(p), "e19") {
			t.Errorf("large messages of one author have erased others: %.200v", texts(p))
		}
	})
}

// The conversation without messages for the longest time goes first, and is counted.
func TestConversationsAreBounded(t *testing.T) {
	each(t, store.Config{MaxConversations: 3}, func(t *testing.T, k talk) {
		for _, room := range []string{"one", "two", "three", "four", "five"} {
			k.say("ada", room, room)
		}
		s, err := k.st.Stats()
		if err != nil || s.Conversations != 3 || s.Messages != 3 || s.EvictedConversations != 2 || s.EvictedMessages != 2 {
			t.Errorf("%+v, %v", s, err)
		}
		want(t, "the newest", texts(k.page(store.Read{Conversation: store.Room("five")})), "[five]")
	})
}

// One author begins at most 50 conversations at once.
// One address cannot make so many people that others are forgotten. Those who come back do not
// count.
func TestNewPeopleAreLimited(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		of := []store.Limit{{Key: "people:her address", Burst: 2, Every: time.Minute}}
		login := func(name, token string) (store.Account, string) {
			t.Helper()
			a, err := k.Login(t.Context(), &store.Login{Name: name, Keys: []string{name}, Token: token, Returns: true, New: of})
			return a, code(t, err)
		}
		first, _ := login("eve1", "")
		want(t, "the second", second(login("eve2", "")), "")
		want(t, "the third", second(login("eve3", "")), "slow_down")
		want(t, "a name in use", second(login("eve2", "")), "name_taken")
		want(t, "the first again", second(login("eve1", first.Token)), "")
	})
}

func TestBeginningConversationsIsLimited(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		for i := range 51 {
			_, err := k.Post(t.Context(), &store.Post{UID: "eve", Room: fmt.Sprint("r", i), Author: "her address", Text: "x"})
			if got := code(t, err); got != map[bool]string{true: "slow_down"}[i == 50] {
				t.Fatalf("conversation %d: %q", i, got)
			}
		}
		k.say("ada", "another", "hello")
	})
}

func TestChange(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx, lobby := t.Context(), store.Room("lobby")
		k.say("ada", "lobby", "helo")
		change := func(c store.Change) (store.Message, string) {
			t.Helper()
			if c.Conversation == "" {
				c.Conversation = lobby
			}
			p, err := k.Change(ctx, &c)
			return p.Message, code(t, err)
		}
		if m, _ := change(store.Change{UID: "ada", Seq: 1, Text: "hello"}); m.Text != "hello" || m.Edited == 0 {
			t.Errorf("edited: %+v", m)
		}
		for _, emoji := range []string{"+1", "heart", "+1"} {
			change(store.Change{UID: "bob", Seq: 1, Emoji: emoji})
		}
		change(store.Change{UID: "ada", Seq: 1, Emoji: "+1"})
		m, _ := change(store.Change{UID: "bob", Seq: 1, Emoji: "heart", Off: true})
		want(t, "reactions", m.Reactions, "[{+1 [bob ada]}]")
		want(t, "changes", m.Rev, "6")
		reply, err := k.Post(ctx, &store.Post{UID: "bob", Room: "lobby", Text: "yes", Key: "k", Reply: 1})
		if err != nil || reply.Message.Reply.Text != "hello" || reply.Message.Reply.UID != "ada" {
			t.Errorf("reply: %+v, %v", reply, err)
		}
		change(store.Change{UID: "ada", Seq: 1, Text: "hello all"})
		want(t, "reply to an edited one", k.page(store.Read{Conversation: lobby}).Messages[1].Reply.Text, "hello all")
		_, err = k.Post(ctx, &store.Post{UID: "bob", Room: "lobby", Text: "yes", Key: "k2", Reply: 9})
		for what, got := range map[string]string{
			"reply to nothing": code(t, err),
			"not there":        second(change(store.Change{UID: "ada", Seq: 9, Text: "x"})),
			"elsewhere":        second(change(store.Change{UID: "ada", Seq: 1, Text: "x", Conversation: "#other"})),
			"no conversation":  second(change(store.Change{UID: "ada", Seq: 1, Text: "x", Conversation: "lobby"})),
		} {
			want(t, what, got, "not_found")
		}
		want(t, "another's", second(change(store.Change{UID: "bob", Seq: 1, Text: "x"})), "not_yours")
		want(t, "another's", second(change(store.Change{UID: "bob", Seq: 1, Delete: true})), "not_yours")
		for i := range 11 {
			change(store.Change{UID: "eve", Seq: 1, Emoji: fmt.Sprint(i)})
		}
		want(t, "13 emojis", second(change(store.Change{UID: "eve", Seq: 1, Emoji: "x"})), "too_many_reactions")
		for i := range 98 {
			change(store.Change{UID: fmt.Sprint(i), Seq: 1, Emoji: "+1"})
		}
		want(t, "101 people", second(change(store.Change{UID: "eve", Seq: 1, Emoji: "+1"})), "too_many_reactions")
		m, _ = change(store.Change{UID: "ada", Seq: 1, Delete: true})
		if !m.Deleted || m.Text != "" || len(m.Reactions) > 0 {
			t.Errorf("deleted: %+v", m)
		}
		want(t, "deleted", second(change(store.Change{UID: "ada", Seq: 1, Text: "x"})), "not_found")
		page := k.page(store.Read{Conversation: lobby})
		if !page.Messages[0].Deleted || page.Messages[0].Text != "" || page.Messages[1].Text != "yes" {
			t.Errorf("%+v", page.Messages)
		}
		if q := page.Messages[1].Reply; q == nil || q.UID != "ada" || q.Text != "" {
			t.Errorf("a reply shows what was deleted: %+v", q)
		}
		s, _ := k.st.Stats()
		want(t, "messages", s.Messages, "2")
	})
}

func second[A, B any](_ A, b B) B { return b }

// A private message is kept for somebody who is away and can come back.
func TestPrivate(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx := t.Context()
		ada, bob := k.login("Ada", ""), k.login("Bob", "")
		post := func(p store.Post) (store.Posted, string) {
			t.Helper()
			p.UID, p.Name, p.Text, p.Key = ada.UID, "Ada", "psst", fmt.Sprint(time.Now().UnixNano())
			posted, err := k.Post(ctx, &p)
			return posted, code(t, err)
		}
		if err := k.Gone(ctx, &store.Gone{UID: bob.UID}); err != nil {
			t.Fatal(err)
		}
		p, _ := post(store.Post{ToKey: "Bob"})
		want(t, "receiver", p.To, fmt.Sprint(bob.Person))
		post(store.Post{To: bob.UID})
		bob = k.login("Bob", bob.Token)
		want(t, "conversations", bob.Conversations,
			fmt.Sprint([]store.State{{Conversation: store.Private(bob.UID, ada.UID), With: ada.Person, Last: 2}}))
		page := k.page(store.Read{UID: bob.UID, Conversation: store.Private(bob.UID, ada.UID)})
		want(t, "messages", texts(page), "[psst psst]")
		want(t, "with", page.With, fmt.Sprint(ada.Person))
		mark := store.Mark{UID: bob.UID, Conversation: store.Private(bob.UID, ada.UID), Seq: 99, Mute: true}
		if err := k.Mark(ctx, &mark); err != nil {
			t.Fatal(err)
		}
		bob = k.login("Bob", bob.Token)
		if c := bob.Conversations[0]; c.Read != 2 || !c.Muted {
			t.Errorf("%+v", c)
		}
		err := k.Mark(ctx, &store.Mark{UID: bob.UID, Conversation: "@x y", Seq: 1})
		want(t, "a conversation of others", code(t, err), "not_found")
		if _, got := post(store.Post{ToKey: "Nobody"}); got != "offline" {
			t.Errorf("nobody: %q", got)
		}
		if err := k.Gone(ctx, &store.Gone{UID: bob.UID, Quit: true}); err != nil {
			t.Fatal(err)
		}
		if _, got := post(store.Post{To: bob.UID}); got != "offline" {
			t.Errorf("somebody who has quit: %q", got)
		}
		other := k.login("Bob", "")
		if _, got := post(store.Post{To: bob.UID}); got != "offline" {
			t.Errorf("somebody whose name has another owner: %q", got)
		}
		if p, _ := post(store.Post{ToKey: "Bob"}); p.To.UID != other.UID {
			t.Errorf("the new owner: %+v", p)
		}
	})
}

func TestBlock(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx := t.Context()
		ada, eve := k.login("Ada", ""), k.login("Eve", "")
		post := func(from, to string) string {
			key := fmt.Sprint(time.Now().UnixNano())
			_, err := k.Post(ctx, &store.Post{UID: from, To: to, Present: true, Text: "x", Key: key})
			return code(t, err)
		}
		all, err := k.Block(ctx, &store.Block{UID: ada.UID, Key: "Eve"})
		if err != nil || fmt.Sprint(all) != fmt.Sprint([]store.Person{eve.Person}) {
			t.Errorf("%v, %v", all, err)
		}
		want(t, "from the blocked", post(eve.UID, ada.UID), "blocked")
		want(t, "to the blocked", post(ada.UID, eve.UID), "blocked")
		want(t, "blocked", k.login("Ada", ada.Token).Blocked, fmt.Sprint([]store.Person{eve.Person}))
		for _, b := range []store.Block{{Key: "Nobody"}, {Other: ada.UID}, {Other: "unknown"}} {
			b.UID = ada.UID
			_, err := k.Block(ctx, &b)
			want(t, fmt.Sprint(b), code(t, err), "not_found")
		}
		if all, err := k.Block(ctx, &store.Block{UID: ada.UID, Other: eve.UID, Off: true}); err != nil || len(all) > 0 {
			t.Errorf("%v, %v", all, err)
		}
		want(t, "unblocked", post(eve.UID, ada.UID), "")
	})
}

// A name belongs to whoever has it, and for a while to whoever had it.
func TestNames(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ada := k.login("Ada", "")
		want(t, "another person", k.refused(store.Login{Name: "Ada"}), "name_taken")
		want(t, "a name with an equal key", second(ada, func() string {
			_, err := k.Login(t.Context(), &store.Login{Name: "Adá", Keys: []string{"Adá", "like Ada"}})
			return code(t, err)
		}()), "name_taken")
		want(t, "another name's token", k.refused(store.Login{Name: "Ada", Token: k.login("Bob", "").Token}), "name_taken")
		for _, token := range []string{"f" + ada.Token[1:], ada.Token + "x", "." + ada.Token, "guessed"} {
			want(t, token, k.refused(store.Login{Name: "Ada", Token: token}), "name_taken")
		}
		if again := k.login("Ada", ada.Token); again.UID != ada.UID {
			t.Errorf("%+v is not %+v", again, ada)
		}
		if err := k.Gone(t.Context(), &store.Gone{UID: ada.UID}); err != nil {
			t.Fatal(err)
		}
		want(t, "while she is away", k.refused(store.Login{Name: "Ada"}), "name_taken")
		want(t, "in use at a gateway", k.refused(store.Login{Name: "Free", Online: []string{"0"}}), "name_taken")
		if err := k.Gone(t.Context(), &store.Gone{UID: ada.UID, Quit: true}); err != nil {
			t.Fatal(err)
		}
		if other := k.login("Ada", ""); other.UID == ada.UID {
			t.Error("somebody else has her uid")
		}
	})
}

// A worker may die after it has called the store. The request is delivered again, and has the same
// effect.
func TestDeliveredAgain(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx := t.Context()
		login := store.Login{Name: "Ada", Keys: []string{"Ada"}, Key: "k1", Returns: true}
		ada, err := k.Login(ctx, &login)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := k.Login(ctx, &login); err != nil || again.UID != ada.UID {
			t.Errorf("the login: %+v, %v", again, err)
		}
		login.Key = "k2"
		_, err = k.Login(ctx, &login)
		want(t, "another login", code(t, err), "name_taken")
		set := store.SetPassword{UID: ada.UID, New: "correct horse", Key: "k3"}
		token, err := k.SetPassword(ctx, &set)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := k.SetPassword(ctx, &set); err != nil || again != token {
			t.Errorf("the password: %v", err)
		}
		k.say(ada.UID, "lobby", "hello")
		for range 2 {
			m := store.Change{UID: ada.UID, Conversation: "#lobby", Seq: 1, Delete: true}
			if p, err := k.Change(ctx, &m); err != nil || !p.Message.Deleted {
				t.Errorf("delete: %+v, %v", p, err)
			}
		}
	})
}

// The times after which names are free, in memory because they are long.
func TestNamesAreFreeAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.New(store.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		k := talk{store.Client{Invoke: st.Serve}, t, st}
		ada := k.login("Ada", "")
		time.Sleep(6 * time.Minute)
		want(t, "online", k.refused(store.Login{Name: "Ada", Online: []string{ada.UID}}), "name_taken")
		want(t, "gone without a report", k.refused(store.Login{Name: "Ada"}), "name_taken")
		time.Sleep(4 * time.Minute)
		want(t, "4 minutes later", k.refused(store.Login{Name: "Ada"}), "name_taken")
		time.Sleep(2 * time.Minute)
		want(t, "6 minutes later", k.refused(store.Login{Name: "Ada"}), "")
		want(t, "the owner is late", k.refused(store.Login{Name: "Ada", Token: ada.Token}), "name_taken")
		// People who type their name do not come back.
		bot := store.Login{Name: "Bot", Keys: []string{"Bot", "like Bot"}}
		a, err := k.Login(t.Context(), &bot)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the gateways do not know yet", k.refused(store.Login{Name: "Bot"}), "name_taken")
		if err := k.Gone(t.Context(), &store.Gone{UID: a.UID}); err != nil {
			t.Fatal(err)
		}
		want(t, "gone", k.refused(store.Login{Name: "Bot"}), "")
	})
}

func TestPassword(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx := t.Context()
		ada := k.login("Ada", "")
		set := func(old, password string) (string, string) {
			token, err := k.SetPassword(ctx, &store.SetPassword{UID: ada.UID, Old: old, New: password})
			return token, code(t, err)
		}
		want(t, "short", second(set("", "1234567")), "bad_password")
		token, _ := set("", "correct horse")
		want(t, "old token", k.refused(store.Login{Name: "Ada", Token: ada.Token}), "password_needed")
		want(t, "no password", k.refused(store.Login{Name: "Ada"}), "password_needed")
		want(t, "wrong password", k.refused(store.Login{Name: "Ada", Password: "correct house"}), "bad_password")
		if again := k.login("Ada", token); again.UID != ada.UID || !again.Protected {
			t.Errorf("with the new token: %+v", again)
		}
		a, err := k.Login(ctx, &store.Login{Name: "Ada", Keys: []string{"Ada", "like Ada"}, Password: "correct horse"})
		if err != nil || a.UID != ada.UID {
			t.Errorf("with the password: %+v, %v", a, err)
		}
		if err := k.Gone(ctx, &store.Gone{UID: ada.UID, Quit: true}); err != nil {
			t.Fatal(err)
		}
		want(t, "after she has quit", k.refused(store.Login{Name: "Ada"}), "password_needed")
		_, err = k.Login(ctx, &store.Login{Name: "Adá", Keys: []string{"Adá", "like Ada"}, Password: "correct horse"})
		want(t, "a look-alike", code(t, err), "name_taken")
		want(t, "change without the old one", second(set("", "another one")), "bad_password")
		want(t, "change", second(set("correct horse", "another one")), "")
		want(t, "the fifth attempt", second(set("wrong", "")), "bad_password")
		want(t, "attempts are limited", second(set("wrong", "")), "slow_down")
	})
}

func TestRooms(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ctx, ada := t.Context(), k.login("Ada", "")
		for i := range 21 {
			err := k.Member(ctx, &store.Member{UID: ada.UID, Room: fmt.Sprint("r", i)})
			want(t, fmt.Sprint("room ", i), code(t, err), map[bool]string{true: "too_many_rooms"}[i == 20])
		}
		for i := range 19 {
			if err := k.Member(ctx, &store.Member{UID: ada.UID, Room: fmt.Sprint("r", i), Leave: true}); err != nil {
				t.Fatal(err)
			}
		}
		k.say(ada.UID, "r19", "x")
		if err := k.Mark(ctx, &store.Mark{UID: ada.UID, Conversation: "#r19", Seq: 1}); err != nil {
			t.Fatal(err)
		}
		want(t, "rooms", k.login("Ada", ada.Token).Conversations,
			fmt.Sprint([]store.State{{Conversation: "#r19", Last: 1, Read: 1}}))
	})
}

func TestPeopleAreBounded(t *testing.T) {
	each(t, store.Config{MaxPeople: 5}, func(t *testing.T, k talk) {
		for i := range 9 {
			k.login(fmt.Sprint("n", i), "")
		}
		if s, err := k.st.Stats(); err != nil || s.People != 5 || s.EvictedPeople != 4 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// The log says how many conversations and people were removed because there were too many.
func TestRemovalsAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		st, err := store.New(store.Config{
			MaxConversations: 2, MaxPeople: 2, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		k := talk{store.Client{Invoke: st.Serve}, t, st}
		for i := range 5 {
			k.login(fmt.Sprint("n", i), "")
			k.say("ada", fmt.Sprint("r", i), "x")
		}
		time.Sleep(time.Hour)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if strings.Count(log.String(), "conversations=3 people=3") != 1 || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("log: %s", log.String())
		}
	})
}

// What has expired is not shown, and is removed.
func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.New(store.Config{MaxAge: 2 * time.Hour, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = st.Close() }()
		k := talk{store.Client{Invoke: st.Serve}, t, st}
		k.login("Ada", "")
		k.say("ada", "quiet", "x")
		k.say("ada", "busy", "old")
		time.Sleep(time.Hour)
		k.say("ada", "busy", "new")
		time.Sleep(time.Hour + time.Second)
		page := k.page(store.Read{Conversation: "#busy"})
		want(t, "busy", texts(page), "[new]")
		want(t, "first", page.First, "2")
		want(t, "quiet", texts(k.page(store.Read{Conversation: "#quiet"})), "[]")
		time.Sleep(30 * time.Minute)
		s, err := st.Stats()
		if err != nil || s.Conversations != 1 || s.Messages != 1 || s.ExpiredMessages != 2 || s.People != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		time.Sleep(2 * time.Hour)
		s, err = st.Stats()
		if err != nil || s.Conversations+s.Messages+s.Bytes != 0 || s.ExpiredMessages != 3 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// Limits hold for all workers, because they are in the store.
func TestLimits(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		limits := []store.Limit{{Key: "user", Burst: 100, Every: time.Second}, {Key: "room", Burst: 3, Every: time.Hour}}
		for i := range 4 {
			_, err := k.Post(t.Context(), &store.Post{UID: "ada", Room: "lobby", Text: "x", Key: fmt.Sprint(i), Limits: limits})
			want(t, fmt.Sprint(i), code(t, err), map[bool]string{true: "slow_down"}[i == 3])
		}
	})
}

// A caller that has been told that it took too long finds that nothing has happened.
func TestTooLate(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		late, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := k.Post(late, &store.Post{UID: "ada", Room: "lobby", Text: "x", Key: "k"})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		want(t, "last", k.page(store.Read{Conversation: "#lobby"}).Last, "0")
	})
}

// Many people at once: each message is stored once, in the order of its number.
func TestConcurrentPosts(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		const people, messages = 20, 25
		var all sync.WaitGroup
		for p := range people {
			all.Go(func() {
				uid := fmt.Sprint("p", p)
				for i := range messages {
					_, err := k.Post(context.Background(), &store.Post{
						UID: uid, Room: "lobby", Author: uid, Text: fmt.Sprint(uid, " ", i), Key: fmt.Sprint(i),
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		seen, last := make(map[string]int), uint64(0)
		for page := k.page(store.Read{Conversation: "#lobby", Before: 101}); last < people*messages; {
			for _, m := range page.Messages {
				if m.Seq != last+1 {
					t.Fatalf("message %d after %d", m.Seq, last)
				}
				last = m.Seq
				var uid string
				var i int
				if _, err := fmt.Sscan(m.Text, &uid, &i); err != nil || seen[uid] != i {
					t.Fatalf("%q, and %d of them before: %v", m.Text, seen[uid], err)
				}
				seen[uid]++
			}
			page = k.page(store.Read{Conversation: "#lobby", After: last})
		}
	})
}

// While a gateway is not reached, the store's own knowledge says who is online. Who comes back with
// a token gets in.
func TestLoginWhileAGatewayIsMissing(t *testing.T) {
	each(t, store.Config{}, func(t *testing.T, k talk) {
		ada := k.login("Ada", "")
		want(t, "a new name", k.refused(store.Login{Name: "Bob", Partial: true}), "")
		want(t, "a name of somebody who is online", k.refused(store.Login{Name: "Ada", Partial: true}), store.CodeNameTaken)
		want(t, "who is online", k.refused(store.Login{Name: "Ada", Token: ada.Token, Partial: true, Returns: true}), "")
		want(t, "typed, without a token", k.refused(store.Login{Name: "Bob", Partial: true}), store.CodeNameTaken)
		if err := k.Gone(t.Context(), &store.Gone{UID: ada.UID, Quit: true}); err != nil {
			t.Fatal(err)
		}
		want(t, "a name of somebody who has gone", k.refused(store.Login{Name: "Ada", Partial: true}), "")
	})
}
