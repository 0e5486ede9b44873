package directorytest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Messages wait for their gateway, oldest first, until it has said that it has them. A box has a
// bound, and what is in it twice takes no room.
func mail(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	list := func(first, n int) (all [][]byte) {
		for i := first; i < first+n; i++ {
			all = append(all, fmt.Appendf(nil, "%d \x00\xff\r\n", i))
		}
		return all
	}
	got := func(done [][]byte, all ...[]byte) {
		t.Helper()
		if found := must(b.Fetch(ctx, 7, done))(t); !slices.EqualFunc(found, all, slices.Equal[[]byte]) {
			t.Fatalf("fetched %q, want %q", found, all)
		}
	}
	got(nil)
	want(t, "post of nothing", a.Post(ctx, 7, nil), nil)
	want(t, "post", a.Post(ctx, 7, list(0, 1)), nil)
	want(t, "post", a.Post(ctx, 7, list(1, 1)), nil)
	want(t, "post to another", a.Post(ctx, 8, list(2, 1)), nil)
	first := list(0, 2)
	got(nil, first...)
	got(nil, first...)
	want(t, "the same again", a.Post(ctx, 7, first[:1]), nil)
	got(nil, first[1], first[0])
	got(first[1:], first[0])
	got(list(0, 3))
	got(nil)

	for i := 0; i < directory.MaxMail; i += directory.MaxPost {
		want(t, "post", a.Post(ctx, 7, list(i, directory.MaxPost)), nil)
	}
	want(t, "post to a full box", a.Post(ctx, 7, list(directory.MaxMail, 1)), directory.ErrFull)
	want(t, "the same to a full box", a.Post(ctx, 7, list(0, directory.MaxPost)), nil)
	seen := make(map[string]bool)
	for done := [][]byte(nil); ; {
		done = must(b.Fetch(ctx, 7, done))(t)
		if len(done) > directory.MaxPost {
			t.Fatalf("%d messages at once", len(done))
		}
		if len(done) == 0 {
			break
		}
		for _, m := range done {
			seen[string(m)] = true
		}
	}
	if len(seen) != directory.MaxMail {
		t.Errorf("%d messages, want %d", len(seen), directory.MaxMail)
	}
	if other := must(b.Fetch(ctx, 8, nil))(t); len(other) != 1 {
		t.Errorf("another gateway has %q", other)
	}
}
