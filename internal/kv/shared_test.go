package kv_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/kv/kvtest"
)

func TestRemoteInMemory(t *testing.T) {
	t.Parallel()
	kvtest.Contract(t, kvtest.NewRemote())
}

// share opens a Store, which is closed at the end of the test.
func share(t *testing.T, r kv.Remote) kv.Store {
	t.Helper()
	s := kv.Share(r, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// all returns the keys, with spaces between them.
func all(t *testing.T, s kv.Store) string {
	t.Helper()
	return strings.Join(walk(t, s, true, "", 1000), " ")
}

// Processes that are used in turn have everything that the others have written.
func TestSharedInTurn(t *testing.T) {
	t.Parallel()
	r := kvtest.NewRemote()
	a, b := share(t, r), share(t, r)
	put(t, a, "1")
	put(t, b, "2")
	put(t, a, "3")
	for _, s := range []kv.Store{a, b, share(t, r)} {
		if got := all(t, s); got != "1 2 3" {
			t.Errorf("%q", got)
		}
	}
}

// Processes that are used at the same time cannot overwrite each other: an update has been made
// once, or there was an error.
func TestSharedAtOnce(t *testing.T) {
	t.Parallel()
	r := kvtest.NewRemote()
	const processes, updates = 3, 300
	made := make([]int, processes)
	var working sync.WaitGroup
	for i := range processes {
		s := share(t, r)
		working.Go(func() {
			for made[i] < updates {
				err := s.Update(t.Context(), func(tx kv.Tx) error {
					tx.Put([]byte("sum"), append(tx.Get([]byte("sum")), '+'))
					return nil
				})
				switch {
				case err == nil:
					made[i]++
				case !errors.Is(err, kv.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	working.Wait()
	_ = share(t, r).View(func(tx kv.Tx) error {
		if n := len(tx.Get([]byte("sum"))); n != processes*updates {
			t.Errorf("%d updates were made, want %d", n, processes*updates)
		}
		return nil
	})
}

// What the Remote loses of what a process has written last comes back: the end, or everything. It
// comes back at the next call, or without one.
func TestSharedIsRestored(t *testing.T) {
	t.Parallel()
	for what, loses := range map[string]string{"all": "", "the end": "1"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := kvtest.NewRemote()
				a := share(t, r)
				if loses != "" {
					put(t, a, loses)
				}
				lose := r.Save()
				put(t, a, "2", "3")
				lose()
				put(t, a, "4")
				want := strings.TrimSpace(loses + " 2 3 4")
				if got := all(t, share(t, r)); got != want {
					t.Errorf("after a call there is %q, want %q", got, want)
				}
				lose()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if got := all(t, share(t, r)); got != want {
					t.Errorf("without a call there is %q, want %q", got, want)
				}
			})
		})
	}
}

// A change during which the Remote fails or loses something loses nothing else. The change itself
// has failed, and may have been made.
func TestSharedFailsInAChange(t *testing.T) {
	t.Parallel()
	for what, test := range map[string]struct {
		during func(lose func(), change func() error) error
		want   string
	}{
		"all is lost before it":     {func(lose func(), change func() error) error { lose(); return change() }, "1 2 4"},
		"it fails, and all is lost": {func(lose func(), _ func() error) error { lose(); return kvtest.ErrDown }, "1 2 4"},
		"it is not made":            {func(_ func(), _ func() error) error { return kvtest.ErrDown }, "1 2 4"},
		"it is made, and the answer is lost": {func(_ func(), change func() error) error {
			return errors.Join(change(), kvtest.ErrDown)
		}, "1 2 3 4"},
		"it is made, and then all is lost": {func(lose func(), change func() error) error {
			err := errors.Join(change(), kvtest.ErrDown)
			lose()
			return err
		}, "1 2 4"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := kvtest.NewRemote()
				lose := r.Save()
				a := share(t, r)
				put(t, a, "1", "2")
				r.NextChange(func(change func() error) error { return test.during(lose, change) })
				if a.Update(t.Context(), func(tx kv.Tx) error { tx.Put([]byte("3"), []byte("3")); return nil }) == nil {
					t.Error("no error")
				}
				put(t, a, "4")
				if got := all(t, share(t, r)); got != test.want {
					t.Errorf("there is %q, want %q", got, test.want)
				}
			})
		})
	}
}

// A process that has taken over restores what it has written, also when the Remote loses all of it.
func TestSharedTakenOverIsRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := kvtest.NewRemote()
		put(t, share(t, r), "1")
		lose := r.Save()
		b := share(t, r)
		put(t, b, "2", "3")
		lose()
		if got := all(t, b); got != "1 2 3" {
			t.Errorf("%q", got)
		}
	})
}

// A process that finds nothing gives another one the time to restore it.
func TestSharedWaitsForARestore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := kvtest.NewRemote()
		lose := r.Save()
		a := share(t, r)
		put(t, a, "1")
		lose()
		if got := all(t, share(t, r)); got != "1" {
			t.Errorf("%q", got)
		}
	})
}

// A process that is not used any more restores nothing: it would lose what others have written.
func TestSharedRestoresNothingOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := kvtest.NewRemote()
		lose := r.Save()
		a, b := share(t, r), share(t, r)
		put(t, a, "1")
		put(t, b, "2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		lose()
		if got := all(t, a); got != "1 2" { // b has restored it
			t.Errorf("%q", got)
		}
		if got := all(t, b); got != "1 2" {
			t.Errorf("%q", got)
		}
	})
}

// While the Remote is down, calls fail. Afterwards everything is as before.
func TestSharedDown(t *testing.T) {
	t.Parallel()
	r := kvtest.NewRemote()
	s := share(t, r)
	put(t, s, "1")
	r.Down(true)
	err := s.Update(t.Context(), func(tx kv.Tx) error { tx.Put([]byte("2"), nil); return nil })
	if !errors.Is(err, kvtest.ErrDown) {
		t.Error(err)
	}
	if err := s.View(func(kv.Tx) error { return nil }); !errors.Is(err, kvtest.ErrDown) {
		t.Error(err)
	}
	r.Down(false)
	put(t, s, "3")
	err = s.Update(t.Context(), func(tx kv.Tx) error { tx.Put([]byte("4"), nil); panic("a bug") })
	if err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Errorf("after a panic: %v", err)
	}
	if got := all(t, s); got != "1 3" {
		t.Errorf("%q", got)
	}
}
