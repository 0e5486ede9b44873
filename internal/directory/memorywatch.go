package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// watchInterval is how often a Watch looks for leases that have expired.
const watchInterval = 200 * time.Millisecond

// List implements Rows.
func (d *Memory) List(ctx context.Context, prefix string) ([]Row, error) {
	name, err := Kind(prefix)
	if err != nil {
		return nil, err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	rows, _ := d.list(name, prefix, now)
	return rows, nil
}

// list returns the rows that are held, and when the first of their leases expires.
func (d *Memory) list(name, prefix string, now time.Duration) (rows []Row, first time.Duration) {
	first = now + MaxLease
	if k := d.kinds[name]; k != nil {
		for key, r := range k.rows {
			if now < r.expires && strings.HasPrefix(key, prefix) {
				rows = append(rows, r.answer(key, now))
				first = min(first, r.expires)
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int { return strings.Compare(a.Key, b.Key) })
	return rows, first
}

// Watch implements Rows.
func (d *Memory) Watch(ctx context.Context, prefix string, changed func([]Row)) error {
	name, err := Kind(prefix)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.stats.Watches++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.stats.Watches--
	}()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var last []Row
	for told := false; ; told = true {
		rows, first, change := d.look(name, prefix)
		if !told || !slices.EqualFunc(rows, last, same) {
			last = slices.Clone(rows)
			changed(rows)
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-d.done:
				return fmt.Errorf("%w: closed", ErrUnavailable)
			case <-change:
				waiting = false
			case <-tick.C:
				waiting = d.now() < first
			}
		}
	}
}

// look returns the rows of a kind, when the first lease expires, and a channel that is closed at
// the next change.
func (d *Memory) look(name, prefix string) ([]Row, time.Duration, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.kinds[name]
	if k == nil {
		k = &kind{rows: make(map[string]*row)}
		d.kinds[name] = k
	}
	if k.changed == nil {
		k.changed = make(chan struct{})
	}
	rows, first := d.list(name, prefix, d.now())
	return rows, first, k.changed
}

// same reports whether a watcher has seen a state of a row. A value has a version of its own.
func same(a, b Row) bool {
	return a.Key == b.Key && a.Owner == b.Owner && a.Epoch == b.Epoch && a.Version == b.Version
}
