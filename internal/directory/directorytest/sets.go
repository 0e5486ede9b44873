package directorytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

func keys(rows []directory.Row) (all []string) {
	for _, r := range rows {
		all = append(all, strings.TrimPrefix(r.Key, "gateway/"))
	}
	return all
}

// List has the rows that are held, of one kind, by their prefix.
func list(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	if none := must(b.List(ctx, "gateway/"))(t); len(none) != 0 {
		t.Errorf("%+v, want nothing", none)
	}
	for _, key := range []string{"gateway/b", "gateway/a/2", "gateway/a/1", "gateways/1", "room/1"} {
		must(a.Claim(ctx, key, "a", long, []byte(key)))(t)
	}
	gone := must(a.Claim(ctx, "gateway/gone", "a", long, nil))(t)
	want(t, "release", a.Release(ctx, gone.Key, "a", gone.Epoch), nil)
	all := must(b.List(ctx, "gateway/"))(t)
	if got := keys(all); !slices.Equal(got, []string{"a/1", "a/2", "b"}) {
		t.Errorf("listed %q", got)
	}
	for _, r := range all {
		if r.Owner != "a" || r.Epoch == 0 || r.Version != 1 || string(r.Value) != r.Key || r.Left <= 0 {
			t.Errorf("listed %+v", r)
		}
	}
	if got := keys(must(b.List(ctx, "gateway/a/"))(t)); !slices.Equal(got, []string{"a/1", "a/2"}) {
		t.Errorf("listed %q", got)
	}
}

// watcher runs a Watch and returns a function that waits for a state.
func watcher(t *testing.T, d directory.Directory, prefix string) func(what string, ok func([]directory.Row) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	states, ended := make(chan []directory.Row, 1000), make(chan error, 1)
	go func() { ended <- d.Watch(ctx, prefix, func(rows []directory.Row) { states <- rows }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch: %v", err)
		}
	})
	return func(what string, ok func([]directory.Row) bool) {
		t.Helper()
		began, timeout := time.Now(), time.After(20*time.Second)
		var last []directory.Row
		for {
			select {
			case last = <-states:
				if ok(last) {
					if took := time.Since(began); took > 2*time.Second {
						t.Logf("%s: seen after %v", what, took)
					}
					return
				}
			case <-timeout:
				t.Fatalf("%s: the last state is %+v", what, last)
			}
		}
	}
}

// A watcher sees claims, values, releases and expiries.
func watch(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	first := must(a.Claim(ctx, "gateway/1", "a", long, []byte("one")))(t)
	saw := watcher(t, b, "gateway/")
	are := func(all ...string) func([]directory.Row) bool {
		return func(rows []directory.Row) bool { return slices.Equal(keys(rows), all) }
	}
	saw("the row that was there", are("1"))
	must(a.Claim(ctx, "gateway/2", "a", long, nil))(t)
	saw("another row", are("1", "2"))
	must(a.Claim(ctx, "room/1", "a", long, nil))(t)
	must(a.Put(ctx, "gateway/1", "a", first.Epoch, 1, []byte("two")))(t)
	saw("another value", func(rows []directory.Row) bool {
		return are("1", "2")(rows) && string(rows[0].Value) == "two" && rows[0].Version == 2
	})
	want(t, "release", a.Release(ctx, "gateway/1", "a", first.Epoch), nil)
	saw("a release", are("2"))
	const lease = 2 * time.Second // long enough to be seen
	renewed := time.Now()
	brief := must(a.Claim(ctx, "gateway/3", "a", lease, nil))(t)
	saw("a short lease", are("2", "3"))
	for range 5 {
		time.Sleep(lease / 8)
		sent := time.Now()
		err := a.Renew(ctx, "gateway/3", "a", brief.Epoch, lease)
		if time.Since(renewed) > lease-50*time.Millisecond { // a machine that stood still
			break
		}
		want(t, "renewal", err, nil)
		renewed = sent
	}
	saw("an expiry", are("2"))
	next := must(a.Claim(ctx, "gateway/3", "b", long, nil))(t)
	saw("another owner", func(rows []directory.Row) bool {
		return are("2", "3")(rows) && rows[1].Owner == "b" && rows[1].Epoch == next.Epoch
	})
	late := watcher(t, a, "gateway/2")
	late("a watcher with a longer prefix", are("2"))
	none := watcher(t, a, "nothing/")
	none("no rows", are())
}

