//go:build !386 && !arm && !mips && !mipsle

package store

import (
	"context"
	"math"
	"time"

	"github.com/allegro/bigcache/v3"
)

type cache = bigcache.BigCache

func newCache(m *Memory, cfg MemoryConfig, megabytes int) (*cache, error) {
	// bigcache counts whole seconds. It may keep an entry longer than necessary, because Get checks
	// the exact time, but never shorter. There is no CleanWindow: each Set removes one expired
	// entry, which is enough and needs no goroutine.
	life := time.Duration(math.MaxInt64)
	if cfg.TTL > 0 && cfg.TTL < life-2*time.Second {
		life = cfg.TTL + 2*time.Second
	}
	return bigcache.New(context.Background(), bigcache.Config{
		Shards:             cfg.Shards,
		LifeWindow:         life,
		MaxEntriesInWindow: cfg.Shards,
		MaxEntrySize:       minEntry,
		Hasher:             m.hash,
		HardMaxCacheSize:   megabytes,
		OnRemoveWithReason: m.removed,
	})
}
