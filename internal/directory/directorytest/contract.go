// Package directorytest has the tests that every driver of a directory passes.
package directorytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Store is a directory with several clients, as a test needs it.
type Store interface {
	// Client returns another client of the same store. It is closed at the end of the test.
	Client(t *testing.T) directory.Directory
	// Flush makes the store lose its data.
	Flush(t *testing.T)
}

// Keep is how long a free row stays in a Store, and EntryTTL how long a gateway is in a set.
const (
	Keep     = 5 * time.Second
	EntryTTL = 3 * time.Second
)

const (
	long  = time.Minute // a lease that does not expire during a test
	short = 700 * time.Millisecond
)

// Run runs the contract's tests. open makes a store, empty, with Keep and EntryTTL of this package.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(t *testing.T, s Store){
		"rows":     rows,
		"values":   values,
		"expiry":   expiry,
		"invalid":  invalid,
		"race":     race,
		"list":     list,
		"watch":    watch,
		"flush":    flush,
		"presence": presence,
		"entries":  entries,
		"mail":     mail,
		"state":    state,
		"closed":   closed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func want(t *testing.T, what string, err, is error) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Fatalf("%s: %v, want %v", what, err, is)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// await polls until ok returns true.
func await(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// A row has one owner, who alone may renew and release it.
func rows(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	const key = "room/arena/17"
	_, err := a.Get(ctx, key)
	want(t, "get of a row that never was", err, directory.ErrNone)
	want(t, "renewal of a row that never was", a.Renew(ctx, key, "a", 1, long), directory.ErrNone)
	want(t, "release of a row that never was", a.Release(ctx, key, "a", 1), directory.ErrNone)

	first := must(a.Claim(ctx, key, "a", long, nil))(t)
	if first.Key != key || first.Owner != "a" || first.Epoch == 0 || first.Epoch >= 1<<53 || first.Version != 0 ||
		len(first.Value) != 0 || first.Left <= long/2 || first.Left > long {
		t.Errorf("a new row is %+v", first)
	}
	again := must(a.Claim(ctx, key, "a", long, nil))(t)
	if again.Epoch != first.Epoch {
		t.Errorf("the owner's own claim gave epoch %d after %d", again.Epoch, first.Epoch)
	}
	held, err := b.Claim(ctx, key, "b", long, []byte("b's"))
	want(t, "claim of a held row", err, directory.ErrHeld)
	if held.Owner != "a" || held.Epoch != first.Epoch || held.Version != 0 || held.Left <= 0 {
		t.Errorf("the held row is %+v", held)
	}
	want(t, "renewal", a.Renew(ctx, key, "a", first.Epoch, long), nil)
	want(t, "renewal by another", b.Renew(ctx, key, "b", first.Epoch, long), directory.ErrLost)
	want(t, "renewal with an older epoch", a.Renew(ctx, key, "a", first.Epoch-1, long), directory.ErrLost)
	want(t, "release by another", b.Release(ctx, key, "b", first.Epoch), directory.ErrLost)

	want(t, "release", a.Release(ctx, key, "a", first.Epoch), nil)
	want(t, "second release", a.Release(ctx, key, "a", first.Epoch), directory.ErrLost)
	if free := must(b.Get(ctx, key))(t); free.Owner != "" || free.Left != 0 || free.Epoch != first.Epoch {
		t.Errorf("the free row is %+v", free)
	}
	second := must(b.Claim(ctx, key, "b", long, nil))(t)
	if second.Owner != "b" || second.Epoch <= first.Epoch {
		t.Errorf("the next owner's row is %+v, after epoch %d", second, first.Epoch)
	}
	want(t, "release by the owner before", a.Release(ctx, key, "a", first.Epoch), directory.ErrLost)
	want(t, "release", b.Release(ctx, key, "b", second.Epoch), nil)
	if third := must(b.Claim(ctx, key, "b", long, nil))(t); third.Epoch <= second.Epoch {
		t.Errorf("the same owner got epoch %d after %d, though the row was free", third.Epoch, second.Epoch)
	}
}

// A value is written by compare-and-set, and stays for the next owner.
func values(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	const key = "room/with values"
	row := must(a.Claim(ctx, key, "a", long, []byte("one")))(t)
	if row.Version != 1 || string(row.Value) != "one" {
		t.Errorf("claimed with a value: %+v", row)
	}
	large := []byte(strings.Repeat("\x00\xff\r\n", directory.MaxValue/4))
	if v := must(a.Put(ctx, key, "a", row.Epoch, 1, large))(t); v != 2 {
		t.Errorf("version %d, want 2", v)
	}
	_, err := a.Put(ctx, key, "a", row.Epoch, 1, nil)
	want(t, "put over an older version", err, directory.ErrConflict)
	_, err = b.Put(ctx, key, "b", row.Epoch, 2, nil)
	want(t, "put by another", err, directory.ErrLost)
	_, err = b.Put(ctx, "room/other", "b", row.Epoch, 0, nil)
	want(t, "put to no row", err, directory.ErrNone)
	if got := must(b.Get(ctx, key))(t); got.Version != 2 || string(got.Value) != string(large) || got.Owner != "a" {
		t.Errorf("version %d, %d bytes, owner %q", got.Version, len(got.Value), got.Owner)
	}
	want(t, "release", a.Release(ctx, key, "a", row.Epoch), nil)
	next := must(b.Claim(ctx, key, "b", long, nil))(t)
	if next.Version != 2 || string(next.Value) != string(large) {
		t.Errorf("the next owner has version %d, %d bytes", next.Version, len(next.Value))
	}
	if v := must(b.Put(ctx, key, "b", next.Epoch, 2, []byte{}))(t); v != 3 {
		t.Errorf("version %d, want 3", v)
	}
	if own := must(b.Claim(ctx, key, "b", long, []byte("four")))(t); own.Version != 4 || own.Epoch != next.Epoch {
		t.Errorf("the owner's own claim with a value: %+v", own)
	}
}

// A lease expires, and the row may then be claimed. Its value stays for Keep.
func expiry(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	const key = "room/expires"
	claimed := time.Now()
	row := must(a.Claim(ctx, key, "a", short, []byte("kept")))(t)
	var next directory.Row
	await(t, "the row is free", 10*time.Second, func() bool {
		var err error
		if next, err = b.Claim(ctx, key, "b", short, nil); err == nil {
			return true
		}
		want(t, "claim", err, directory.ErrHeld)
		return false
	})
	if after := time.Since(claimed); after < short-50*time.Millisecond {
		t.Errorf("free after %v of a lease of %v", after, short)
	}
	if next.Epoch <= row.Epoch || string(next.Value) != "kept" || next.Version != 1 {
		t.Errorf("the next owner's row is %+v, after epoch %d", next, row.Epoch)
	}
	want(t, "renewal after another's claim", a.Renew(ctx, key, "a", row.Epoch, long), directory.ErrLost)
	await(t, "the second lease expires", 10*time.Second, func() bool {
		return must(a.Get(ctx, key))(t).Owner == ""
	})
	want(t, "renewal after the lease has expired", b.Renew(ctx, key, "b", next.Epoch, long), directory.ErrLost)
	_, err := b.Put(ctx, key, "b", next.Epoch, 1, nil)
	want(t, "put after the lease has expired", err, directory.ErrLost)
	await(t, "the row is forgotten", Keep+10*time.Second, func() bool {
		_, err := a.Get(ctx, key)
		return errors.Is(err, directory.ErrNone)
	})
	if last := must(a.Claim(ctx, key, "a", long, nil))(t); last.Epoch <= next.Epoch || last.Version != 0 {
		t.Errorf("the forgotten row is %+v, after epoch %d", last, next.Epoch)
	}
}

// Arguments that break a bound are refused before anything is done.
func invalid(t *testing.T, s Store) {
	ctx, d := t.Context(), s.Client(t)
	tooLong := strings.Repeat("x", directory.MaxKey+1)
	for name, call := range map[string]func() error{
		"key without kind": func() error { _, err := d.Get(ctx, "room"); return err },
		"empty kind":       func() error { _, err := d.Get(ctx, "/room"); return err },
		"long key":         func() error { _, err := d.Claim(ctx, "room/"+tooLong, "a", long, nil); return err },
		"no owner":         func() error { return d.Renew(ctx, "room/1", "", 1, long) },
		"long owner":       func() error { return d.Release(ctx, "room/1", tooLong, 1) },
		"no lease":         func() error { _, err := d.Claim(ctx, "room/1", "a", 0, nil); return err },
		"long lease":       func() error { return d.Renew(ctx, "room/1", "a", 1, directory.MaxLease+1) },
		"large value": func() error {
			_, err := d.Put(ctx, "room/1", "a", 1, 0, make([]byte, directory.MaxValue+1))
			return err
		},
		"prefix without kind": func() error { _, err := d.List(ctx, "room"); return err },
		"watch without kind":  func() error { return d.Watch(ctx, "", nil) },
		"large message": func() error {
			return d.Post(ctx, 1, [][]byte{make([]byte, directory.MaxMessage+1)})
		},
		"many messages": func() error {
			_, err := d.Fetch(ctx, 1, make([][]byte, directory.MaxPost+1))
			return err
		},
		"kind of set": func() error {
			_, err := d.Enter(ctx, directory.Member{}, []directory.Set{{Kind: 'x'}})
			return err
		},
		"long name": func() error {
			return d.Leave(ctx, directory.Member{}, []directory.Set{{Kind: directory.Group, Name: tooLong}})
		},
		"long read lease": func() error {
			_, err := d.Locate(ctx, directory.Reader{}, directory.MaxLease+1, nil)
			return err
		},
	} {
		if err := call(); !errors.Is(err, directory.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of many that claim at once one wins, and of many that put at once one.
func race(t *testing.T, s Store) {
	ctx := t.Context()
	const key, many = "room/raced", 8
	clients := make([]directory.Directory, many)
	for i := range clients {
		clients[i] = s.Client(t)
	}
	var last uint64
	for range 10 {
		epochs := make([]uint64, many)
		var claims sync.WaitGroup
		for i, d := range clients {
			claims.Go(func() {
				row, err := d.Claim(ctx, key, fmt.Sprint("owner ", i), long, nil)
				if err == nil {
					epochs[i] = row.Epoch
				} else if !errors.Is(err, directory.ErrHeld) {
					t.Error(err)
				}
			})
		}
		claims.Wait()
		winner := -1
		for i, e := range epochs {
			if e != 0 && winner >= 0 {
				t.Fatalf("two owners: %v", epochs)
			} else if e != 0 {
				winner = i
			}
		}
		if winner < 0 || epochs[winner] <= last {
			t.Fatalf("epochs %v after %d", epochs, last)
		}
		last = epochs[winner]
		owner := fmt.Sprint("owner ", winner)
		onePuts(t, clients, key, owner, last)
		want(t, "release", clients[winner].Release(ctx, key, owner, last), nil)
	}
}

// onePuts lets all clients put at once, for one owner.
func onePuts(t *testing.T, clients []directory.Directory, key, owner string, epoch uint64) {
	t.Helper()
	ctx, version := t.Context(), must(clients[0].Get(t.Context(), key))(t).Version
	versions := make([]uint64, len(clients))
	var puts sync.WaitGroup
	for i, d := range clients {
		puts.Go(func() {
			v, err := d.Put(ctx, key, owner, epoch, version, []byte{byte(i)})
			if err == nil {
				versions[i] = v
			} else if !errors.Is(err, directory.ErrConflict) {
				t.Error(err)
			}
		})
	}
	puts.Wait()
	won := 0
	for i, v := range versions {
		if v == 0 {
			continue
		}
		won++
		got := must(clients[0].Get(ctx, key))(t)
		if v != version+1 || got.Version != v || got.Value[0] != byte(i) {
			t.Errorf("put %d gave %d, the row is %+v", i, v, got)
		}
	}
	if won != 1 {
		t.Errorf("%d puts of one version succeeded", won)
	}
}

// A directory that answers is up, and has a generation.
func state(t *testing.T, s Store) {
	d := s.Client(t)
	await(t, "up, with a generation", 10*time.Second, func() bool {
		st := d.State()
		return st.Up && st.Generation != "" && !st.Since.IsZero()
	})
	if other := s.Client(t); other.State().Generation != "" && other.State().Generation != d.State().Generation {
		t.Errorf("generations %q and %q", other.State().Generation, d.State().Generation)
	}
}

// A directory that is closed refuses calls at once, and ends those that wait.
func closed(t *testing.T, s Store) {
	d := s.Client(t)
	must(d.Claim(t.Context(), "room/1", "a", long, nil))(t)
	ended := make(chan error, 1)
	told := make(chan struct{}, 1)
	go func() {
		ended <- d.Watch(context.Background(), "room/", func([]directory.Row) { told <- struct{}{} })
	}()
	<-told
	changed := d.Changed()
	d.Close()
	d.Close()
	<-changed
	want(t, "watch", <-ended, directory.ErrUnavailable)
	_, err := d.Get(t.Context(), "room/1")
	want(t, "get", err, directory.ErrUnavailable)
	_, err = d.Enter(t.Context(), directory.Member{}, []directory.Set{{Kind: directory.Group}})
	want(t, "enter", err, directory.ErrUnavailable)
	want(t, "post", d.Post(t.Context(), 1, [][]byte{{1}}), directory.ErrUnavailable)
	if st := d.State(); st.Up {
		t.Errorf("closed, and %+v", st)
	}
}
