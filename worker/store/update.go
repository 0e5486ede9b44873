package store

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
)

// updateTries is how often Update tries; together with the pauses it takes three seconds.
const updateTries = 100

// Update sets the value of key to the result of f for the present one, as one atomic step. old is
// nil if there is no value. A nil result deletes the key. If f returns an error, Update returns it
// and nothing has changed. f may keep or change old. It is called again if another goroutine or
// process has changed the key meanwhile; after 100 such calls Update returns ErrConflict.
func Update(ctx context.Context, s Store, key string, ttl time.Duration, f func(old []byte) ([]byte, error)) error {
	for try := range updateTries {
		// A random pause, so that those that compete for a key do not meet again.
		pause := time.Duration(rand.Int64N(int64(backoff.Delay(time.Millisecond, 64*time.Millisecond, try))))
		if try > 1 && !backoff.Sleep(ctx, pause) {
			return ctx.Err()
		}
		old, v, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		value, err := f(old)
		if err != nil {
			return err
		}
		done := value == nil && v == 0 // it has no value, and shall have none
		if value != nil {
			done, err = s.CompareAndSet(ctx, key, v, value, ttl)
		} else if !done {
			done, err = s.CompareAndDelete(ctx, key, v)
		}
		if done || err != nil {
			return err
		}
	}
	return ErrConflict
}
