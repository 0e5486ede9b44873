package memcachedstore

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/fnv"
	"strings"

	"github.com/seed-7410fe32/sluice/worker/store"
)

const (
	maxPrefix = 64
	// hashed marks a key that is the hash of another one.
	hashed = "#"
)

// plain reports whether memcached accepts the characters of a key.
func plain(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			return false
		}
	}
	return true
}

// wireKey returns the name of a key in the servers: the prefix and the key. A key with other
// characters than printable ASCII, or that is too long with the prefix, is replaced by a mark and
// its SHA-256. A key that begins with the mark is, too, so that no two keys have the same name.
func wireKey(prefix, key string) string {
	if plain(key) && len(prefix)+len(key) <= store.MaxKey && !strings.HasPrefix(key, hashed) {
		return prefix + key
	}
	sum := sha256.Sum256([]byte(key))
	return prefix + hashed + base64.RawURLEncoding.EncodeToString(sum[:])
}

// serverOf returns the server that has a key: the one with the highest score.
func (s *Store) serverOf(wireKey string) *server {
	key := hash(wireKey)
	best, highest := s.servers[0], uint64(0)
	for _, server := range s.servers {
		if score := mix(key ^ server.hash); score >= highest {
			best, highest = server, score
		}
	}
	return best
}

// hash is the same in all processes and versions: which server has a key depends on it.
func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return mix(h.Sum64())
}

// mix makes each bit of the result depend on each bit of x (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
