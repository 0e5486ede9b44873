package chat

import "testing"

// Any data from a client is a request or is refused, and never causes a panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"type":"login","name":"ann"}`, "/say room text", "/msg bob", "/", "hello",
		`{"type":1}`, "{\"a\":\"\xff\"}", "[[[[",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := parse(in)
		if err == nil && len(req.Text)+len(req.Name)+len(req.Room)+len(req.To)+len(req.Type) > 3*len(in)+len("private") {
			t.Fatalf("%q becomes %+v", in, req) // a byte that is no UTF-8 would be three
		}
	})
}
