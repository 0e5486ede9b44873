package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
)

// ErrRunning is returned by Once while another call with the same key runs, or has not ended
// because its worker died.
var ErrRunning = errors.New("store: another call with this key has not ended")

const (
	// OnceTime is how long a call of Once keeps others with its key out: do should end within it.
	OnceTime = time.Minute
	// onceWait is how long Once waits for another call.
	onceWait = 10 * time.Second

	// Values of a key: running and a random word, and that the effect has happened.
	running, finished = "running ", "done"
)

// Once calls do unless a call of Once with the same key has succeeded or runs, as far as the store
// remembers. It is for effects outside of the gateways of messages that may be delivered again. The
// key is that of the message (worker.Message.Key); a handler with several such effects appends a
// word to it.
//
//	done, err := store.Once(ctx, seen, m.Key(c), func() error { return transfer(m.Data) })
//	if err != nil && !done {
//		return worker.Retry(err)
//	}
//
// Once reports whether it has called do, and do returned nil.
//
//   - If do fails, Once returns its error and forgets the key, so the next delivery tries again.
//   - If another call with the key runs, Once waits up to ten seconds for its end. Then it returns
//     ErrRunning.
//   - If a worker dies in do, the key stays for OnceTime. Once returns ErrRunning meanwhile, and
//     nobody knows whether the effect has happened. After that time Once calls do again.
//   - If the store is away before do, do is not called (ErrUnavailable). If it is away after do,
//     the error says that the effect could not be recorded, and done is true.
//
// So within OnceTime the effect happens at most once. It happens again if the store forgets the
// key: a Memory does not know what other processes have done, Redis may lose its last second,
// memcached evicts. An effect that must never happen twice, such as a payment, must pass the key on
// as an idempotency key to the service that carries it out.
func Once(ctx context.Context, s Store, key string, do func() error) (done bool, err error) {
	claim := []byte(running + rand.Text())
	if mine, err := take(ctx, s, key, claim); !mine || err != nil {
		return false, err
	}
	// What has happened is recorded even if ctx ends meanwhile; the store bounds the time for it.
	record := context.WithoutCancel(ctx)
	defer func() {
		if !done { // also if do panics or ends its goroutine
			gone := Update(record, s, key, OnceTime, func(old []byte) ([]byte, error) {
				if bytes.Equal(old, claim) {
					return nil, nil
				}
				return old, nil // of another call, since this one took longer than OnceTime
			})
			if gone != nil {
				err = fmt.Errorf("%w; and the store keeps the key for a while: %w", err, gone)
			}
		}
	}()
	if err := do(); err != nil {
		return false, err
	}
	done = true
	if err := s.Set(record, key, []byte(finished), 0); err != nil {
		return true, fmt.Errorf("store: %q is done but could not be recorded: %w", key, err)
	}
	return true, nil
}

// take makes the key this call's. mine is false if the effect has happened already.
func take(ctx context.Context, s Store, key string, claim []byte) (mine bool, err error) {
	for try, end := 1, time.Now().Add(onceWait); ; try++ {
		if mine, err := s.Add(ctx, key, claim, OnceTime); mine || err != nil {
			return mine, err
		}
		value, v, err := s.Get(ctx, key)
		if err != nil || v != 0 && !bytes.HasPrefix(value, []byte(running)) {
			return false, err
		}
		if !time.Now().Before(end) {
			return false, ErrRunning
		}
		if !backoff.Sleep(ctx, backoff.Delay(5*time.Millisecond, 500*time.Millisecond, try)) {
			return false, ctx.Err()
		}
	}
}
