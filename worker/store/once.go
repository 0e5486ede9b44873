package store

import (
	"context"
	"fmt"
)

// Once calls do, unless a call of it with the same key has returned nil before, as far as the store remembers: for effects outside of the gateways, of messages that may be
// delivered again. The key is the message's (worker.Message.Key), with a word behind it where a handler has several such effects. When do fails its error is returned, nothing
// is noted, and the next delivery tries again.
//
//	_, err := store.Once(ctx, seen, m.Key(c), func() error { return transfer(m.Data) })
//
// It reports whether do was called. Two calls of a key at one time may both call do: deliveries of one message come one after the other. A worker that dies after do and
// before it is noted has the next one do it again, and a Memory knows of this process alone: what must on no account be done twice, such as a payment, takes the key along
// to where it is done, as an idempotency key.
func Once(ctx context.Context, s Store, key string, do func() error) (done bool, err error) {
	if _, known, err := s.Get(ctx, key); known || err != nil {
		return false, err
	}
	if err := do(); err != nil {
		return true, err
	}
	if err := s.Set(ctx, key, []byte{1}); err != nil {
		return true, fmt.Errorf("store: %q is done, and not noted: %w", key, err)
	}
	return true, nil
}
