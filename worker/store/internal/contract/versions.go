package contract

import (
	"testing"

	"github.com/seed-7410fe32/sluice/worker/store"
)

func versions(t *testing.T, s store.Store) {
	ctx, key := t.Context(), t.Name()
	set := func(v store.Version, value string) (bool, error) {
		return s.CompareAndSet(ctx, key, v, []byte(value), 0)
	}
	unset := func(v store.Version) (bool, error) { return s.CompareAndDelete(ctx, key, v) }
	expect := func(check func(testing.TB, bool, error)) func(bool, error) {
		return func(done bool, err error) { t.Helper(); check(t, done, err) }
	}
	yes, no := expect(yes), expect(no)

	no(set(1, "a")) // it has no value
	no(unset(0))
	no(unset(1))
	want(t, s, key, "-")
	yes(set(0, "a"))
	first := want(t, s, key, "a")
	if again := want(t, s, key, "a"); again != first {
		t.Errorf("a read changes the version: %d and %d", first, again)
	}
	no(set(0, "b"))
	no(set(first+1, "b"))
	no(unset(0))
	no(unset(first + 1))
	want(t, s, key, "a")
	yes(set(first, "a")) // the same value, but another write
	no(set(first, "b"))
	yes(unset(want(t, s, key, "a")))
	want(t, s, key, "-")
	yes(set(0, "again"))
	no(unset(first))
	want(t, s, key, "again")
}

// everyWrite checks that each kind of write gives a version that the key has not had.
func everyWrite(t *testing.T, s store.Store) {
	ctx, key := t.Context(), t.Name()
	seen := map[store.Version]bool{0: true}
	change := func(what string, err error) {
		t.Helper()
		must(t, err)
		_, v, err := s.Get(ctx, key)
		must(t, err)
		if seen[v] {
			t.Errorf("after %s the version %d is one that was there before", what, v)
		}
		seen[v] = true
		for v := range seen {
			if has := want(t, s, key, "1"); v != has && v != 0 {
				set, err := s.CompareAndSet(ctx, key, v, nil, 0)
				no(t, set, err)
				deleted, err := s.CompareAndDelete(ctx, key, v)
				no(t, deleted, err)
			}
		}
	}
	change("Set", s.Set(ctx, key, []byte("1"), 0))
	change("SetMany", s.SetMany(ctx, map[string][]byte{key: []byte("1")}, 0))
	_, err := s.Increment(ctx, key, 0, 0)
	change("Increment", err)
	must(t, s.Delete(ctx, key))
	_, err = s.Add(ctx, key, []byte("1"), 0)
	change("Add", err)
	must(t, s.Delete(ctx, key))
	_, err = s.Increment(ctx, key, 1, 0)
	change("a new counter", err)
}
