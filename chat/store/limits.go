package store

import (
	"context"
	"encoding/binary"
	"time"

	cache "github.com/seed-7410fe32/sluice/worker/store"
)

// Buckets are token buckets, in a memory of 8 MiB that may forget some: a bucket that is forgotten
// is full. Any goroutine may use them. With them the chat's workers count what they refuse alone.
type Buckets struct {
	store cache.Store
	start time.Time // times are relative to it, so that clock changes have no effect
}

// NewBuckets returns buckets that are full. A bucket must be full again within ttl.
func NewBuckets(ttl time.Duration) (*Buckets, error) {
	store, err := cache.NewMemory(cache.MemoryConfig{MaxBytes: 8 << 20, TTL: ttl})
	return &Buckets{store, time.Now()}, err
}

// Take takes one request from a bucket. It reports whether there was one.
func (b *Buckets) Take(ctx context.Context, l Limit) bool {
	ok := false
	refill := int64(l.Every)
	err := cache.Update(ctx, b.store, short(l.Key), 0, func(old []byte) ([]byte, error) {
		now := int64(time.Since(b.start))
		// The stored value is the time at which the bucket will be full again.
		full := now
		if len(old) == 8 {
			full = max(now, int64(binary.BigEndian.Uint64(old)))
		}
		full += refill
		if ok = full-now <= int64(l.Burst)*refill; !ok {
			return old, nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(full)), nil
	})
	return ok || err != nil
}

// Count counts an event of a key and returns how many there were. After the ttl without one it
// begins anew.
func (b *Buckets) Count(ctx context.Context, key string) (n int) {
	_ = cache.Update(ctx, b.store, short(key), 0, func(old []byte) ([]byte, error) { // on error it is the first one
		n = 1
		if len(old) == 4 {
			n += int(binary.BigEndian.Uint32(old))
		}
		return binary.BigEndian.AppendUint32(nil, uint32(n)), nil
	})
	return n
}

// takeAll takes one request from each bucket, or returns a Refusal.
func (b *Buckets) takeAll(ctx context.Context, limits []Limit) error {
	for _, l := range limits {
		if !b.Take(ctx, l) {
			return &Refusal{Code: CodeSlowDown, Text: "too many requests", Key: l.Key}
		}
	}
	return nil
}

// short shortens a key to what the memory accepts.
func short(key string) string { return key[:min(len(key), 250)] }
