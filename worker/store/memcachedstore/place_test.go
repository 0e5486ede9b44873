package memcachedstore

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func named(t testing.TB, addrs ...string) *Store {
	t.Helper()
	s, err := New(Config{Servers: addrs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Each server has its share of the keys, whatever the order of the list. When one is removed, only
// its keys move, and all others get a share of them.
func TestPlacement(t *testing.T) {
	t.Parallel()
	const keys = 30_000
	addrs := []string{"10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211", "cache-4:11211", "cache-5:11211"}
	all, less := named(t, addrs...), named(t, addrs[:4]...)
	slices.Reverse(addrs)
	reversed := named(t, addrs...)
	has, gets := map[string]int{}, map[string]int{}
	for i := range keys {
		key := wireKey("sluice:", fmt.Sprint("room/", i))
		at := all.serverOf(key).addr
		has[at]++
		if other := reversed.serverOf(key).addr; other != at {
			t.Fatalf("%s is at %s and, with the list in another order, at %s", key, at, other)
		}
		switch then := less.serverOf(key).addr; {
		case at == "cache-5:11211":
			gets[then]++
		case then != at:
			t.Fatalf("%s moves from %s to %s, though both are there", key, at, then)
		}
	}
	check := func(what string, counts map[string]int, servers, sum int) {
		share := float64(sum) / float64(servers)
		for at, n := range counts {
			if off := math.Abs(float64(n)-share) / math.Sqrt(share); off > 5 {
				t.Errorf("%s: %s has %d keys, where %.0f are its share", what, at, n, share)
			}
		}
		if len(counts) != servers {
			t.Errorf("%s: %v", what, counts)
		}
	}
	check("five servers", has, 5, keys)
	check("the keys of the one that is removed", gets, 4, has["cache-5:11211"])
}

// Where keys are must not change with a version of this package: the workers of two versions share
// servers while one replaces the other.
func TestPlacementStays(t *testing.T) {
	t.Parallel()
	s := named(t, "a:1", "b:1", "c:1")
	var at strings.Builder
	for i := range 32 {
		at.WriteString(s.serverOf(wireKey("sluice:", fmt.Sprint("key", i))).addr[:1])
	}
	const want = "bcbabaacbacbaabaacbcacababbaacac"
	if at.String() != want {
		t.Errorf("keys are at %s, in former versions at %s", at.String(), want)
	}
	for key, want := range map[string]string{
		"room/lobby": "p:room/lobby",
		"a b":        "p:#yGh6CKpdbtIEQyj6aml6uOltw0KR6MIDSujDjm_MbWU",
	} {
		if got := wireKey("p:", key); got != want {
			t.Errorf("%q has the name %q, in former versions %q", key, got, want)
		}
	}
}

// No two keys have the same name in the servers, and each name is one that memcached accepts.
func FuzzWireKey(f *testing.F) {
	f.Add("room/lobby", "a b")
	f.Add("#x", "x")
	f.Add(strings.Repeat("k", 250), strings.Repeat("k", 249)+"\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == "" || b == "" || len(a) > 250 || len(b) > 250 {
			return
		}
		prefix := strings.Repeat("p", 64)
		x, y := wireKey(prefix, a), wireKey(prefix, b)
		if (x == y) != (a == b) {
			t.Errorf("%q and %q have the names %q and %q", a, b, x, y)
		}
		if len(x) > 250 || !plain(x) {
			t.Errorf("%q has the name %q", a, x)
		}
		if again := wireKey(prefix, strings.TrimPrefix(x, prefix)); strings.HasPrefix(x, prefix+hashed) && again == x {
			t.Errorf("the name %q is that of %q, too", x, a)
		}
	})
}
