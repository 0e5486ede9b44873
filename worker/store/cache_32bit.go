//go:build 386 || arm || mips || mipsle

package store

import (
	"bytes"
	"sync"

	"github.com/allegro/bigcache/v3"
)

// cache does what Memory needs of bigcache, whose counters are not aligned
// where an int has 32 bits: its first Get would panic. Of Shards it has one.
type cache struct {
	// Static after newCache.
	m     *Memory
	limit int

	mu    sync.Mutex
	of    map[uint64]*cached // guarded by mu: by the key's hash; bound: none, by bytes
	order []*cached          // guarded by mu: in the order of their Sets, the oldest first, with those that are gone; bound: none, by bytes
	bytes int                // guarded by mu: of all, with those that are gone
}

type cached struct {
	hash  uint64
	key   string
	entry []byte
	gone  bool // deleted, or replaced
}

// entryOverhead is what an entry costs besides key and value, in bytes: its
// places in map and list, and what allocations are rounded up to.
const entryOverhead = 96

func (c *cached) cost() int { return len(c.key) + len(c.entry) + entryOverhead }

func newCache(m *Memory, _ MemoryConfig, megabytes int) (*cache, error) {
	return &cache{m: m, limit: megabytes << 20, of: make(map[uint64]*cached)}, nil
}

// Get returns a copy of the key's entry.
func (c *cache) Get(key string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if has := c.of[c.m.hash.Sum64(key)]; has != nil && has.key == key {
		return bytes.Clone(has.entry), nil
	}
	return nil, bigcache.ErrEntryNotFound
}

// Set takes over entry, in place of what has the same hash. What is over goes,
// then the oldest until there is room.
func (c *cache) Set(key string, entry []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	has := &cached{hash: c.m.hash.Sum64(key), key: key, entry: entry}
	if old := c.of[has.hash]; old != nil {
		old.gone = true
	}
	for len(c.order) > 0 {
		oldest := c.order[0]
		if !oldest.gone && !c.m.expired(oldest.entry) && c.bytes+has.cost() <= c.limit {
			break
		}
		c.bytes -= oldest.cost()
		c.order[0], c.order = nil, c.order[1:]
		if !oldest.gone {
			delete(c.of, oldest.hash)
			c.m.removed(oldest.key, oldest.entry, bigcache.NoSpace)
		}
	}
	c.of[has.hash] = has
	c.order = append(c.order, has)
	c.bytes += has.cost()
	return nil
}

// Delete takes away what has the key's hash.
func (c *cache) Delete(key string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	has := c.of[c.m.hash.Sum64(key)]
	if has == nil {
		return bigcache.ErrEntryNotFound
	}
	has.gone = true
	delete(c.of, has.hash)
	c.m.removed(has.key, has.entry, bigcache.Deleted)
	return nil
}

// Len is how many entries there are.
func (c *cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.of)
}

// Capacity is how many bytes they take.
func (c *cache) Capacity() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
