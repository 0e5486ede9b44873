// Package store caches data of a worker's business code: the last messages of a room, computed
// answers, ids of handled messages. Three drivers have one interface, Store:
//
//   - Memory, in the memory of the process;
//   - redisstore.Store, in Redis or Valkey: one server, Sentinel or Cluster;
//   - memcachedstore.Store, in one or several memcached servers.
//
// The last two are for data that several workers share, and that outlives a worker.
//
// A Store is a cache. It may forget any key at any time without notice, to make room or because a
// process has ended. So use it for data that can be fetched or computed again or that is
// dispensable. Do not use it for connected clients, groups or attributes: the gateways have those.
package store

import (
	"context"
	"errors"
	"time"
)

// Store maps keys to values. A key has 1 to MaxKey bytes, of any values. A value has 0 to
// MaxValue(key) bytes; nil is the same as empty. Values are copied when they are set and returned.
// Any goroutine may call the methods.
//
// A ttl says how long a value is available after it was set: at least that long, unless the store
// needs the room, and at most two seconds longer. Zero means the longest time of the driver, the
// TTL of its Config. A ttl that is longer than that is shortened to it.
//
// A method waits for a server no longer than the Timeout of its driver's Config, and returns when
// ctx ends. Its error is then ctx.Err() or ErrUnavailable. After each of these a change may have
// happened or not. After any other error it has not, unless a method says otherwise.
type Store interface {
	// Get returns the value of key and its version. They are nil and 0 if key has no value; an
	// empty value is not nil.
	Get(ctx context.Context, key string) (value []byte, v Version, err error)
	// GetMany returns the values of those of the keys that have one. If some servers of several are
	// away, it returns what the others have, and ErrUnavailable.
	GetMany(ctx context.Context, keys ...string) (map[string][]byte, error)

	// Set sets the value of key.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// SetMany sets several values, not as one step: if it returns an error, some may be set.
	SetMany(ctx context.Context, values map[string][]byte, ttl time.Duration) error
	// Add sets the value of key if it has none, and reports whether it did.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error)
	// CompareAndSet sets the value of key if it still has the version that Get has returned, 0 if
	// it had no value, and reports whether it did. Update is a loop of Get and CompareAndSet.
	CompareAndSet(ctx context.Context, key string, v Version, value []byte, ttl time.Duration) (set bool, err error)

	// Delete removes keys, not as one step. It is not an error if a key has no value.
	Delete(ctx context.Context, keys ...string) error
	// CompareAndDelete removes key if it still has the version, and reports whether it did. It
	// removes nothing for the version 0.
	CompareAndDelete(ctx context.Context, key string, v Version) (deleted bool, err error)

	// Increment adds delta to a counter and returns the sum. A counter is a value: a number in
	// decimal digits without leading zeros, at most MaxCount. A key without a value counts from 0,
	// and then ttl begins; further increments do not change the time that is left. If the value is
	// no number, or the sum is larger than MaxCount, it returns ErrCounter.
	Increment(ctx context.Context, key string, delta uint32, ttl time.Duration) (n uint64, err error)

	// MaxValue returns the size in bytes of the largest value that key can have, at most 1,000,000.
	MaxValue(key string) int
}

// Version stands for one write of one key: no two writes of a key have the same. 0 stands for no
// value. Versions have no order and no meaning for other keys and stores.
type Version uint64

// These are the bounds that all drivers have in common.
const (
	// MaxKey is the size of the longest key in bytes: the limit of memcached.
	MaxKey = 250
	// MaxValue is the size of the largest value in bytes. It fits in the 1 MiB with key and header
	// that memcached allows. A driver may allow less; see Store.MaxValue.
	MaxValue = 1_000_000
	// MaxTTL is the longest time to live. memcached takes more than 30 days for a date.
	MaxTTL = 28 * 24 * time.Hour
	// MaxKeys is how many keys one call of GetMany, SetMany or Delete may have.
	MaxKeys = 1000
	// MaxCount is the largest number of a counter: the Lua of Redis has 53 bits for integers.
	MaxCount = 1<<53 - 1
)

var (
	// ErrKey is returned for a key that is empty or longer than MaxKey.
	ErrKey = errors.New("store: key must have between 1 and 250 bytes")
	// ErrTooBig is returned for a value that is larger than the store accepts.
	ErrTooBig = errors.New("store: value too large")
	// ErrTTL is returned for a time to live that is negative or longer than MaxTTL.
	ErrTTL = errors.New("store: ttl must be between 0 and 28 days")
	// ErrTooMany is returned for a call with more than MaxKeys keys.
	ErrTooMany = errors.New("store: more than 1000 keys in a call")
	// ErrCounter is returned by Increment for a value that is no number or would be too large.
	ErrCounter = errors.New("store: not a counter, or too large for one")
	// ErrConflict is returned by Update if others have changed the key each time.
	ErrConflict = errors.New("store: key is changed all the time")
	// ErrFull is returned for a value for which the server has no room and does not make any.
	ErrFull = errors.New("store: server is full")
	// ErrForeign is returned for a key of Redis that another program has written.
	ErrForeign = errors.New("store: value was not written by this package")
	// ErrUnavailable is returned if the server does not answer in time, cannot be reached or does
	// not work; the error says why. After three such errors in a row the driver returns it at once,
	// and asks the server again, once, after a pause of 100 ms, which doubles up to 2 s.
	ErrUnavailable = errors.New("store: server is away")
)

// Check returns ErrKey, ErrTooBig or ErrTTL for arguments that no store accepts. It is for drivers.
func Check(key string, size int, ttl time.Duration) error {
	switch {
	case key == "" || len(key) > MaxKey:
		return ErrKey
	case size > MaxValue:
		return ErrTooBig
	case ttl < 0 || ttl > MaxTTL:
		return ErrTTL
	}
	return nil
}

// CheckKeys returns ErrKey or ErrTooMany for keys that no store accepts. It is for drivers.
func CheckKeys(keys ...string) error {
	if len(keys) > MaxKeys {
		return ErrTooMany
	}
	for _, key := range keys {
		if err := Check(key, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// Life returns how long a value is available that is set with ttl in a store whose longest time is
// most: 0 for no limit. It is for drivers.
func Life(ttl, most time.Duration) time.Duration {
	if ttl == 0 || most > 0 && ttl > most {
		return most
	}
	return ttl
}
