package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

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
		{"what fails", "a", broken, true, broken, 1},
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
