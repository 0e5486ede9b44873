package chat_test

import (
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// tryName logs in and returns "welcome" or the code of the refusal. ordinary is the name as the
// chat shows it.
func tryName(t *testing.T, g *workertest.Gateway, name string) (answer, ordinary string) {
	t.Helper()
	p := person{g.Dial(workertest.Request{}), t}
	p.Send(`{"type":"login","name":` + quoteJS(name) + `}`)
	e := p.next()
	p.Send("/quit")
	if e["type"] == "error" {
		return e["code"].(string), ""
	}
	return e["type"].(string), e["name"].(string)
}

// Nobody gets a name that looks like that of somebody else.
func TestNamesThatLookAlike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		there      string
		imitations []string
		others     []string // different names, which people can tell apart
	}{
		{
			there: "Ada",
			imitations: []string{
				"ADA", "ada", "\u0410da", "Ad\u0430", "\u0391da", "\uff21\uff44\uff41", "\U0001d400\U0001d41d\U0001d41a",
				"Ad\u1ea1", "Ada\u02bc", `"Ada"`, "\u201cAda\u201d", "Ada.", "\u00b7Ada\u00b7", "A da", "Ada\ufe0f", "-Ada-",
			},
			others: []string{"Ada2", "Adam", "Ad\u00e1", "\u0410\u0434\u0430", "Eda"},
		},
		{there: "Zo\u00e9", imitations: []string{"Zoe\u0301", "ZO\u00c9", "zoE\u0301"}, others: []string{"Zoe"}},
		{there: "Bob", imitations: []string{"\u0412ob", "B\u043eb", "B0b", "BOB"}, others: []string{"Rob"}},
		{there: "Tom", imitations: []string{"\u0422\u041e\u041c"}, others: []string{"\u0442\u043e\u043c\u0438"}},
		{
			there:      "lisa",
			imitations: []string{"Iisa", "L\u0131sa", "1isa", "|isa", "\u0406ISA"},
			others:     []string{"L\u0130sa"},
		},
		{there: "\u0412\u043e\u0432\u0430", imitations: []string{"\u0432\u043e\u0432\u0430", "\u0412\u041e\u0412\u0410"}},
		{there: "Stra\u00dfe", imitations: []string{"STRASSE", "strasse"}},
		{there: "x\u00b2", imitations: []string{"x2"}},
	} {
		g := newChat(t)
		enter(t, g, c.there)
		for _, name := range c.imitations {
			if answer, _ := tryName(t, g, name); answer != "name_taken" {
				t.Errorf("%q beside %q: %s", name, c.there, answer)
			}
		}
		for _, name := range c.others {
			if answer, _ := tryName(t, g, name); answer != "welcome" {
				t.Errorf("%q beside %q: %s", name, c.there, answer)
			}
		}
	}
}

// Names that could be taken for the chat itself or for a part of the page are refused.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Ada (you)", "Ada(YOU)", "Ada \uff08you\uff09", "(y\u043eu)", "Bob left", "Bob joined", "Sluice", "sluice chat",
		"Slu\u0456ce Chat", "system", "ADMIN", "@ada", "/quit", "#lobby", "# lobby", "everyone",
		".", "\u00b7", "-", "\ufffc", "\ufffd", "Ada\ufffd", "\u02bc", "\U0001f98a", // no letter or digit
		"Z\u0301\u0302\u0303", "\u0301", "a \u0301", "Z\u0e34\u0e34\u0e34\u0e34\u0e34",
		"\u200bAda", "A\u202eda", "A\u00adda", "\u2066Ada", "A\U000e0041da", // invisible
		"\ufdfa\ufdfa", // 36 characters in NFKC
	} {
		if answer, _ := tryName(t, newChat(t), name); answer != "bad_name" {
			t.Errorf("%q: %s", name, answer)
		}
	}
	for name, want := range map[string]string{
		"\uff21da": "Ada", " Ada   Lovelace ": "Ada Lovelace", "Zoe\u0301": "Zo\u00e9", "Nguy\u1ec7t": "Nguy\u1ec7t",
		"\u1019\u103c\u102d\u102f\u1037": "\u1019\u103c\u102d\u102f\u1037",
		"Ada \U0001f98a":                 "Ada \U0001f98a", "O'Neill": "O'Neill",
		"\u7530\u4e2d": "\u7530\u4e2d", "you2": "you2", "Lefty": "Lefty",
	} {
		if answer, name := tryName(t, newChat(t), name); answer != "welcome" || name != want {
			t.Errorf("%q becomes %s %q", want, answer, name)
		}
	}
}

// A private message reaches the user with the name, in any spelling of it, and nobody whose name is
// similar.
func TestPrivateReachesTheName(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	bob, dotted := enter(t, g, "Bob"), enter(t, g, "L\u0130sa")
	bob.Send("/msg Lisa for Lisa only")
	if e := bob.gets("error"); e["code"] != "offline" {
		t.Errorf("Bob got %v", e)
	}
	lisa := enter(t, g, "Lisa")
	bob.Send("/msg LISA for Lisa only")
	if e := lisa.gets("private"); e["to"] != "Lisa" || e["from"] != "Bob" {
		t.Errorf("Lisa got %v", e)
	}
	bob.Send("/msg l\u0130sa for the other one")
	if e := dotted.gets("private"); e["text"] != "for the other one" {
		t.Errorf("the other one got %v", e)
	}
}

// There is one way to write the name of a room.
func TestRoomNames(t *testing.T) {
	t.Parallel()
	g := newChat(t)
	ann := enter(t, g, "Ann", "lobby")
	for i, room := range []string{"Lobby", "LOBBY", "# lobby", "#lobby", "\uff4cobby"} {
		p := enter(t, g, fmt.Sprint("P", i), room)
		if e := ann.gets("joined"); e["room"] != "lobby" {
			t.Errorf("%q: %v", room, e)
		}
		p.Send(fmt.Sprintf(`{"type":"say","room":%s,"text":"hi"}`, quoteJS(room)))
		if e := ann.gets("message"); e["room"] != "lobby" {
			t.Errorf("%q: %v", room, e)
		}
		p.Send("/leave " + room)
		ann.gets("left")
	}
	for _, room := range []string{"l\u043ebby", "lobb\u0443", "lobby\u2019", "/lobby", "@lobby", "#", "\U0001f389"} {
		ann.Send(`{"type":"join","room":` + quoteJS(room) + `}`)
		if e := ann.gets("error"); e["code"] != "bad_room" {
			t.Errorf("%q: %v", room, e)
		}
	}
	// A room in ASCII cannot be kept from people by one that looks like it.
	bob := enter(t, g, "Bob", "m\u0430in")
	bob.Send("/join main")
	bob.gets("users")
}
