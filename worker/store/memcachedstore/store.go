// Package memcachedstore is the memcached driver of package store. It spreads keys over several
// servers.
//
// Each server has the keys for which it has the highest of the hashes of server and key (rendezvous
// hashing, by the names in Config.Servers). So all workers with the same list, in any order, agree.
// A server that is added or removed takes or leaves its share of the keys, and no other key moves.
// A server that is away takes its keys with it: they return ErrUnavailable, and those of the others
// work as before. They do not move, so nobody reads an old value when the server is back.
//
// What differs from other drivers, because memcached is so:
//
//   - Times to live are whole seconds, rounded up, and one more, since its clock ticks once a
//     second.
//   - It makes room by removing what has not been used for longest. With its option -M it returns
//     ErrFull instead. A Set or SetMany that it refuses for room or size removes the old value.
//   - An Increment that returns ErrCounter for a number that was larger than store.MaxCount may
//     change it.
//   - After a restart its versions begin anew. A CompareAndSet whose Get was before the restart
//     fails unless the key has by chance the same number again.
package memcachedstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-7410fe32/sluice/internal/valid"
	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/remote"
)

// Config configures a Store.
type Config struct {
	// Servers are the host:port addresses of the servers. Required. Their names decide which keys
	// each has, so write them alike in all workers.
	Servers []string
	// Prefix is the beginning of all keys in the servers, at most 64 printable ASCII characters.
	// Defaults to "sluice:".
	Prefix string
	// TTL is the longest time that a value is available after it was set, and the time for a ttl of
	// 0. At most 28 days (store.MaxTTL). Defaults to 7 days.
	TTL time.Duration
	// Timeout is how long a call may take, with all its keys. Defaults to 500 ms.
	Timeout time.Duration
	// MaxConns is the number of connections to each server, which is the number of commands that
	// run at once; further calls wait. At most 1024. Defaults to 16.
	MaxConns int
}

// Store is a store.Store in memcached servers. It connects when it is used first, and again when a
// server is back.
type Store struct {
	cfg          Config
	servers      []*server // static after New; bound: none, as many as Config.Servers
	hits, misses atomic.Uint64
}

var _ store.Store = (*Store)(nil)

// Stats are the counters and gauges of a Store. Counters count from New.
type Stats struct {
	Hits    uint64
	Misses  uint64
	Servers []ServerStats // in the order of Config.Servers
}

// ServerStats are the figures of one server.
type ServerStats struct {
	Addr     string
	Away     bool   // it has not answered lately
	Failures uint64 // commands that it has not answered
	Rejected uint64 // commands that were not sent because it was away
}

// New returns a store. It fails only if the Config is wrong: a server that is away may come later.
// Close it when it is not used any more.
func New(cfg Config) (*Store, error) {
	if field, err := valid.Numbers(cfg); err != nil {
		return nil, fmt.Errorf("memcachedstore: Config.%s: %w", field, err)
	}
	cfg.Prefix = cmp.Or(cfg.Prefix, "sluice:")
	cfg.TTL = cmp.Or(cfg.TTL, 7*24*time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, 500*time.Millisecond)
	cfg.MaxConns = cmp.Or(cfg.MaxConns, 16)
	if len(cfg.Prefix) > maxPrefix || !plain(cfg.Prefix) {
		return nil, fmt.Errorf("memcachedstore: Config.Prefix: %q: must have 64 printable ASCII characters at most",
			cfg.Prefix)
	}
	if cfg.TTL > store.MaxTTL {
		return nil, fmt.Errorf("memcachedstore: Config.TTL: %v: must be at most 28 days", cfg.TTL)
	}
	if cfg.MaxConns > 1024 {
		return nil, fmt.Errorf("memcachedstore: Config.MaxConns: %d: must be at most 1024", cfg.MaxConns)
	}
	if len(cfg.Servers) == 0 {
		return nil, errors.New("memcachedstore: Config.Servers: must not be empty")
	}
	s := &Store{cfg: cfg}
	known := make(map[string]bool)
	for _, addr := range cfg.Servers {
		if err := valid.HostPort(addr); err != nil {
			return nil, fmt.Errorf("memcachedstore: Config.Servers: %w", err)
		}
		if known[addr] {
			return nil, fmt.Errorf("memcachedstore: Config.Servers: %s is there twice", addr)
		}
		known[addr] = true
		s.servers = append(s.servers, newServer(addr, cfg))
	}
	return s, nil
}

// Close closes all connections. It waits for commands that run, at most twice the Timeout. Later
// calls return ErrUnavailable.
func (s *Store) Close() {
	for _, server := range s.servers {
		server.close()
	}
}

// Stats returns the present figures.
func (s *Store) Stats() Stats {
	st := Stats{Hits: s.hits.Load(), Misses: s.misses.Load()}
	for _, server := range s.servers {
		c := server.Stats()
		st.Servers = append(st.Servers, ServerStats{server.addr, c.Away, c.Failures, c.Rejected})
	}
	return st
}

