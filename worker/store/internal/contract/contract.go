// Package contract tests what package store promises of every Store.
package contract

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker/store"
)

// Test tests the stores that open returns: one, or several that have the same data, as those of
// several workers have. Each has a longest time of Most, and no keys that begin with the test's
// name.
func Test(t *testing.T, open func(t testing.TB) []store.Store) {
	alone := map[string]func(*testing.T, store.Store){
		"values":   values,
		"many":     many,
		"bounds":   bounds,
		"bytes":    anyBytes,
		"copies":   copies,
		"versions": versions,
		"writes":   everyWrite,
		"counters": counters,
		"times":    times,
		"contexts": contexts,
	}
	for name, test := range alone {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t)[0])
		})
	}
	together := map[string]func(*testing.T, []store.Store){
		"update":     update,
		"increments": increments,
		"history":    history,
		"once":       once,
	}
	for name, test := range together {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// Most is the longest time to live of the stores that Test tests.
const Most = time.Hour

// must ends the test if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want checks the value of key; "-" means that there is none. It returns the version.
func want(t testing.TB, s store.Store, key, value string) store.Version {
	t.Helper()
	got, v, err := s.Get(t.Context(), key)
	if err != nil || (v != 0) != (value != "-") || (got != nil) != (v != 0) || got != nil && string(got) != value {
		t.Fatalf("Get %.20q = %.20q, version %d, %v; want %.20q", key, got, v, err, value)
	}
	return v
}

// yes checks the result of a method that reports whether it has done something.
func yes(t testing.TB, done bool, err error) {
	t.Helper()
	if !done || err != nil {
		t.Fatalf("%v, %v; want true", done, err)
	}
}

func no(t testing.TB, done bool, err error) {
	t.Helper()
	if done || err != nil {
		t.Fatalf("%v, %v; want false", done, err)
	}
}

func values(t *testing.T, s store.Store) {
	ctx, key := t.Context(), t.Name()
	want(t, s, key, "-")
	must(t, s.Delete(ctx, key)) // no error
	for _, value := range []string{"a", "", "b\r\nEND\r\n", "\x00\xff", strings.Repeat("v", 30_000)} {
		must(t, s.Set(ctx, key, []byte(value), 0))
		want(t, s, key, value)
	}
	must(t, s.Set(ctx, key, nil, 0))
	want(t, s, key, "") // nil is an empty value
	added, err := s.Add(ctx, key, []byte("c"), 0)
	no(t, added, err)
	want(t, s, key, "")
	must(t, s.Delete(ctx, key))
	want(t, s, key, "-")
	added, err = s.Add(ctx, key, []byte("d"), 0)
	yes(t, added, err)
	want(t, s, key, "d")
}

func many(t *testing.T, s store.Store) {
	ctx := t.Context()
	all := make(map[string][]byte)
	for i := range store.MaxKeys {
		all[fmt.Sprintf("%s/%d", t.Name(), i)] = fmt.Append(nil, i)
	}
	keys := slices.Sorted(maps.Keys(all))
	got, err := s.GetMany(ctx, keys...)
	if err != nil || got == nil || len(got) != 0 {
		t.Fatalf("%d values, %v; want an empty map", len(got), err)
	}
	must(t, s.SetMany(ctx, all, 0))
	got, err = s.GetMany(ctx, append(slices.Clone(keys[1:]), keys[1])...) // one twice
	if err != nil || len(got) != len(all)-1 {
		t.Fatalf("%d values, %v", len(got), err)
	}
	for key, value := range got {
		if string(value) != string(all[key]) {
			t.Fatalf("%s: %q, want %q", key, value, all[key])
		}
	}
	must(t, s.Delete(ctx, keys[:store.MaxKeys/2]...))
	if got, err = s.GetMany(ctx, keys...); err != nil || len(got) != store.MaxKeys/2 {
		t.Fatalf("%d values, %v; want half of them", len(got), err)
	}
	if got, err = s.GetMany(ctx); err != nil || len(got) != 0 {
		t.Fatalf("of no keys: %d values, %v", len(got), err)
	}
	must(t, errors.Join(s.SetMany(ctx, nil, 0), s.Delete(ctx)))
	keys = append(keys, "one more")
	all["one more"] = nil
	_, err = s.GetMany(ctx, keys...)
	for _, err := range []error{err, s.Delete(ctx, keys...), s.SetMany(ctx, all, 0)} {
		if !errors.Is(err, store.ErrTooMany) {
			t.Errorf("%v, want ErrTooMany", err)
		}
	}
}

// each calls every method that takes the arguments and returns the errors.
func each(ctx context.Context, s store.Store, key string, value []byte, ttl time.Duration) map[string]error {
	errs := map[string]error{
		"Set":     s.Set(ctx, key, value, ttl),
		"SetMany": s.SetMany(ctx, map[string][]byte{key: value}, ttl),
	}
	_, errs["Add"] = s.Add(ctx, key, value, ttl)
	_, errs["CompareAndSet"] = s.CompareAndSet(ctx, key, 1, value, ttl)
	if len(value) == 0 {
		_, errs["Increment"] = s.Increment(ctx, key, 1, ttl)
	}
	if len(value) == 0 && ttl == 0 {
		_, _, errs["Get"] = s.Get(ctx, key)
		_, errs["GetMany"] = s.GetMany(ctx, "a", key)
		errs["Delete"] = s.Delete(ctx, key, "a")
		_, errs["CompareAndDelete"] = s.CompareAndDelete(ctx, key, 1)
	}
	return errs
}

func bounds(t *testing.T, s store.Store) {
	refused := func(key string, value []byte, ttl time.Duration, as error) {
		t.Helper()
		for method, err := range each(t.Context(), s, key, value, ttl) {
			if !errors.Is(err, as) {
				t.Errorf("%s of a key of %d bytes, %d bytes, %v: %v, want %v", method, len(key), len(value), ttl, err, as)
			}
		}
	}
	long := func(size int) string { return (t.Name() + strings.Repeat("k", size))[:size] }
	for _, size := range []int{249, store.MaxKey} {
		must(t, s.Set(t.Context(), long(size), []byte("v"), 0))
		want(t, s, long(size), "v")
	}
	refused("", nil, 0, store.ErrKey)
	refused(long(store.MaxKey+1), nil, 0, store.ErrKey)
	refused(long(1<<20), nil, 0, store.ErrKey)

	for _, key := range []string{t.Name(), long(store.MaxKey)} {
		most := s.MaxValue(key)
		if most < 32<<10 || most > store.MaxValue {
			t.Errorf("the largest value has %d bytes", most)
		}
		for _, size := range []int{most - 1, most} {
			value := strings.Repeat("v", size)
			must(t, s.Set(t.Context(), key, []byte(value), 0))
			want(t, s, key, value)
		}
		refused(key, make([]byte, most+1), 0, store.ErrTooBig)
		want(t, s, key, strings.Repeat("v", most)) // as it was
	}
	refused(t.Name(), []byte("v"), -1, store.ErrTTL)
	refused(t.Name(), []byte("v"), store.MaxTTL+1, store.ErrTTL)
	refused(t.Name(), nil, store.MaxTTL+1, store.ErrTTL)
	must(t, s.Set(t.Context(), t.Name(), []byte("v"), store.MaxTTL))
	want(t, s, t.Name(), "v")
}

// A key may have any bytes, and keys that differ are different.
func anyBytes(t *testing.T, s store.Store) {
	var keys []string
	for b := range 256 {
		keys = append(keys, t.Name()+string([]byte{byte(b)}))
	}
	for _, other := range []string{
		" ", "  ", "a b", "a\tb", "a\r\nb", "set a 0 0 1\r\nb", "%", "%20", "%%", "\xff\xfe", "{a}b", "*", "é", "a/b", "0",
		strings.Repeat(" ", 200), strings.Repeat("%", 200), strings.Repeat("\x00", 200), strings.Repeat("é", 100),
	} {
		keys = append(keys, t.Name()+other+"x")
	}
	for _, key := range keys {
		must(t, s.Set(t.Context(), key, []byte(key), 0))
	}
	got, err := s.GetMany(t.Context(), keys...)
	if err != nil || len(got) != len(keys) {
		t.Errorf("%d of %d keys, %v", len(got), len(keys), err)
	}
	for _, key := range keys {
		want(t, s, key, key)
		if string(got[key]) != key {
			t.Errorf("GetMany: %q has the value %q", key, got[key])
		}
	}
}

func copies(t *testing.T, s store.Store) {
	key, value := t.Name(), []byte("value")
	must(t, s.Set(t.Context(), key, value, 0))
	value[0] = 'X'
	got, _, err := s.Get(t.Context(), key)
	must(t, err)
	got[1] = 'X'
	_ = append(got, "more"...)
	want(t, s, key, "value")
}

func counters(t *testing.T, s store.Store) {
	ctx, key := t.Context(), t.Name()
	for _, step := range []struct {
		has   string // "" is no value
		delta uint32
		sum   uint64 // 0 is ErrCounter
	}{
		{"", 1, 1}, {"", 1<<32 - 1, 1<<32 - 1}, {"1", 9, 10}, {"9", 1, 10}, {"0", 1, 1}, {"99", 0, 99},
		{"9007199254740990", 1, store.MaxCount}, {"9007199254740991", 0, store.MaxCount},
		{"9007199254740991", 1, 0}, {"9007199254740900", 1<<32 - 1, 0}, {"9007199254740992", 0, 0},
		{"9007199254740993", 0, 0},
		{"18446744073709551616", 1, 0}, {strings.Repeat("9", 30), 1, 0},
		{"a", 1, 0}, {"1a", 1, 0}, {"-1", 1, 0}, {"1.5", 1, 0}, {"1e3", 1, 0}, {"0x1", 1, 0}, {"\x00", 1, 0},
	} {
		if step.has == "" {
			must(t, s.Delete(ctx, key))
		} else {
			must(t, s.Set(ctx, key, []byte(step.has), 0))
		}
		sum, err := s.Increment(ctx, key, step.delta, 0)
		if step.sum == 0 {
			if sum != 0 || !errors.Is(err, store.ErrCounter) {
				t.Errorf("%s + %d = %d, %v; want ErrCounter", step.has, step.delta, sum, err)
			}
			want(t, s, key, step.has) // as it was
			continue
		}
		if sum != step.sum || err != nil {
			t.Errorf("%s + %d = %d, %v; want %d", step.has, step.delta, sum, err, step.sum)
		}
		want(t, s, key, fmt.Sprint(step.sum))
	}
	for _, has := range []string{"", "18446744073709551615"} { // the latter is then not always as it was
		must(t, s.Set(ctx, key, []byte(has), 0))
		if sum, err := s.Increment(ctx, key, 1, 0); !errors.Is(err, store.ErrCounter) {
			t.Errorf("the value %q + 1 = %d, %v; want ErrCounter", has, sum, err)
		}
	}
}

// times waits for real seconds, since servers have clocks of their own.
func times(t *testing.T, s store.Store) {
	ctx, name := t.Context(), t.Name()
	const ttl = 1500 * time.Millisecond
	began := time.Now()
	must(t, s.Set(ctx, name+"set", []byte("1"), ttl))
	must(t, s.SetMany(ctx, map[string][]byte{name + "many": []byte("1")}, ttl))
	_, err := s.Add(ctx, name+"add", []byte("1"), ttl)
	must(t, err)
	_, err = s.CompareAndSet(ctx, name+"cas", 0, []byte("1"), ttl)
	must(t, err)
	_, err = s.Increment(ctx, name+"inc", 1, ttl)
	must(t, err)
	stay := []string{name + "default", name + "longest", name + "extended"}
	for _, key := range stay {
		must(t, s.Set(ctx, key, []byte("1"), map[string]time.Duration{
			name + "default": 0, name + "longest": store.MaxTTL, name + "extended": ttl,
		}[key]))
	}
	must(t, s.Set(ctx, name+"extended", []byte("1"), 0)) // each Set begins anew
	keys := []string{name + "set", name + "many", name + "add", name + "cas", name + "inc"}
	for {
		asked := time.Since(began)
		got, err := s.GetMany(ctx, keys...)
		must(t, err)
		if asked := time.Since(began); asked < ttl && len(got) != len(keys) {
			t.Fatalf("after %v only %d of %d are there", asked, len(got), len(keys))
		}
		if len(got) == 0 {
			break
		}
		if asked > time.Minute {
			t.Fatalf("after a minute there are %v", got)
		}
		if asked < ttl/2 {
			_, err = s.Increment(ctx, name+"inc", 1, Most) // does not change the time of the counter
			must(t, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, key := range stay {
		want(t, s, key, "1")
	}
	for _, key := range keys {
		want(t, s, key, "-")
		added, err := s.Add(ctx, key, []byte("2"), 0)
		yes(t, added, err)
	}
}

func contexts(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, err := range each(ctx, s, t.Name(), nil, 0) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the error of the context", method, err)
		}
	}
	want(t, s, t.Name(), "-")
	late, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-late.Done()
	for method, err := range each(late, s, t.Name(), nil, 0) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the error of the context", method, err)
		}
	}
}
