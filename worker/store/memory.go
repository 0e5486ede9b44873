package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// MemoryConfig says how much a Memory may hold and for how long.
type MemoryConfig struct {
	// Shards is the number of parts with a lock of their own, a power of two. Defaults to 64.
	Shards int
	// MaxBytes bounds the memory of the store, its own tables included. At least 2 MiB. Defaults to 64 MiB.
	// One key and its value may take about a fifteenth of MaxBytes/Shards; see MaxValue.
	MaxBytes int
	// TTL is how long a value is seen after it was set. Zero means until it has to make room.
	TTL time.Duration
}

// Memory is a Store in this process's memory: a bigcache, whose entries the
// garbage collector does not see (where an int has 32 bits, a list of its own). When a shard is full its oldest entries make
// room, oldest by when they were set: reading a key does not keep it, and
// every change of a key takes new room until the old entry's turn comes.
type Memory struct {
	// Static after NewMemory.
	cache    *cache
	hash     hasher
	stripes  []stripe
	maxEntry int
	ttl      time.Duration
	start    time.Time // expiry is counted from here, out of reach of clock changes

	evicted [bigcache.Deleted + 1]atomic.Uint64 // by cause
	refused atomic.Uint64
}

// stripe orders the changes of its share of the keys.
type stripe struct {
	mu           sync.Mutex // also: no read within Update or Delete is stale
	hits, misses atomic.Uint64
	_            [40]byte // a cache line of its own
}

// Stats are figures of a Memory since it was made.
type Stats struct {
	Entries int // now, expired ones whose turn has not come included
	Bytes   int // now reserved for entries
	Hits    uint64
	Misses  uint64
	Expired uint64 // entries that went because their time was over
	NoSpace uint64 // entries that went, alive, to make room
	Deleted uint64 // entries that were deleted
	Refused uint64 // values that were too big
}

// hasher is what bigcache takes.
type hasher func(key string) uint64

// Sum64 never returns 0, by which bigcache marks what was deleted.
func (h hasher) Sum64(key string) uint64 { return max(h(key), 1) }

const (
	// Of an entry, besides key and value: 18 bytes of bigcache's, at most 3 of
	// its queue's, and when it expires and how long its value is.
	cacheOverhead = 18 + 3
	valueHeader   = 8 + 4
	// Every entry costs up to 39 bytes of bigcache's map besides. Entries are
	// filled up to minEntry so that map and queue keep a known proportion.
	minEntry = 64
)

// NewMemory makes an empty store. It runs no goroutine and needs no closing.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	seed := maphash.MakeSeed() // keys that collide must not be found by strangers
	return newMemory(cfg, func(key string) uint64 { return maphash.String(seed, key) })
}

func newMemory(cfg MemoryConfig, hash hasher) (*Memory, error) {
	if field, err := valid.Numbers(cfg); err != nil {
		return nil, fmt.Errorf("store: MemoryConfig.%s: %w", field, err)
	}
	cfg.Shards = cmp.Or(cfg.Shards, 64)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 64<<20)
	if cfg.Shards < 1 || cfg.Shards > 1<<16 || cfg.Shards&(cfg.Shards-1) != 0 {
		return nil, fmt.Errorf("store: MemoryConfig.Shards: %d is not a power of two between 1 and 65536", cfg.Shards)
	}
	if cfg.MaxBytes < 2<<20 {
		return nil, fmt.Errorf("store: MemoryConfig.MaxBytes: %d is less than 2 MiB", cfg.MaxBytes)
	}
	// Of each byte of queue: 39/64 of a byte for the map, 1/8 for the buffer in
	// which bigcache puts an entry together. 1+39/64+1/8 < 1/0.55.
	megabytes := int(float64(cfg.MaxBytes) * 0.55 / (1 << 20))
	shardBytes := megabytes << 20 / cfg.Shards
	if shardBytes < 4096 || uint64(shardBytes) > math.MaxUint32 {
		return nil, fmt.Errorf("store: MemoryConfig.Shards: %d are too many or too few for %d bytes", cfg.Shards, cfg.MaxBytes)
	}
	m := &Memory{
		hash:     hash,
		stripes:  make([]stripe, cfg.Shards),
		maxEntry: shardBytes / 8,
		ttl:      cfg.TTL,
		start:    time.Now(),
	}
	var err error
	if m.cache, err = newCache(m, cfg, megabytes); err != nil {
		return nil, fmt.Errorf("store: making the cache: %w", err)
	}
	return m, nil
}

