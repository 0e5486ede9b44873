package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/worker/store"
)

// GetMany returns the values of those of the keys that have one, in one round trip to each server.
// If some nodes of a Cluster are away, it returns what the others have, and ErrUnavailable.
func (s *Store) GetMany(ctx context.Context, keys ...string) (map[string][]byte, error) {
	if err := store.CheckKeys(keys...); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(keys))
	if len(keys) == 0 {
		return values, nil
	}
	keys = slices.Compact(slices.Sorted(slices.Values(keys))) // a copy: the commands may run longer than this call
	type answer struct {
		entries []entry
		err     error // the first one of an entry
	}
	got, err := ask(ctx, s, func(ctx context.Context, c rueidis.Client) (a answer, err error) {
		gets := make(rueidis.Commands, len(keys))
		for i, key := range keys {
			gets[i] = c.B().Get().Key(s.cfg.Prefix + key).Build()
		}
		a.entries = make([]entry, len(keys))
		for i, result := range c.DoMulti(ctx, gets...) {
			if a.entries[i], err = s.read(result); err != nil && a.err == nil {
				a.err = err
			}
		}
		return a, a.err
	})
	for i, has := range got.entries {
		if has.version != 0 {
			values[keys[i]] = has.value
		}
	}
	s.hits.Add(uint64(len(values)))
	if err == nil {
		s.misses.Add(uint64(len(keys) - len(values)))
	}
	return values, err
}

// SetMany sets several values, in one round trip to each server.
func (s *Store) SetMany(ctx context.Context, values map[string][]byte, ttl time.Duration) error {
	if len(values) > store.MaxKeys {
		return store.ErrTooMany
	}
	written := make(map[string]string, len(values))
	for key, value := range values {
		if err := store.Check(key, len(value), ttl); err != nil {
			return err
		}
		written[s.cfg.Prefix+key] = encode(value)
	}
	return s.all(ctx, len(values), func(c rueidis.Client) (sets rueidis.Commands) {
		for key, value := range written {
			sets = append(sets, c.B().Set().Key(key).Value(value).PxMilliseconds(s.life(ttl)).Build())
		}
		return sets
	})
}

// Delete removes keys, in one round trip to each server.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := store.CheckKeys(keys...); err != nil {
		return err
	}
	keys = slices.Clone(keys) // the commands may run longer than this call
	return s.all(ctx, len(keys), func(c rueidis.Client) (dels rueidis.Commands) {
		for _, key := range keys {
			dels = append(dels, c.B().Del().Key(s.cfg.Prefix+key).Build())
		}
		return dels
	})
}

// all runs n commands and returns the first of their errors.
func (s *Store) all(ctx context.Context, n int, of func(rueidis.Client) rueidis.Commands) error {
	if n == 0 {
		return nil
	}
	_, err := ask(ctx, s, func(ctx context.Context, c rueidis.Client) (none struct{}, err error) {
		for _, result := range c.DoMulti(ctx, of(c)...) {
			if failed := s.translate(result.Error()); failed != nil && err == nil {
				err = failed
			}
		}
		return none, err
	})
	return err
}
