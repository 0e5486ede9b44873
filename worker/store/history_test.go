package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func ExampleHistory() {
	memory, _ := NewMemory(MemoryConfig{MaxBytes: 4 << 20})
	rooms := History{Store: memory, Keep: 2}
	ctx := context.Background()
	for _, said := range []string{"hello", "anyone here?", "bye"} {
		_ = rooms.Append(ctx, "lobby", []byte(said))
	}
	items, _ := rooms.Items(ctx, "lobby")
	fmt.Printf("%s\n", items)
	// Output: [anyone here? bye]
}

func TestHistoryLimits(t *testing.T) {
	t.Parallel()
	h := History{Store: newStore(t, MemoryConfig{}), Keep: 5, MaxBytes: 300}
	check := func(items ...string) {
		t.Helper()
		got, err := h.Items(t.Context(), "k")
		if err != nil || fmt.Sprintf("%s", got) != fmt.Sprint(items) {
			t.Fatalf("%q, %v; want %q", got, err, items)
		}
	}
	add := func(item string) {
		t.Helper()
		if err := h.Append(t.Context(), "k", []byte(item)); err != nil {
			t.Fatal(err)
		}
	}
	check()
	for i := range 7 {
		add(fmt.Sprint(i))
	}
	check("2", "3", "4", "5", "6")
	add("")
	check("3", "4", "5", "6", "")
	long := strings.Repeat("x", 290)
	add(long) // 292 bytes: leaves room for 8
	check("4", "5", "6", "", long)
	full := strings.Repeat("y", 298)
	add(full)
	check(full)
	if err := h.Append(t.Context(), "k", []byte(full+"y")); !errors.Is(err, ErrTooBig) {
		t.Errorf("%v, want ErrTooBig", err)
	}
	check(full)
	for _, broken := range []string{"\x05abc", "\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		set(t, h.Store, "k", broken)
		if _, err := h.Items(t.Context(), "k"); !errors.Is(err, ErrHistory) {
			t.Errorf("%q: %v, want ErrHistory", broken, err)
		}
		if err := h.Append(t.Context(), "k", nil); !errors.Is(err, ErrHistory) {
			t.Errorf("%q: %v, want ErrHistory", broken, err)
		}
	}
}

func TestHistoryConcurrent(t *testing.T) {
	t.Parallel()
	h := History{Store: newStore(t, MemoryConfig{}), Keep: 1000}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100 {
				if err := h.Append(t.Context(), "k", fmt.Appendf(nil, "%d/%d", g, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	items, err := h.Items(t.Context(), "k")
	if err != nil || len(items) != 400 {
		t.Fatalf("%d items, %v; want 400", len(items), err)
	}
	next := map[string]int{}
	for _, item := range items {
		g, i, _ := strings.Cut(string(item), "/")
		if i != fmt.Sprint(next[g]) {
			t.Fatalf("%s out of order", item)
		}
		next[g]++
	}
}
