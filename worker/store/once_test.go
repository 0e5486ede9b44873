package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

func TestOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s, err := store.NewMemory(store.MemoryConfig{MaxBytes: 2 << 20, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	calls, broken := 0, errors.New("the bank is closed")
	var answer error
	do := func() error {
		calls++
		return answer
	}
	for _, step := range []struct {
		what, key string
		answer    error // do's
		done      bool
		err       error
		calls     int
	}{
		{"what fails", "a", broken, false, broken, 1},
		{"is tried again", "a", nil, true, nil, 2},
		{"and done once", "a", nil, false, nil, 2},
		{"another key is another effect", "b", nil, true, nil, 3},
		{"without a key nothing is done", "", nil, false, store.ErrKey, 3},
		{"nor with one that is too long", strings.Repeat("k", 251), nil, false, store.ErrKey, 3},
	} {
		answer = step.answer
		done, err := store.Once(ctx, s, step.key, do)
		if done != step.done || !errors.Is(err, step.err) || calls != step.calls {
			t.Errorf("%s: %v, %v after %d calls", step.what, done, err, calls)
		}
	}
}

// A worker that dies in the effect keeps others out for OnceTime. They wait ten seconds each.
func TestOnceAfterAWorkerHasDied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.NewMemory(store.MemoryConfig{MaxBytes: 2 << 20})
		if err != nil {
			t.Fatal(err)
		}
		never := make(chan struct{})
		go func() {
			_, _ = store.Once(t.Context(), s, "k", func() error {
				<-never
				return errors.New("it has died; what it would have removed is of another")
			})
		}()
		synctest.Wait()
		began, calls := time.Now(), 0
		do := func() error {
			calls++
			return nil
		}
		for time.Since(began) < store.OnceTime {
			done, err := store.Once(t.Context(), s, "k", do)
			if done {
				break
			}
			if !errors.Is(err, store.ErrRunning) || calls > 0 {
				t.Fatalf("after %v: %v, %d calls; want ErrRunning", time.Since(began), err, calls)
			}
		}
		if took := time.Since(began); calls != 1 || took < store.OnceTime || took > store.OnceTime+time.Second {
			t.Errorf("%d calls after %v", calls, took)
		}
		close(never)
		synctest.Wait()
		if done, err := store.Once(t.Context(), s, "k", do); done || err != nil || calls != 1 {
			t.Errorf("then %v, %v, %d calls", done, err, calls)
		}
	})
}

// A call that waits for another one learns how that ends.
func TestOnceWaits(t *testing.T) {
	t.Parallel()
	for result, want := range map[error]bool{nil: false, errors.New("no"): true} {
		synctest.Test(t, func(t *testing.T) {
			s, err := store.NewMemory(store.MemoryConfig{MaxBytes: 2 << 20})
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = store.Once(t.Context(), s, "k", func() error {
					time.Sleep(3 * time.Second)
					return result
				})
			}()
			synctest.Wait()
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := store.Once(ctx, s, "k", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the error of the context", err)
			}
			done, err := store.Once(t.Context(), s, "k", func() error { return nil })
			if took := time.Since(began); done != want || err != nil || took < 3*time.Second || took > 4*time.Second {
				t.Errorf("the other ends with %v: %v, %v after %v", result, done, err, took)
			}
		})
	}
}

// A panic leaves the key free.
func TestOncePanics(t *testing.T) {
	t.Parallel()
	s, err := store.NewMemory(store.MemoryConfig{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic has not arrived")
			}
		}()
		_, _ = store.Once(t.Context(), s, "k", func() error { panic("of the business") })
	}()
	if done, err := store.Once(t.Context(), s, "k", func() error { return nil }); !done || err != nil {
		t.Errorf("then %v, %v", done, err)
	}
}

// The handler of the example answers as usual.
func TestBank(t *testing.T) {
	t.Parallel()
	seen, err := store.NewMemory(store.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	g := workertest.New(t, bank(seen))
	c := g.Dial(workertest.Request{})
	c.Send("3 to Ada")
	c.Expect("transferred")
}