// MaxValue returns store.MaxValue. A server with a smaller option -I accepts less.
func (s *Store) MaxValue(string) int { return store.MaxValue }

// Get returns the value of key and its version.
func (s *Store) Get(ctx context.Context, key string) ([]byte, store.Version, error) {
	if err := store.Check(key, 0, 0); err != nil {
		return nil, 0, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	name := wireKey(s.cfg.Prefix, key)
	item, err := ask(ctx, s.serverOf(name), idempotent, func(c *memcache.Client) (*memcache.Item, error) {
		return c.Get(name)
	})
	if errors.Is(err, memcache.ErrCacheMiss) {
		s.misses.Add(1)
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	s.hits.Add(1)
	return slices.Clip(item.Value), store.Version(item.CasID), nil
}

// Set sets the value of key.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	item, err := s.item(key, value, ttl)
	if err == nil {
		_, err = s.write(ctx, item, idempotent, (*memcache.Client).Set)
	}
	return err
}

// Add sets the value of key if it has none.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	item, err := s.item(key, value, ttl)
	if err != nil {
		return false, err
	}
	return s.write(ctx, item, once, (*memcache.Client).Add)
}

// CompareAndSet sets the value of key if it still has the version.
func (s *Store) CompareAndSet(ctx context.Context, key string, v store.Version, value []byte,
	ttl time.Duration) (bool, error) {
	if v == 0 {
		return s.Add(ctx, key, value, ttl)
	}
	item, err := s.item(key, value, ttl)
	if err != nil {
		return false, err
	}
	item.CasID = uint64(v)
	return s.write(ctx, item, once, (*memcache.Client).CompareAndSwap)
}

// CompareAndDelete removes key if it still has the version.
func (s *Store) CompareAndDelete(ctx context.Context, key string, v store.Version) (bool, error) {
	item, err := s.item(key, nil, 0)
	if v == 0 || err != nil {
		return false, cmp.Or(ctx.Err(), err)
	}
	item.CasID = uint64(v)
	item.Expiration = -1 // memcached has no other deletion that compares: the new value has expired
	return s.write(ctx, item, once, (*memcache.Client).CompareAndSwap)
}

// Increment adds delta to a counter and returns the sum.
func (s *Store) Increment(ctx context.Context, key string, delta uint32, ttl time.Duration) (n uint64, err error) {
	first, err := s.item(key, strconv.AppendUint(nil, uint64(delta), 10), ttl)
	if err != nil {
		return 0, err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return ask(ctx, s.serverOf(first.Key), once, func(c *memcache.Client) (uint64, error) {
		return increment(c, first, uint64(delta))
	})
}

// increment adds delta to a counter, or stores the first one.
func increment(c *memcache.Client, first memcache.Item, delta uint64) (uint64, error) {
	// It exists or it does not: there are further turns only if others delete it all the time.
	for range 8 {
		n, err := c.Increment(first.Key, delta)
		switch {
		case err == nil && n < delta: // past 64 bits
			return 0, store.ErrCounter
		case err == nil && n > store.MaxCount:
			_, err = c.Decrement(first.Key, delta)
			return 0, cmp.Or(err, store.ErrCounter)
		case !errors.Is(err, memcache.ErrCacheMiss):
			return n, err
		}
		if err := c.Add(&first); !errors.Is(err, memcache.ErrNotStored) {
			return delta, err
		}
	}
	return 0, memcache.ErrNotStored
}

// item returns an item to be stored. It has a copy of value, since a command may still run when its
// call has returned. memcached counts whole seconds, and its clock ticks once a second, so the
// first one may be shorter.
func (s *Store) item(key string, value []byte, ttl time.Duration) (memcache.Item, error) {
	life := store.Life(ttl, s.cfg.TTL)
	return memcache.Item{
		Key:        wireKey(s.cfg.Prefix, key),
		Value:      append([]byte{}, value...),
		Expiration: int32((life+time.Second-1)/time.Second) + 1,
	}, store.Check(key, len(value), ttl)
}

// write sends a command that stores an item, and reports whether it was stored.
func (s *Store) write(ctx context.Context, item memcache.Item, may retry,
	command func(*memcache.Client, *memcache.Item) error) (bool, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	_, err := ask(ctx, s.serverOf(item.Key), may, func(c *memcache.Client) (bool, error) {
		item := item
		return true, command(c, &item)
	})
	for _, no := range []error{memcache.ErrNotStored, memcache.ErrCASConflict, memcache.ErrCacheMiss} {
		if errors.Is(err, no) {
			return false, nil
		}
	}
	return err == nil, err
}

// within returns a context that ends after the Timeout.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return remote.Within(ctx, s.cfg.Timeout)
}

// together runs functions side by side and returns the first of their errors.
func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	return cmp.Or(errs...)
}
