package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// MemoryConfig configures a Memory. The zero value selects the defaults.
type MemoryConfig struct {
	// Shards is the number of parts with a lock of their own, a power of two. Defaults to 64.
	Shards int
	// MaxBytes bounds the memory of the store, including its tables. At least 2 MiB. Defaults to 64
	// MiB. One key and its value may take about a fifteenth of MaxBytes/Shards; see
	// Memory.MaxValue.
	MaxBytes int
	// TTL is the longest time that a value is available after it was set, and the time for a ttl of
	// 0. Zero means until it is evicted.
	TTL time.Duration
}

// Memory is a Store in the memory of this process. It is a bigcache, whose entries the garbage
// collector does not scan. (On systems where an int has 32 bits it is a map and a list.) A full
// shard evicts its oldest entries, by the time they were set. Reading a key does not keep it, and
// each change of a key takes new room until the old entry is evicted.
type Memory struct {
	// Static after NewMemory.
	cache    *cache
	hash     hasher
	stripes  []stripe
	maxEntry int
	ttl      time.Duration
	start    time.Time // expiry times are relative to it, so that clock changes have no effect

	versions atomic.Uint64 // the last one that was given to a write

	evicted [bigcache.Deleted + 1]atomic.Uint64 // by reason
	refused atomic.Uint64
}

// stripe serializes the changes of a part of the keys.
type stripe struct {
	mu           sync.Mutex // held from read to write, so that no comparison is stale
	hits, misses atomic.Uint64
	_            [40]byte // fills a cache line
}

// Stats are the counters and gauges of a Memory. Counters count from NewMemory.
type Stats struct {
	Entries int // present entries, including expired ones that have not been removed yet
	Bytes   int // present memory reserved for entries
	Hits    uint64
	Misses  uint64
	Expired uint64 // entries removed after their time
	NoSpace uint64 // entries evicted before that to make room
	Deleted uint64 // entries removed by Delete or CompareAndDelete
	Refused uint64 // values that were too large
}

// hasher is the hash function of bigcache's configuration.
type hasher func(key string) uint64

// Sum64 never returns 0, because bigcache marks deleted entries with it.
func (h hasher) Sum64(key string) uint64 { return max(h(key), 1) }

const (
	// Bytes of an entry besides key and value: 18 for bigcache's header, at most 3 for its queue,
	// and the expiry time, the version and the length of the value.
	cacheOverhead = 18 + 3
	valueHeader   = 8 + 8 + 4
	// Each entry also costs up to 39 bytes in bigcache's map. Entries are padded to minEntry so
	// that the sizes of map and queue have a known proportion.
	minEntry = 64
)

// NewMemory returns an empty store. It starts no goroutine and need not be closed.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	seed := maphash.MakeSeed() // so that attackers cannot find keys that collide
	return newMemory(cfg, func(key string) uint64 { return maphash.String(seed, key) })
}

func newMemory(cfg MemoryConfig, hash hasher) (*Memory, error) {
	if field, err := valid.Numbers(cfg); err != nil {
		return nil, fmt.Errorf("store: MemoryConfig.%s: %w", field, err)
	}
	cfg.Shards = cmp.Or(cfg.Shards, 64)
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 64<<20)
	if cfg.Shards < 1 || cfg.Shards > 1<<16 || cfg.Shards&(cfg.Shards-1) != 0 {
		return nil, fmt.Errorf("store: MemoryConfig.Shards: %d: must be a power of two between 1 and 65536", cfg.Shards)
	}
	if cfg.MaxBytes < 2<<20 {
		return nil, fmt.Errorf("store: MemoryConfig.MaxBytes: %d: must be at least 2 MiB", cfg.MaxBytes)
	}
	// Each byte of queue costs 39/64 of a byte for the map and 1/8 for the buffer in which bigcache
	// builds an entry. 1+39/64+1/8 < 1/0.55.
	megabytes := int(float64(cfg.MaxBytes) * 0.55 / (1 << 20))
	shardBytes := megabytes << 20 / cfg.Shards
	if shardBytes < 4096 || uint64(shardBytes) > math.MaxUint32 {
		return nil, fmt.Errorf("store: MemoryConfig.Shards: %d: %d bytes a shard must be between 4096 and %d",
			cfg.Shards, shardBytes, uint64(math.MaxUint32))
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

// MaxValue returns the size in bytes of the largest value that key can have.
func (m *Memory) MaxValue(key string) int {
	return min(MaxValue, max(0, m.maxEntry-cacheOverhead-valueHeader-len(key)))
}

// Get returns a copy of the value of key, and its version.
func (m *Memory) Get(ctx context.Context, key string) (value []byte, v Version, err error) {
	if err := cmp.Or(ctx.Err(), Check(key, 0, 0)); err != nil {
		return nil, 0, err
	}
	value, v, _ = m.get(key)
	if s := m.stripe(key); v != 0 {
		s.hits.Add(1)
	} else {
		s.misses.Add(1)
	}
	return value, v, nil
}

// GetMany returns copies of the values of those of the keys that have one.
func (m *Memory) GetMany(ctx context.Context, keys ...string) (map[string][]byte, error) {
	if err := CheckKeys(keys...); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(keys))
	for _, key := range keys {
		value, v, err := m.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if v != 0 {
			values[key] = value
		}
	}
	return values, nil
}

