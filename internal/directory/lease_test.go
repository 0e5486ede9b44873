package directory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// cuttable are rows that can be made unavailable.
type cuttable struct {
	directory.Rows
	cut     atomic.Bool
	renewed atomic.Int64
}

func (c *cuttable) Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error {
	if c.cut.Load() {
		return directory.ErrUnavailable
	}
	c.renewed.Add(1)
	return c.Rows.Renew(ctx, key, owner, epoch, lease)
}

func (c *cuttable) Put(ctx context.Context, key, owner string, epoch, version uint64, v []byte) (uint64, error) {
	n, err := c.Rows.Put(ctx, key, owner, epoch, version, v)
	if c.cut.Load() {
		return 0, directory.ErrUnavailable // carried out, and the answer is lost
	}
	return n, err
}

func newMemory(t *testing.T) *directory.Memory {
	t.Helper()
	d, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func acquire(t *testing.T, rows directory.Rows, cfg directory.LeaseConfig) *directory.Lease {
	t.Helper()
	l, err := directory.Acquire(t.Context(), rows, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.Background()) })
	return l
}

// within fails if the channel is not closed in time.
func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("not within 20s: %s", what)
	}
}

// A lease is renewed for as long as it is wanted, and then the row is free.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	rows := &cuttable{Rows: newMemory(t)}
	const lease = 2 * time.Second
	l := acquire(t, rows, directory.LeaseConfig{Key: "room/1", Owner: "a", Lease: lease, Value: []byte("v")})
	_, err := directory.Acquire(t.Context(), rows, directory.LeaseConfig{Key: "room/1", Owner: "b"})
	if !errors.Is(err, directory.ErrHeld) {
		t.Errorf("second claim: %v", err)
	}
	epoch := l.Epoch()
	for began := time.Now(); time.Since(began) < lease*3/2; time.Sleep(20 * time.Millisecond) {
		if !l.Held() || l.Err() != nil {
			t.Fatalf("lost after %v: %v", time.Since(began), l.Err())
		}
	}
	if n := rows.renewed.Load(); n < 4 || n > 12 {
		t.Errorf("%d renewals in one and a half leases", n)
	}
	if err := l.Put(t.Context(), []byte("w")); err != nil {
		t.Error(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
	within(t, "lost after the release", l.Lost())
	if l.Held() || !errors.Is(l.Err(), context.Canceled) {
		t.Errorf("after the release: %v", l.Err())
	}
	next := acquire(t, rows, directory.LeaseConfig{Key: "room/1", Owner: "b"})
	if next.Epoch() <= epoch || string(next.Value()) != "w" {
		t.Errorf("epoch %d after %d, value %q", next.Epoch(), epoch, next.Value())
	}
}

// Without the directory the owner gives up at half of the lease, long before the row is given away.
func TestLeaseEndsBeforeTheRowIsFree(t *testing.T) {
	t.Parallel()
	rows := &cuttable{Rows: newMemory(t)}
	const lease = 2 * time.Second
	began := time.Now()
	l := acquire(t, rows, directory.LeaseConfig{Key: "room/1", Owner: "a", Lease: lease})
	rows.cut.Store(true)
	within(t, "lost", l.Lost())
	row, err := rows.Get(t.Context(), "room/1")
	if err != nil {
		t.Fatal(err)
	}
	if l.Held() || !errors.Is(l.Err(), directory.ErrLost) {
		t.Errorf("held %v, %v", l.Held(), l.Err())
	}
	if took := time.Since(began); took < lease && row.Owner != "a" { // later on a machine that stood still
		t.Errorf("after %v the row is free: %+v", took, row)
	}
	if err := l.Put(t.Context(), nil); !errors.Is(err, directory.ErrLost) {
		t.Errorf("put after the loss: %v", err)
	}
}

// A lease that another owner has taken is lost with the next renewal.
func TestLeaseIsLostToAnother(t *testing.T) {
	t.Parallel()
	d := newMemory(t)
	l := acquire(t, d, directory.LeaseConfig{Key: "room/1", Owner: "a", Lease: 4 * time.Second})
	if err := d.Release(t.Context(), "room/1", "a", l.Epoch()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Claim(t.Context(), "room/1", "b", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	within(t, "lost", l.Lost())
	if row, err := d.Get(t.Context(), "room/1"); err != nil || row.Owner != "b" {
		t.Errorf("%+v, %v", row, err)
	}
}

// When the directory has lost its data the row is claimed again, with its value and a larger epoch.
func TestLeaseComesBack(t *testing.T) {
	t.Parallel()
	d := newMemory(t)
	rows := &cuttable{Rows: d}
	back := make(chan directory.Row, 1)
	l := acquire(t, rows, directory.LeaseConfig{
		Key: "room/1", Owner: "a", Lease: time.Second, Value: []byte("first"),
		Reclaimed: func(r directory.Row) { back <- r },
	})
	if err := l.Put(t.Context(), []byte("last")); err != nil {
		t.Fatal(err)
	}
	epoch := l.Epoch()
	d.Flush()
	var row directory.Row
	select {
	case row = <-back:
	case <-time.After(20 * time.Second):
		t.Fatal("not claimed again")
	}
	if row.Epoch <= epoch || string(row.Value) != "last" || l.Epoch() != row.Epoch || !l.Held() {
		t.Errorf("%+v after epoch %d, held %v", row, epoch, l.Held())
	}
	if err := l.Put(t.Context(), []byte("next")); err != nil {
		t.Error(err)
	}
}

// A Put whose answer was lost does not make the next one fail.
func TestLeasePutsAfterALostAnswer(t *testing.T) {
	t.Parallel()
	rows := &cuttable{Rows: newMemory(t)}
	l := acquire(t, rows, directory.LeaseConfig{Key: "room/1", Owner: "a", Lease: time.Minute})
	rows.cut.Store(true)
	if err := l.Put(t.Context(), []byte("one")); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	rows.cut.Store(false)
	if err := l.Put(t.Context(), []byte("two")); err != nil || string(l.Value()) != "two" {
		t.Errorf("%v, %q", err, l.Value())
	}
}

// Of many processes that want a row, at most one acts for it at any time, and each acts some time.
func TestLeasesTakeTurns(t *testing.T) {
	t.Parallel()
	d := newMemory(t)
	var acting atomic.Int32
	var last atomic.Uint64
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 5 {
		all.Go(func() {
			for ctx.Err() == nil {
				l, err := directory.Acquire(ctx, d, directory.LeaseConfig{
					Key: "room/1", Owner: fmt.Sprint("owner ", i), Lease: 2 * time.Second,
				})
				if errors.Is(err, directory.ErrHeld) {
					time.Sleep(5 * time.Millisecond)
					continue
				} else if err != nil {
					t.Error(err)
					return
				}
				if n := acting.Add(1); n != 1 {
					t.Errorf("%d act at once", n)
				}
				if e := l.Epoch(); last.Swap(e) >= e {
					t.Errorf("epoch %d is not larger", e)
				}
				time.Sleep(10 * time.Millisecond)
				acting.Add(-1)
				if err := l.Release(ctx); err != nil {
					t.Error(err)
				}
				return
			}
			t.Errorf("owner %d has had no turn", i)
		})
	}
	all.Wait()
}
