package contract

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker/store"
)

// add adds 1 to the number that is the value of key.
func add(ctx context.Context, s store.Store, key string) error {
	for {
		err := store.Update(ctx, s, key, 0, func(old []byte) ([]byte, error) {
			n, _ := strconv.Atoi(string(old)) // no value is 0
			return strconv.AppendInt(nil, int64(n+1), 10), nil
		})
		if !errors.Is(err, store.ErrConflict) { // which has changed nothing
			return err
		}
	}
}

// update lets 100 goroutines change one value.
func update(t *testing.T, stores []store.Store) {
	const goroutines, rounds = 100, 5
	s, key := stores[0], t.Name()
	errNo := errors.New("no")
	if err := store.Update(t.Context(), s, key, 0, func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("it has the value %q", old)
		}
		return []byte("x"), errNo
	}); !errors.Is(err, errNo) {
		t.Errorf("%v, want the function's error", err)
	}
	want(t, s, key, "-")
	nothing := func([]byte) ([]byte, error) { return nil, nil }
	must(t, store.Update(t.Context(), s, key, 0, nothing))
	want(t, s, key, "-")

	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range rounds {
				if err := add(t.Context(), stores[g%len(stores)], key); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want(t, s, key, fmt.Sprint(goroutines*rounds))
	must(t, store.Update(t.Context(), s, key, 0, nothing))
	want(t, s, key, "-")
}

// increments lets 100 goroutines count, without a loop.
func increments(t *testing.T, stores []store.Store) {
	const goroutines, rounds = 100, 20
	sums := make([]atomic.Bool, goroutines*rounds+1)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range rounds {
				n, err := stores[g%len(stores)].Increment(t.Context(), t.Name(), 1, 0)
				if err != nil || n == 0 || n >= uint64(len(sums)) || sums[n].Swap(true) {
					t.Errorf("%d, %v; want a number that nobody has", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	want(t, stores[0], t.Name(), fmt.Sprint(goroutines*rounds))
}

// history lets several goroutines append to one list.
func history(t *testing.T, stores []store.Store) {
	const workers, rounds = 8, 25
	key := t.Name()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			h := store.History{Store: stores[w%len(stores)], Keep: 1000, TTL: time.Minute}
			for i := range rounds {
				if err := h.Append(t.Context(), key, fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := stores[0]
	h := store.History{Store: s, Keep: 3}
	items, err := h.Items(t.Context(), key)
	if err != nil || len(items) != workers*rounds {
		t.Fatalf("%d items, %v; want %d", len(items), err, workers*rounds)
	}
	next := map[string]int{}
	for _, item := range items {
		w, i, _ := strings.Cut(string(item), "/")
		if i != fmt.Sprint(next[w]) {
			t.Fatalf("%s is not in order", item)
		}
		next[w]++
	}
	must(t, h.Append(t.Context(), key, nil))
	if items, err = h.Items(t.Context(), key); err != nil || len(items) != 3 || len(items[2]) != 0 {
		t.Errorf("%q, %v; want three items, the last one empty", items, err)
	}
	must(t, s.Set(t.Context(), key, []byte("\x05abc"), 0))
	if err := h.Append(t.Context(), key, nil); !errors.Is(err, store.ErrHistory) {
		t.Errorf("%v, want ErrHistory", err)
	}
}

// once lets several workers make one effect.
func once(t *testing.T, stores []store.Store) {
	const workers = 20
	key := t.Name()
	var effects, made atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			done, err := store.Once(t.Context(), stores[w%len(stores)], key, func() error {
				if effects.Add(1) < 3 {
					return errors.New("the bank is closed")
				}
				time.Sleep(20 * time.Millisecond) // the others find that it runs
				return nil
			})
			if done {
				made.Add(1)
			}
			if err != nil && err.Error() != "the bank is closed" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if effects.Load() != 3 || made.Load() != 1 {
		t.Errorf("%d attempts and %d effects; want two that fail and one", effects.Load(), made.Load())
	}
}
