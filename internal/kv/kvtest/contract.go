package kvtest

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

// Contract tests a kv.Remote that is empty.
func Contract(t *testing.T, r kv.Remote) {
	t.Helper()
	has := func(wantHead string, want map[string]string) {
		t.Helper()
		got := make(map[string]string)
		head, err := r.Load(func() { clear(got) }, func(k, v string) { got[k] = v })
		if err != nil || head != wantHead || !maps.Equal(got, want) {
			t.Fatalf("head %q and %d keys, %v; want %q and %d", head, len(got), err, wantHead, len(want))
		}
		if head, err := r.Head(); err != nil || head != wantHead {
			t.Fatalf("head %q, %v, want %q", head, err, wantHead)
		}
	}
	has("", nil)
	// Keys may have any bytes, and the name of anything that the Remote has for itself.
	odd := "\x00\xff\r\n head"
	for _, err := range []error{
		r.Change("", "a.1", map[string][]byte{"head": []byte("1"), odd: []byte("2\x00"), "empty": {}, "none": nil}),
		r.Change("a.1", "a.2", map[string][]byte{"head": nil, "b": []byte("3")}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := map[string]string{odd: "2\x00", "empty": "", "b": "3"}
	has("a.2", kept)
	for _, from := range []string{"", "a.1"} {
		if err := r.Change(from, "b.1", map[string][]byte{"c": {}}); !errors.Is(err, kv.ErrConflict) {
			t.Errorf("a change of %q: %v", from, err)
		}
		err := r.Replace(from, "b.1", func(put func(string, []byte)) { put("c", nil) })
		if !errors.Is(err, kv.ErrConflict) {
			t.Errorf("a replacement of %q: %v", from, err)
		}
	}
	has("a.2", kept)
	// More than one exchange takes.
	large := make(map[string]string)
	for i := range 3000 {
		large[strings.Repeat("k", i%7)+string(rune('a'+i%26))+odd[:2]+strings.Repeat("x", i/26)] = strings.Repeat("v", i%700)
	}
	err := r.Replace("a.2", "b.1", func(put func(string, []byte)) {
		for k, v := range large {
			put(k, []byte(v))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	has("b.1", large)
	if err := r.Replace("b.1", "b.2", func(func(string, []byte)) {}); err != nil {
		t.Fatal(err)
	}
	has("b.2", nil)
}
