package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxBatch bounds the updates that share one write.
const maxBatch = 1000

// ErrClosed is returned by the calls of a Store that is closed.
var ErrClosed = errors.New("kv: closed")

// queue is the updates that wait to be written. One goroutine writes them. Meanwhile further
// updates wait, and the next write is for all of them.
type queue struct {
	updates chan *update // do waits while it is full; bound: changes of a file
	written chan struct{}

	mu     sync.RWMutex // held for reading while something is sent to updates
	closed bool         // guarded by mu
}

// update is a change that waits to be written.
type update struct {
	ctx  context.Context
	f    func(Tx) error
	err  error
	done chan struct{}
}

func newQueue() *queue {
	return &queue{updates: make(chan *update, maxBatch), written: make(chan struct{})}
}

// do waits until an update has been made and written.
func (q *queue) do(ctx context.Context, f func(Tx) error) error {
	u := &update{ctx: ctx, f: f, done: make(chan struct{})}
	q.mu.RLock()
	if q.closed {
		q.mu.RUnlock()
		return ErrClosed
	}
	q.updates <- u
	q.mu.RUnlock()
	<-u.done
	return u.err
}

// run gives batches of updates to commit, and calls idle at each tick, until close is called.
func (q *queue) run(commit func([]*update), tick <-chan time.Time, idle func()) {
	defer close(q.written)
	for {
		select {
		case <-tick:
			idle()
		case first, ok := <-q.updates:
			if !ok {
				return
			}
			commit(q.batch(first))
		}
	}
}

// batch returns an update and those that wait.
func (q *queue) batch(first *update) []*update {
	batch := []*update{first}
	for len(batch) < maxBatch {
		select {
		case u, ok := <-q.updates:
			if !ok {
				return batch
			}
			batch = append(batch, u)
		default:
			return batch
		}
	}
	return batch
}

// try calls f, unless the update's context has ended: the caller may have been told that it took
// too long.
func (u *update) try(f func() error) {
	if u.err = u.ctx.Err(); u.err == nil {
		u.err = f()
	}
}

// finish ends the updates of a batch. If err is not nil, all of them have failed.
func finish(batch []*update, err error) {
	for _, u := range batch {
		if err != nil {
			u.err = fmt.Errorf("kv: %w", err)
		}
		close(u.done)
	}
}

// close waits until all updates are written.
func (q *queue) close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.updates)
	}
	q.mu.Unlock()
	<-q.written
}
