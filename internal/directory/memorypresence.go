package directory

import (
	"context"
	"slices"
	"time"
)

// set has the entries of a set. A popular set has one of each gateway.
type set struct {
	members []expiring[Member] // bound: sets of a directory in memory
	readers []expiring[Reader] // bound: sets of a directory in memory
}

type expiring[T comparable] struct {
	of T
	at time.Duration // since the directory's start
}

// until adds v to entries, or lets it expire no earlier than at.
func until[T comparable](entries []expiring[T], v T, at time.Duration) []expiring[T] {
	for i := range entries {
		if entries[i].of == v {
			entries[i].at = max(entries[i].at, at)
			return entries
		}
	}
	return append(entries, expiring[T]{v, at})
}

// values returns the values of entries.
func values[T comparable](entries []expiring[T]) []T {
	all := make([]T, len(entries))
	for i, e := range entries {
		all[i] = e.of
	}
	return all
}

// expire forgets entries that have expired, and reports whether there are no others.
func (s *set) expire(now time.Duration) bool {
	s.members = slices.DeleteFunc(s.members, func(e expiring[Member]) bool { return now >= e.at })
	s.readers = slices.DeleteFunc(s.readers, func(e expiring[Reader]) bool { return now >= e.at })
	return len(s.members)+len(s.readers) == 0
}

// setOf returns a set without what has expired. It returns nil if there is no room for another.
func (d *Memory) setOf(name Set, now time.Duration) *set {
	s := d.sets[name]
	if s == nil {
		d.room(false, 0, now)
		if len(d.sets) >= d.cfg.MaxRows {
			if d.sweep(now); len(d.sets) >= d.cfg.MaxRows {
				return nil
			}
		}
		s = &set{}
		d.sets[name] = s
	}
	s.expire(now)
	return s
}

// Enter implements Presence. It returns ErrFull if there is no room for a set.
func (d *Memory) Enter(ctx context.Context, m Member, sets []Set) ([][]Reader, error) {
	if err := CheckSets(sets, 0); err != nil {
		return nil, err
	}
	now, err := d.begin(ctx, len(sets))
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	readers := make([][]Reader, len(sets))
	for i, name := range sets {
		s := d.setOf(name, now)
		if s == nil {
			return nil, ErrFull
		}
		s.members = until(s.members, m, now+d.cfg.EntryTTL)
		readers[i] = values(s.readers)
	}
	return readers, nil
}

// Leave implements Presence.
func (d *Memory) Leave(ctx context.Context, m Member, sets []Set) error {
	if err := CheckSets(sets, 0); err != nil {
		return err
	}
	now, err := d.begin(ctx, len(sets))
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, name := range sets {
		s := d.sets[name]
		if s == nil {
			continue
		}
		s.members = slices.DeleteFunc(s.members, func(e expiring[Member]) bool { return e.of == m })
		if s.expire(now) {
			delete(d.sets, name)
		}
	}
	return nil
}

// Locate implements Presence. It returns ErrFull if there is no room for a set.
func (d *Memory) Locate(ctx context.Context, r Reader, lease time.Duration, sets []Set) ([][]Member, error) {
	if err := CheckSets(sets, lease); err != nil {
		return nil, err
	}
	now, err := d.begin(ctx, len(sets))
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	members := make([][]Member, len(sets))
	for i, name := range sets {
		s := d.sets[name]
		if lease > 0 {
			if s = d.setOf(name, now); s == nil {
				return nil, ErrFull
			}
			s.readers = until(s.readers, r, now+2*lease)
		}
		if s != nil {
			s.expire(now)
			members[i] = values(s.members)
		}
	}
	return members, nil
}
