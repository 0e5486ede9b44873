// Package store keeps what the business of a worker wants to remember for a
// while: the last messages of a room, answers it need not work out again, ids
// it has seen. Memory is the driver that needs no other machine.
//
// A Store is a cache. It may forget any key at any time, for want of space or
// because a process ended, without a word to whoever set it; only its Stats
// tell. So it holds what can be fetched, computed or done without, and never
// who is connected, in which group, or what a session's attributes are: that
// is asked of the gateways, who know.
package store

import (
	"context"
	"errors"
)

// Store maps keys of 1 to 250 bytes to values. It is safe for use by many
// goroutines. Values are copied in and out.
type Store interface {
	// Get returns the value of key, and false when there is none.
	Get(ctx context.Context, key string) (value []byte, ok bool, err error)
	// Set gives key a value and its whole time to live. An error leaves everything as it was.
	Set(ctx context.Context, key string, value []byte) error
	// Delete takes key away. It is no error when there is none.
	Delete(ctx context.Context, key string) error
	// Update gives key the value that f makes of its present one, and nobody
	// changes it in between. old is nil when there is none; a nil result
	// deletes the key; an error leaves everything as it was and is returned.
	// f must not use the store, may be called more than once, and may keep or
	// change old.
	Update(ctx context.Context, key string, f func(old []byte) ([]byte, error)) error
}

var (
	// ErrKey is returned when a key is empty or longer than 250 bytes.
	ErrKey = errors.New("store: key is not of 1 to 250 bytes")
	// ErrTooBig is returned when a value is larger than the store takes.
	ErrTooBig = errors.New("store: value too big")
)

// maxKey is what memcached takes, the least of the usual drivers.
const maxKey = 250

func checkKey(key string) error {
	if key == "" || len(key) > maxKey {
		return ErrKey
	}
	return nil
}
