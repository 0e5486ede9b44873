package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/kv/kvtest"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// each runs a test with a store in memory and with one in a file.
func each(t *testing.T, f func(t *testing.T, s kv.Store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		f(t, kv.NewMemory())
	})
	t.Run("shared", func(t *testing.T) {
		t.Parallel()
		s := kv.Share(kvtest.NewRemote(), slog.New(slog.DiscardHandler))
		f(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		s, err := kv.Open(kv.Config{Path: filepath.Join(t.TempDir(), "made", "db"), Bucket: "b"})
		if err != nil {
			t.Fatal(err)
		}
		f(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// put adds keys whose values are the keys in upper case.
func put(t *testing.T, s kv.Store, keys ...string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx kv.Tx) error {
		for _, k := range keys {
			tx.Put([]byte(k), []byte(strings.ToUpper(k)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// walk returns the keys that a walk meets, at most limit of them.
func walk(t *testing.T, s kv.Store, up bool, from string, limit int) (keys []string) {
	t.Helper()
	err := s.View(func(tx kv.Tx) error {
		visit := func(k, v []byte) bool {
			if string(v) != strings.ToUpper(string(k)) {
				t.Errorf("%q has the value %q", k, v)
			}
			keys = append(keys, string(k))
			return len(keys) < limit
		}
		if up {
			tx.Ascend([]byte(from), visit)
		} else {
			tx.Descend([]byte(from), visit)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Walks meet the keys in their order, from any place on.
func TestOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s kv.Store) {
		if got := walk(t, s, true, "a", 9); len(got) != 0 {
			t.Errorf("an empty store has %q", got)
		}
		if got := walk(t, s, false, "z", 9); len(got) != 0 {
			t.Errorf("an empty store has %q", got)
		}
		put(t, s, "d", "b", "f")
		put(t, s, "a", "b")
		for _, c := range []struct {
			up    bool
			from  string
			limit int
			want  string
		}{
			{true, "a", 9, "a b d f"}, {true, "b", 9, "b d f"}, {true, "c", 9, "d f"}, {true, "g", 9, ""}, {true, "a", 2, "a b"},
			{false, "z", 9, "f d b a"}, {false, "f", 9, "d b a"}, {false, "e", 9, "d b a"}, {false, "a", 9, ""},
			{false, "z", 1, "f"},
		} {
			if got := strings.Join(walk(t, s, c.up, c.from, c.limit), " "); got != c.want {
				t.Errorf("%+v: %q", c, got)
			}
		}
		_ = s.View(func(tx kv.Tx) error {
			if tx.Get([]byte("c")) != nil || string(tx.Get([]byte("d"))) != "D" {
				t.Error("Get")
			}
			return nil
		})
	})
}

// Within may change what it visits, and stops at the end of the prefix.
func TestWithin(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s kv.Store) {
		put(t, s, "a1", "b1", "b2", "b3", "c1")
		var seen []string
		err := s.Update(t.Context(), func(tx kv.Tx) error {
			kv.Within(tx, []byte("b"), 2, func(k, _ []byte) bool {
				seen = append(seen, string(k))
				tx.Delete(k)
				return true
			})
			return nil
		})
		if left := walk(t, s, true, "", 9); err != nil || !slices.Equal(seen, []string{"b1", "b2"}) ||
			!slices.Equal(left, []string{"a1", "b3", "c1"}) {
			t.Errorf("%v, saw %q, left %q", err, seen, left)
		}
	})
}

// Updates that are made at once are all made. One that has failed before it changed anything leaves
// the others alone, and one whose context has ended is not made.
func TestUpdates(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s kv.Store) {
		failed := errors.New("failed")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				ctx, want := t.Context(), error(nil)
				if i%10 == 1 {
					want = failed
				}
				if i%10 == 2 {
					ctx, want = ended, context.Canceled
				}
				err := s.Update(ctx, func(tx kv.Tx) error {
					if want == nil {
						tx.Put(fmt.Appendf(nil, "k%02d", i), fmt.Appendf(nil, "K%02d", i))
					}
					return want
				})
				if !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("%d: %v, want %v", i, err, want)
				}
			})
		}
		all.Wait()
		if n := len(walk(t, s, true, "", 1000)); n != 80 {
			t.Errorf("%d keys, want 80", n)
		}
	})
}

// A file has what was put into it when it is opened again. Open visits all of it.
func TestReopen(t *testing.T) {
	t.Parallel()
	cfg := kv.Config{Path: filepath.Join(t.TempDir(), "db"), Bucket: "b", Fill: 0.9}
	s, err := kv.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(kv.Tx) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("a closed store says %v", err)
	}
	var visited []string
	cfg.Visit = func(k, v []byte) { visited = append(visited, string(k)+string(v)) }
	if s, err = kv.Open(cfg); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(visited, []string{"aA", "bB"}) {
		t.Errorf("visited %q", visited)
	}
	if _, err := kv.Open(cfg); !errors.Is(err, kv.ErrInUse) {
		t.Errorf("a second opening: %v", err)
	}
	err = s.Update(t.Context(), func(tx kv.Tx) error {
		tx.Put([]byte("lost"), nil)
		panic("a bug")
	})
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("after a panic: %v", err)
	}
	if got := walk(t, s, true, "", 9); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after a panic there is %q", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A file that is no database is damaged. What the system refuses is not damage.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("text", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Open(kv.Config{Path: text, Bucket: "b"}); !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("%v", err)
	}
	for _, path := range []string{dir, filepath.Join(text, "db")} {
		if _, err := kv.Open(kv.Config{Path: path, Bucket: "b"}); err == nil || errors.Is(err, kv.ErrDamaged) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
