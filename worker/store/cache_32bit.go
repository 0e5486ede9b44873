//go:build 386 || arm || mips || mipsle

package store

import (
	"bytes"
	"container/list"
	"sync"

	"github.com/allegro/bigcache/v3"
)

// cache does what Memory needs of bigcache, whose counters are not aligned
// where an int has 32 bits: its first Get would panic.
type cache struct {
	// Static after newCache.
	m      *Memory
	shards []shard
}

// shard is the share of the keys that have a lock in common.
type shard struct {
	mu    sync.Mutex
	of    map[uint64]*list.Element // guarded by mu: by the key's hash; bound: none, by bytes
	order list.List                // guarded by mu: of *cached, the oldest first
	bytes int                      // guarded by mu: of all, overhead included
	limit int
}

type cached struct {
	hash  uint64
	key   string
	entry []byte
}

// entryOverhead is what an entry costs besides key and value, in bytes: its
// places in map and list, and what allocations are rounded up to.
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

// lock returns the key's shard, locked, and its hash.
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
		if has := e.Value.(*cached); has.key == key {
			return bytes.Clone(has.entry), nil
		}
	}
	return nil, bigcache.ErrEntryNotFound
}

// Set takes over entry, in place of what has the same hash. What is over goes,
// then the oldest until there is room.
func (c *cache) Set(key string, entry []byte) error {
	s, hash := c.lock(key)
	defer s.mu.Unlock()
	if e := s.of[hash]; e != nil {
		s.remove(e)
	}
	has := &cached{hash, key, entry}
	for e := s.order.Front(); e != nil; e = s.order.Front() {
		oldest := e.Value.(*cached)
		if !c.m.expired(oldest.entry) && s.bytes+has.cost() <= s.limit {
			break
		}
		s.remove(e)
		c.m.removed(oldest.key, oldest.entry, bigcache.NoSpace)
	}
	s.of[hash] = s.order.PushBack(has)
	s.bytes += has.cost()
	return nil
}

// Delete takes away what has the key's hash.
func (c *cache) Delete(key string) error {
	s, hash := c.lock(key)
	defer s.mu.Unlock()
	e := s.of[hash]
	if e == nil {
		return bigcache.ErrEntryNotFound
	}
	has := s.remove(e)
	c.m.removed(has.key, has.entry, bigcache.Deleted)
	return nil
}

func (s *shard) remove(e *list.Element) *cached {
	has := s.order.Remove(e).(*cached)
	delete(s.of, has.hash)
	s.bytes -= has.cost()
	return has
}

// Len is how many entries there are.
func (c *cache) Len() (n int) {
	c.each(func(s *shard) { n += len(s.of) })
	return n
}

// Capacity is how many bytes they take.
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
