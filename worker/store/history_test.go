package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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

// small is a store that accepts short values only and does not say how short.
type small struct {
	Store
	most int
}

func (s small) CompareAndSet(ctx context.Context, key string, v Version, value []byte,
	ttl time.Duration) (bool, error) {
	if len(value) > s.most {
		return false, ErrTooBig
	}
	return s.Store.CompareAndSet(ctx, key, v, value, ttl)
}

// A list that grows beyond the limit of its store loses its oldest items.
func TestHistoryInAStoreThatTakesLess(t *testing.T) {
	t.Parallel()
	least := newStore(t, MemoryConfig{MaxBytes: 2 << 20})
	for name, c := range map[string]struct {
		store Store
		most  int // bytes of a list
	}{
		"memory":  {least, least.MaxValue("k")},
		"silent":  {small{newStore(t, MemoryConfig{}), 500}, 500},
		"smaller": {small{newStore(t, MemoryConfig{}), 11}, 11}, // one item
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := History{Store: c.store, Keep: 1000}
			for i := range 700 {
				last := fmt.Sprintf("item %05d", i)[:10]
				if err := h.Append(t.Context(), "k", []byte(last)); err != nil {
					t.Fatalf("item %d: %v", i, err)
				}
				items, err := h.Items(t.Context(), "k")
				if err != nil || len(items) == 0 || string(items[len(items)-1]) != last {
					t.Fatalf("item %d is not the last of %q, %v", i, items, err)
				}
				if i == 699 && len(items) < c.most/11*7/8 {
					t.Errorf("only %d items are kept, where %d fit", len(items), c.most/11)
				}
			}
			if err := h.Append(t.Context(), "k", make([]byte, c.most)); !errors.Is(err, ErrTooBig) {
				t.Errorf("an item that alone is too big: %v, want ErrTooBig", err)
			}
			if items, err := h.Items(t.Context(), "k"); err != nil || len(items) == 0 {
				t.Errorf("then the list is %q, %v", items, err)
			}
		})
	}
}
