//go:build 386 || arm || mips || mipsle

package store

import (
	"bytes"
	"container/list"
	"sync"

	"github.com/allegro/bigcache/v3"
)

// cache provides the parts of bigcache that Memory uses. bigcache's own counters are not aligned
// where an int has 32 bits, so that its first Get would panic.
type cache struct {
	// Static after newCache.
	m      *Memory
	shards []shard
}

// shard holds a part of the keys under one lock.
type shard struct {
	mu    sync.Mutex
	of    map[uint64]*list.Element // guarded by mu: by the key's hash; bound: none, by bytes
	order list.List                // guarded by mu: of *cached, the oldest first
	bytes int                      // guarded by mu: size of all entries, overhead included
	limit int
}

type cached struct {
	hash  uint64
	key   string
	entry []byte
}

// entryOverhead is the cost of an entry in bytes besides key and value: its places in map and list,
// and the rounding of allocations.
const entryOverhead = 96

func (c *cached) cost() int { return len(c.key) + len(c.entry) + entryOverhead }

func newCache(m *Memory, cfg MemoryConfig, megabytes int) (*cache, error) {
	c := &cache{m: m, shards: make([]shard, cfg.Shards)}
	for i := range c.shards {
		c.shards[i].of = make(map[uint64]*list.Element)
		c.shards[i].limit = megabytes << 20 / cfg.Shards
	}
	return c, nil
}

// lock returns the key's shard, which it has locked, and the key's hash.
func (c *cache) lock(key string) (*shard, uint64) {
	hash := c.m.hash.Sum64(key)
	s := &c.shards[hash&uint64(len(c.shards)-1)]
	s.mu.Lock()
	return s, hash
}

// Get returns a copy of the key's entry.
func (c *cache) Get(key string) ([]byte, error) {
	s, hash := c.lock(key)
	defer s.mu.Unlock()
	if e := s.of[hash]; e != nil {
		if found := e.Value.(*cached); found.key == key {
			return bytes.Clone(found.entry), nil
		}
	}
	return nil, bigcache.ErrEntryNotFound
}

// Set stores entry, which it then owns, in place of an entry with the same hash. It removes expired
// entries, then the oldest ones until there is room.
func (c *cache) Set(key string, entry []byte) error {
	s, hash := c.lock(key)
	defer s.mu.Unlock()
	if e := s.of[hash]; e != nil {
		s.remove(e)
	}
	added := &cached{hash, key, entry}
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		oldest := e.Value.(*cached)
		if !c.m.expired(oldest.entry) && s.bytes+added.cost() <= s.limit {
			break
		}
		s.remove(e)
		c.m.removed(oldest.key, oldest.entry, bigcache.NoSpace)
	}
	s.of[hash] = s.order.PushBack(added)
	s.bytes += added.cost()
	return nil
}

// Delete removes the entry with the key's hash.
func (c *cache) Delete(key string) error {
	s, hash := c.lock(key)
	defer s.mu.Unlock()
	e := s.of[hash]
	if e == nil {
		return bigcache.ErrEntryNotFound
	}
	removed := s.remove(e)
	c.m.removed(removed.key, removed.entry, bigcache.Deleted)
	return nil
}

func (s *shard) remove(e *list.Element) *cached {
	removed := s.order.Remove(e).(*cached)
	delete(s.of, removed.hash)
	s.bytes -= removed.cost()
	return removed
}

// Len returns the number of entries.
func (c *cache) Len() (n int) {
	c.each(func(s *shard) { n += len(s.of) })
	return n
}

// Capacity returns the size of all entries in bytes.
func (c *cache) Capacity() (n int) {
	c.each(func(s *shard) { n += s.bytes })
	return n
}

func (c *cache) each(f func(*shard)) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		f(s)
		s.mu.Unlock()
	}
}