// Set sets the value of key to a copy of value.
func (m *Memory) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := m.write(ctx, key, nil, value, ttl)
	return err
}

// SetMany sets several values.
func (m *Memory) SetMany(ctx context.Context, values map[string][]byte, ttl time.Duration) error {
	if len(values) > MaxKeys {
		return ErrTooMany
	}
	for key, value := range values {
		if err := m.Set(ctx, key, value, ttl); err != nil {
			return err
		}
	}
	return nil
}

// Add sets the value of key if it has none.
func (m *Memory) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return m.CompareAndSet(ctx, key, 0, value, ttl)
}

// CompareAndSet sets the value of key if it still has the version.
func (m *Memory) CompareAndSet(ctx context.Context, key string, v Version, value []byte,
	ttl time.Duration) (bool, error) {
	return m.write(ctx, key, &v, value, ttl)
}

// Delete removes keys.
func (m *Memory) Delete(ctx context.Context, keys ...string) error {
	if err := CheckKeys(keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := m.remove(ctx, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// CompareAndDelete removes key if it still has the version.
func (m *Memory) CompareAndDelete(ctx context.Context, key string, v Version) (bool, error) {
	return m.remove(ctx, key, &v)
}

// Increment adds delta to a counter and returns the sum.
func (m *Memory) Increment(ctx context.Context, key string, delta uint32, ttl time.Duration) (uint64, error) {
	if err := cmp.Or(ctx.Err(), Check(key, 0, ttl)); err != nil {
		return 0, err
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	until, n := m.until(ttl), uint64(0)
	if value, v, has := m.get(key); v != 0 {
		var err error
		if n, err = strconv.ParseUint(string(value), 10, 64); err != nil || n > MaxCount {
			return 0, ErrCounter
		}
		until = has
	}
	if n += uint64(delta); n > MaxCount {
		return 0, ErrCounter
	}
	return n, m.set(key, strconv.AppendUint(nil, n, 10), until)
}

// Stats returns the present counters and gauges.
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

// until returns the time after start at which a value ends that is set now, in nanoseconds: 0 for
// never.
func (m *Memory) until(ttl time.Duration) uint64 {
	if life := Life(ttl, m.ttl); life > 0 {
		return uint64(time.Since(m.start) + life)
	}
	return 0
}

// write sets the value of key, if v is not nil only if the key has this version.
func (m *Memory) write(ctx context.Context, key string, v *Version, value []byte, ttl time.Duration) (bool, error) {
	if err := cmp.Or(ctx.Err(), Check(key, 0, ttl)); err != nil {
		return false, err
	}
	if len(value) > m.MaxValue(key) {
		m.refused.Add(1)
		return false, ErrTooBig
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if v != nil && m.version(key) != *v {
		return false, nil
	}
	return true, m.set(key, value, m.until(ttl))
}

// remove deletes key if it has a value, if v is not nil only if it has this version.
func (m *Memory) remove(ctx context.Context, key string, v *Version) (bool, error) {
	if err := cmp.Or(ctx.Err(), Check(key, 0, 0)); err != nil {
		return false, err
	}
	s := m.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if has := m.version(key); has == 0 || v != nil && has != *v {
		return false, nil
	}
	return true, m.delete(key)
}

// get returns a copy of the value of key, its version and until when it is available, or nil and
// zeros.
func (m *Memory) get(key string) (value []byte, v Version, until uint64) {
	entry, err := m.cache.Get(key) // the only error is that there is no entry
	if err != nil || m.expired(entry) {
		return nil, 0, 0
	}
	n := int(binary.LittleEndian.Uint32(entry[16:]))
	return entry[valueHeader : valueHeader+n : valueHeader+n],
		Version(binary.LittleEndian.Uint64(entry[8:])), binary.LittleEndian.Uint64(entry)
}

// version returns the version of key, 0 if it has no value.
func (m *Memory) version(key string) Version {
	_, v, _ := m.get(key)
	return v
}

// set stores a value. The key's stripe must be locked.
func (m *Memory) set(key string, value []byte, until uint64) error {
	size := max(valueHeader+len(value), minEntry-cacheOverhead-len(key))
	entry := make([]byte, size)
	binary.LittleEndian.PutUint64(entry, until)
	binary.LittleEndian.PutUint64(entry[8:], m.versions.Add(1))
	binary.LittleEndian.PutUint32(entry[16:], uint32(len(value)))
	copy(entry[valueHeader:], value)
	if err := m.cache.Set(key, entry); err != nil {
		return fmt.Errorf("store: setting %d bytes: %w", len(value), err)
	}
	return nil
}

// delete removes a key that has a value. The key's stripe must be locked, because bigcache deletes
// by the hash alone, which another key may share.
func (m *Memory) delete(key string) error {
	if err := m.cache.Delete(key); err != nil {
		return fmt.Errorf("store: deleting: %w", err)
	}
	return nil
}

func (m *Memory) expired(entry []byte) bool {
	at := binary.LittleEndian.Uint64(entry)
	return at != 0 && uint64(time.Since(m.start)) >= at
}

// removed counts an entry that leaves the cache. It runs under a lock of the cache and must not use
// the cache.
func (m *Memory) removed(_ string, entry []byte, why bigcache.RemoveReason) {
	if why == bigcache.NoSpace && m.expired(entry) {
		why = bigcache.Expired
	}
	m.evicted[why].Add(1)
}
