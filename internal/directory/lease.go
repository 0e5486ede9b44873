package directory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// DefaultLease is how long a lease is by default.
const DefaultLease = 10 * time.Second

// LeaseConfig configures a Lease. Key and Owner are required.
type LeaseConfig struct {
	Key   string
	Owner string // as Rows says: another one in each run
	// Lease is how long the row stays the owner's when nothing more is heard of it. The owner gives up
	// after half of that. Defaults to DefaultLease, 10 s.
	Lease time.Duration
	// Value is written when the row is claimed. Nil keeps the value that is there.
	Value []byte
	// Reclaimed, if set, is called on the lease's goroutine when the directory had lost the row and
	// the lease has claimed it again, with its last value and a larger epoch. It must not call
	// Release.
	Reclaimed func(Row)
}

// Lease holds a row, and renews it on a goroutine of its own, four times in each lease; an attempt
// that failed is repeated sooner. The row is lost when half of the lease has passed since the last
// renewal that succeeded was sent, or as soon as the directory says so. The directory does not give
// the row to another owner before the whole lease has passed.
//
// A process that was stopped may run for a moment before Lost is closed. So it asks Held before it
// acts, and says its epoch to those that it acts on.
type Lease struct {
	// Static after Acquire.
	rows Rows
	cfg  LeaseConfig
	lost chan struct{}
	stop context.CancelFunc
	done chan struct{} // closed when the goroutine has ended

	call sync.Mutex // held while a renewal or a Put is under way, so that both have the same epoch

	mu       sync.Mutex
	row      Row
	deadline time.Time
	timer    *time.Timer // calls check at the deadline
	err      error       // why the row was lost; nil while it is held
}

// Acquire claims a row and keeps it. The caller ends the Lease with Release. ctx is for the claim
// only. If another one holds the row, the error wraps ErrHeld, and the Lease is nil.
func Acquire(ctx context.Context, rows Rows, cfg LeaseConfig) (*Lease, error) {
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	sent := time.Now()
	row, err := rows.Claim(ctx, cfg.Key, cfg.Owner, cfg.Lease, cfg.Value)
	if err != nil {
		return nil, fmt.Errorf("directory: claim of %q: %w", cfg.Key, err)
	}
	run, stop := context.WithCancel(context.Background())
	l := &Lease{
		rows: rows, cfg: cfg, lost: make(chan struct{}), stop: stop, done: make(chan struct{}),
		row: row, deadline: sent.Add(cfg.Lease / 2),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(time.Until(l.deadline), l.check)
	go l.keep(run)
	return l, nil
}

// Lost returns a channel that is closed when the row is no longer held, also by Release.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Held reports whether the row is held at this moment.
func (l *Lease) Held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil && time.Now().Before(l.deadline)
}

// Err returns why the row was lost, and nil while it is held. After Release it returns
// context.Canceled.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Epoch returns the row's epoch. It grows when the directory lost the row and it was claimed again.
func (l *Lease) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.row.Epoch
}

// Value returns the row's value, as it was claimed or put last. It must not be changed.
func (l *Lease) Value() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.row.Value
}

// Put writes the row's value. After ErrUnavailable the value may have been written; the next Put
// finds that out.
func (l *Lease) Put(ctx context.Context, value []byte) error {
	l.call.Lock()
	defer l.call.Unlock()
	l.mu.Lock()
	epoch, version, err := l.row.Epoch, l.row.Version, l.err
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	next, err := l.rows.Put(ctx, l.cfg.Key, l.cfg.Owner, epoch, version, value)
	if errors.Is(err, ErrConflict) { // an earlier Put of this lease, whose answer was lost
		row, again := l.rows.Get(ctx, l.cfg.Key)
		if again != nil || row.Owner != l.cfg.Owner || row.Epoch != epoch {
			return errors.Join(err, again)
		}
		next, err = l.rows.Put(ctx, l.cfg.Key, l.cfg.Owner, epoch, row.Version, value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.row.Version, l.row.Value = next, slices.Clone(value)
	case errors.Is(err, ErrLost):
		l.end(err)
	}
	return err
}

// Release stops the renewals and frees the row. After ErrUnavailable the row may only be claimed
// again with another owner.
func (l *Lease) Release(ctx context.Context) error {
	l.stop()
	<-l.done
	l.mu.Lock()
	epoch, lost := l.row.Epoch, l.err != nil
	l.end(context.Canceled)
	l.mu.Unlock()
	if lost {
		return nil
	}
	return l.rows.Release(ctx, l.cfg.Key, l.cfg.Owner, epoch)
}

// end is called with the lock held.
func (l *Lease) end(err error) {
	if l.err == nil {
		l.err = err
		l.timer.Stop()
		l.stop()
		close(l.lost)
	}
}

// check ends the lease at its deadline.
func (l *Lease) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := time.Until(l.deadline); l.err == nil && left > 0 {
		l.timer.Reset(left)
		return
	}
	l.end(fmt.Errorf("%w: no renewal for %v", ErrLost, l.cfg.Lease/2))
}

// keep renews the lease until it is lost or released.
func (l *Lease) keep(run context.Context) {
	defer close(l.done)
	for pause := l.cfg.Lease / 4; ; {
		pause -= time.Duration(rand.Int64N(int64(pause)/4 + 1)) // many leases that began at once spread
		select {
		case <-run.Done():
			return
		case <-time.After(pause):
		}
		pause = l.cfg.Lease / 4
		renewed, reclaimed := l.renew(run)
		if !renewed {
			pause = l.cfg.Lease / 32
		}
		if reclaimed && l.cfg.Reclaimed != nil {
			l.mu.Lock()
			row := l.row
			l.mu.Unlock()
			l.cfg.Reclaimed(row)
		}
	}
}

// renew renews the lease once. It reports whether that succeeded, and whether the row had to be
// claimed again. If it failed, and the row is not lost, it may be tried again.
func (l *Lease) renew(run context.Context) (renewed, reclaimed bool) {
	l.call.Lock()
	defer l.call.Unlock()
	l.mu.Lock()
	row, deadline := l.row, l.deadline
	l.mu.Unlock()
	ctx, cancel := context.WithDeadline(run, deadline)
	defer cancel()
	sent := time.Now()
	err := l.rows.Renew(ctx, l.cfg.Key, l.cfg.Owner, row.Epoch, l.cfg.Lease)
	if errors.Is(err, ErrNone) {
		sent, reclaimed = time.Now(), true
		row, err = l.rows.Claim(ctx, l.cfg.Key, l.cfg.Owner, l.cfg.Lease, row.Value)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return false, false
	case errors.Is(err, ErrLost), errors.Is(err, ErrHeld):
		l.end(fmt.Errorf("%w: %w", ErrLost, err))
		return false, false
	case err != nil:
		return false, false
	}
	l.row, l.deadline = row, sent.Add(l.cfg.Lease/2)
	l.timer.Reset(time.Until(l.deadline))
	return true, reclaimed
}