// MaxValue is the largest value that key can have, in bytes.
func (m *Memory) MaxValue(key string) int {
	return max(0, m.maxEntry-cacheOverhead-valueHeader-len(key))
}

// Get returns the value of key, and false when there is none.
func (m *Memory) Get(_ context.Context, key string) ([]byte, bool, error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	value := m.get(key)
	if s := m.stripe(key); value != nil {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return value, value != nil, nil
}

// Set gives key a value and its whole time to live.
func (m *Memory) Set(_ context.Context, key string, value []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.set(key, value)
}

// Delete takes key away.
func (m *Memory) Delete(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.delete(key)
}

// Update gives key the value that f makes of its present one. Other keys that
// happen to share a lock wait too, so f should be quick.
func (m *Memory) Update(_ context.Context, key string, f func(old []byte) ([]byte, error)) error {
	if err := checkKey(key); err != nil {
		return err
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := f(m.get(key))
	if err != nil {
		return err
	}
	if value == nil {
		return m.delete(key)
	}
	return m.set(key, value)
}

// Stats returns the figures of now.
func (m *Memory) Stats() Stats {
	st := Stats{
		Entries: m.cache.Len(),
		Bytes:   m.cache.Capacity(),
		Expired: m.evicted[bigcache.Expired].Load(),
		NoSpace: m.evicted[bigcache.NoSpace].Load(),
		Deleted: m.evicted[bigcache.Deleted].Load(),
		Refused: m.refused.Load(),
	}
	for i := range m.stripes {
		st.Hits += m.stripes[i].hits.Load()
		st.Misses += m.stripes[i].misses.Load()
	}
	return st
}

func (m *Memory) stripe(key string) *stripe {
	return &m.stripes[m.hash.Sum64(key)&uint64(len(m.stripes)-1)]
}

// get returns a copy of key's value, nil when there is none.
func (m *Memory) get(key string) []byte {
	entry, err := m.cache.Get(key) // whose only error is that there is none
	if err != nil || m.expired(entry) {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(entry[8:]))
	return entry[valueHeader : valueHeader+n : valueHeader+n]
}

// set needs the key's stripe locked.
func (m *Memory) set(key string, value []byte) error {
	if len(value) > m.MaxValue(key) {
		m.refused.Add(1)
		return ErrTooBig
	}
	size := max(valueHeader+len(value), minEntry-cacheOverhead-len(key))
	entry := make([]byte, size)
	if m.ttl > 0 {
		binary.LittleEndian.PutUint64(entry, uint64(time.Since(m.start)+m.ttl))
	}
	binary.LittleEndian.PutUint32(entry[8:], uint32(len(value)))
	copy(entry[valueHeader:], value)
	if err := m.cache.Set(key, entry); err != nil {
		return fmt.Errorf("store: setting %d bytes: %w", len(value), err)
	}
	return nil
}

// delete needs the key's stripe locked: bigcache deletes by the hash alone,
// and another key may have it.
func (m *Memory) delete(key string) error {
	if _, err := m.cache.Get(key); err != nil {
		return nil
	}
	if err := m.cache.Delete(key); err != nil {
		return fmt.Errorf("store: deleting: %w", err)
	}
	return nil
}

func (m *Memory) expired(entry []byte) bool {
	at := binary.LittleEndian.Uint64(entry)
	return at != 0 && uint64(time.Since(m.start)) >= at
}

// removed counts an entry that leaves the cache. It runs under a lock of the
// cache and must not use it.
func (m *Memory) removed(_ string, entry []byte, why bigcache.RemoveReason) {
	if why == bigcache.NoSpace && m.expired(entry) {
		why = bigcache.Expired
	}
	m.evicted[why].Add(1)
}
