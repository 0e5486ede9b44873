package store

import (
	"context"
	"fmt"
)

// Once calls do unless a call of Once with the same key has already succeeded, as far as the store
// remembers. It is for effects outside of the gateways of messages that may be delivered again. The
// key is that of the message (worker.Message.Key); a handler with several such effects appends a
// word to it. If do fails, Once returns its error and records nothing, so the next delivery tries
// again.
//
//	_, err := store.Once(ctx, seen, m.Key(c), func() error { return transfer(m.Data) })
//
// Once reports whether it has called do. Two concurrent calls with one key may both call do;
// deliveries of one message are never concurrent.
//
// If a worker dies after do and before the key is recorded, the next worker calls do again. A
// Memory does not know what other processes have done. An effect that must never happen twice, such
// as a payment, must pass the key on as an idempotency key to the service that carries it out.
func Once(ctx context.Context, s Store, key string, do func() error) (done bool, err error) {
	if _, known, err := s.Get(ctx, key); known || err != nil {
		return false, err
	}
	if err := do(); err != nil {
		return true, err
	}
	if err := s.Set(ctx, key, []byte{1}); err != nil {
		return true, fmt.Errorf("store: %q is done but could not be recorded: %w", key, err)
	}
	return true, nil
}
