package memcachedstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-7410fe32/sluice/worker/store"
)

// GetMany returns the values of those of the keys that have one: one command for each server. If
// some servers are away, it returns what the others have, and ErrUnavailable.
func (s *Store) GetMany(ctx context.Context, keys ...string) (map[string][]byte, error) {
	if err := store.CheckKeys(keys...); err != nil {
		return nil, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	names := make(map[string]string, len(keys)) // by the key in the server
	for _, key := range keys {
		names[wireKey(s.cfg.Prefix, key)] = key
	}
	wanted := make(map[*server][]string)
	for key := range names {
		of := s.serverOf(key)
		wanted[of] = append(wanted[of], key)
	}
	var asks []func() error
	var answers []map[string]*memcache.Item
	for of, keys := range wanted {
		answers = append(answers, nil)
		i := len(answers) - 1
		asks = append(asks, func() error {
			items, err := ask(ctx, of, idempotent, func(c *memcache.Client) (map[string]*memcache.Item, error) {
				return c.GetMulti(keys)
			})
			if err == nil {
				answers[i] = items
			}
			return err
		})
	}
	err := together(asks...)
	values := make(map[string][]byte, len(keys))
	for _, items := range answers {
		for key, item := range items {
			values[names[key]] = slices.Clip(item.Value)
		}
	}
	if err == nil {
		s.misses.Add(uint64(len(names) - len(values)))
	}
	s.hits.Add(uint64(len(values)))
	return values, err
}

// SetMany sets several values, as many at once as there are connections.
func (s *Store) SetMany(ctx context.Context, values map[string][]byte, ttl time.Duration) error {
	if len(values) > store.MaxKeys {
		return store.ErrTooMany
	}
	for key, value := range values {
		if err := store.Check(key, len(value), ttl); err != nil {
			return err
		}
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	var sets []func() error
	for key, value := range values {
		sets = append(sets, func() error { return s.Set(ctx, key, value, ttl) })
	}
	return together(sets...)
}

// Delete removes keys, as many at once as there are connections.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := store.CheckKeys(keys...); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	var deletes []func() error
	for _, key := range keys {
		deletes = append(deletes, func() error {
			name := wireKey(s.cfg.Prefix, key)
			_, err := ask(ctx, s.serverOf(name), idempotent, func(c *memcache.Client) (bool, error) {
				return true, c.Delete(name)
			})
			if errors.Is(err, memcache.ErrCacheMiss) {
				return nil
			}
			return err
		})
	}
	return together(deletes...)
}