// A flush is noticed, and rows come back when their owners claim them, with larger epochs.
func flush(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	row := must(a.Claim(ctx, "gateway/1", "a", long, []byte("one")))(t)
	saw := watcher(t, b, "gateway/")
	saw("the row", func(rows []directory.Row) bool { return len(rows) == 1 })
	set := []directory.Set{{Kind: directory.Group, Name: "lobby"}}
	must(a.Enter(ctx, directory.Member{Gateway: 1}, set))(t)
	want(t, "post", a.Post(ctx, 1, [][]byte{{1}}), nil)
	before := make([]directory.State, 0, 2)
	for _, d := range []directory.Directory{a, b} {
		await(t, "a generation", 10*time.Second, func() bool { return d.State().Generation != "" })
		before = append(before, d.State())
	}
	changed := b.Changed()
	s.Flush(t)
	want(t, "renewal after the flush", a.Renew(ctx, row.Key, "a", row.Epoch, long), directory.ErrNone)
	if found := must(b.Locate(ctx, directory.Reader{}, 0, set))(t); len(found[0]) != 0 {
		t.Errorf("after the flush the set has %+v", found)
	}
	if messages := must(b.Fetch(ctx, 1, nil))(t); len(messages) != 0 {
		t.Errorf("after the flush there are %d messages", len(messages))
	}
	if must(b.Generation(ctx))(t) == before[1].Generation { // it is not enough that the State follows
		t.Error("an answer after the flush seems to be of the generation before")
	}
	<-changed
	for i, d := range []directory.Directory{a, b} {
		await(t, "another generation", 10*time.Second, func() bool {
			st := d.State()
			return st.Up && st.Generation != before[i].Generation
		})
	}
	again := must(a.Claim(ctx, row.Key, "a", long, []byte("again")))(t)
	if again.Epoch <= row.Epoch {
		t.Errorf("epoch %d after %d and a flush", again.Epoch, row.Epoch)
	}
	saw("the row came back", func(rows []directory.Row) bool { return len(rows) == 1 && rows[0].Epoch == again.Epoch })
}

// Gateways enter and leave sets, and readers are told to those that enter.
func presence(t *testing.T, s Store) {
	ctx, a, b := t.Context(), s.Client(t), s.Client(t)
	g, u := directory.Set{Kind: directory.Group, Name: "1"}, directory.Set{Kind: directory.UID, Name: "1"}
	one, two := directory.Member{Gateway: 1, Epoch: 10}, directory.Member{Gateway: 4_000_000_000, Epoch: 1<<53 - 1}
	reader, other := directory.Reader{Gateway: 7, Loop: 1}, directory.Reader{Gateway: 7, Loop: 2}

	found := must(b.Locate(ctx, reader, long, []directory.Set{g, u}))(t)
	if len(found) != 2 || len(found[0])+len(found[1]) != 0 {
		t.Errorf("empty sets have %+v", found)
	}
	readers := must(a.Enter(ctx, one, []directory.Set{u, g}))(t)
	if len(readers) != 2 || !slices.Equal(readers[0], []directory.Reader{reader}) ||
		!slices.Equal(readers[1], readers[0]) {
		t.Errorf("readers %+v", readers)
	}
	if again := must(a.Enter(ctx, one, []directory.Set{g}))(t); !slices.Equal(again[0], []directory.Reader{reader}) {
		t.Errorf("readers at the second time %+v", again)
	}
	must(b.Enter(ctx, two, []directory.Set{g}))(t)
	in := func(set directory.Set, r directory.Reader, lease time.Duration) []directory.Member {
		t.Helper()
		found := must(b.Locate(ctx, r, lease, []directory.Set{set}))(t)
		slices.SortFunc(found[0], func(x, y directory.Member) int { return int(int64(x.Gateway) - int64(y.Gateway)) })
		return found[0]
	}
	if got := in(g, other, long); !slices.Equal(got, []directory.Member{one, two}) {
		t.Errorf("the group has %+v", got)
	}
	if got := in(u, directory.Reader{}, 0); !slices.Equal(got, []directory.Member{one}) {
		t.Errorf("the uid has %+v", got)
	}
	if readers := must(a.Enter(ctx, one, []directory.Set{g, u}))(t); len(readers[0]) != 2 || len(readers[1]) != 1 {
		t.Errorf("readers %+v", readers)
	}
	want(t, "leave", a.Leave(ctx, one, []directory.Set{g}), nil)
	want(t, "second leave", a.Leave(ctx, one, []directory.Set{g, {Kind: directory.Group, Name: "never was"}}), nil)
	if got := in(g, directory.Reader{}, 0); !slices.Equal(got, []directory.Member{two}) {
		t.Errorf("after one has left the group has %+v", got)
	}
	earlier := two
	earlier.Epoch--
	want(t, "leave of an earlier run", a.Leave(ctx, earlier, []directory.Set{g}), nil)
	if got := in(g, directory.Reader{}, 0); !slices.Equal(got, []directory.Member{two}) {
		t.Errorf("after the leave of an earlier run the group has %+v", got)
	}
	if none := must(a.Enter(ctx, one, nil))(t); len(none) != 0 {
		t.Errorf("no sets: %+v", none)
	}
}

// Entries and read leases expire, a read lease after twice its time.
func entries(t *testing.T, s Store) {
	ctx, a := t.Context(), s.Client(t)
	set := []directory.Set{{Kind: directory.Group, Name: "lobby"}}
	one := directory.Member{Gateway: 1, Epoch: 1}
	const lease = 500 * time.Millisecond
	began := time.Now()
	must(a.Locate(ctx, directory.Reader{Gateway: 2}, lease, set))(t)
	await(t, "the read lease expires", 20*time.Second, func() bool {
		return len(must(a.Enter(ctx, one, set))(t)[0]) == 0
	})
	if took := time.Since(began); took < 2*lease-50*time.Millisecond {
		t.Errorf("a read lease of %v was over after %v", lease, took)
	}
	entered := time.Now()
	must(a.Enter(ctx, one, set))(t)
	await(t, "the entry expires", EntryTTL+20*time.Second, func() bool {
		return len(must(a.Locate(ctx, directory.Reader{}, 0, set))(t)[0]) == 0
	})
	if took := time.Since(entered); took < EntryTTL-50*time.Millisecond {
		t.Errorf("an entry was gone after %v", took)
	}
}
