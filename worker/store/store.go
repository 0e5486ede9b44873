// Package store caches data of a worker's business code: the last messages of a room, computed
// answers, ids of handled messages. Memory is an implementation in the memory of the process.
//
// A Store is a cache. It may forget any key at any time without notice, to make room or because a
// process has ended. So use it for data that can be fetched or computed again or that is
// dispensable. Do not use it for connected clients, groups or attributes: the gateways have those.
package store

import (
	"context"
	"errors"
)

// Store maps keys of 1 to 250 bytes to values. Any goroutine may call its methods. They copy values
// that they get and return.
type Store interface {
	// Get returns the value of key. ok is false if there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set sets the value of key and restarts its time to live. If it returns an error nothing has
	// changed.
	Set(ctx context.Context, key string, value []byte) error
	// Delete removes key. It is not an error if key has no value.
	Delete(ctx context.Context, key string) error
	// Update sets the value of key to the result of f for the present one, as one atomic step. old
	// is nil if there is no value. A nil result deletes the key. If f returns an error, Update
	// returns it and nothing has changed. f must not use the store and may be called more than
	// once. It may keep or change old.
	Update(ctx context.Context, key string, f func(old []byte) ([]byte, error)) error
}

var (
	// ErrKey is returned for a key that is empty or longer than 250 bytes.
	ErrKey = errors.New("store: key must have between 1 and 250 bytes")
	// ErrTooBig is returned for a value that is larger than the store accepts.
	ErrTooBig = errors.New("store: value too large")
)

// maxKey is the limit of memcached, the smallest among common caches, in bytes.
const maxKey = 250

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return ErrKey
	}
	return nil
}
