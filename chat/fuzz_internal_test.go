package chat

import "testing"

// Any data from a client is a request or is refused, and never causes a panic. A name or text that
// is accepted stays the same when it is sent again, and the names of groups and keys of stores that
// are made of it are not too long.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"login","name":"ann"}`, "/say room text", "/msg bob", "/", "hello",
		`{"type":1}`, "{\"a\":\"\xff\"}", "[[[[", `/login "Ada" token`,
		"/join # L\u043ebby", "/login \uff21da\u0301 \u1e9e \u0130 \ufdfa", "/join \u0390\u0390\u0390", "/help",
		"/edit #lobby 3 text", `/react @"A b" 2 :+1:`, "/history 7", "/reply 1 x", "/delete 0", "/password a b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := parse(in)
		if err != nil {
			return
		}
		if len(req.Text)+len(req.Name)+len(req.Room)+len(req.To)+len(req.Type) > 3*len(in)+len("private") {
			t.Fatalf("%q becomes %+v", in, req) // a byte that is no UTF-8 would be three
		}
		cleaners := map[string]func(string) (string, error){"user": cleanUser, "room": cleanRoom, "text": cleanText}
		for name, clean := range cleaners {
			s := map[string]string{"user": req.Name, "room": req.Room, "text": req.Text}[name]
			once, err := clean(s)
			if err != nil {
				continue
			}
			if twice, err := clean(once); err != nil || twice != once {
				t.Errorf("%s %+q becomes %+q and then %+q, %v", name, s, once, twice, err)
			}
			if name == "text" {
				continue
			}
			for _, g := range append(groupsOfName(once), group(once), groupOfLook(once)) {
				if len(g) > 250 {
					t.Errorf("%s %+q has a key of %d bytes", name, s, len(g))
				}
			}
			if key(once) != key(key(once)) {
				t.Errorf("the key of %+q is %+q, whose key is another one", once, key(once))
			}
		}
	})
}
