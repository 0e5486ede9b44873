package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// fileName is the name of the file in the data directory.
const fileName = "chat.db"

// maxBatch bounds the updates that share one write to the disk.
const maxBatch = 1000

var bucket = []byte("chat")

// bolt is a driver in a file. One goroutine makes the updates. While it writes to the disk further
// updates wait, and the next write is for all of them.
type bolt struct {
	db      *bbolt.DB
	updates chan *update // update waits while it is full; bound: changes of the chat's file
	written chan struct{}

	mu     sync.RWMutex // held for reading while something is sent to updates
	closed bool         // guarded by mu
}

// update is a change that waits to be written.
type update struct {
	ctx  context.Context
	f    func(tx) error
	err  error
	done chan struct{}
}

var errClosed = errors.New("store: closed")

// openBolt opens the file in dir, or makes it.
func openBolt(dir string) (*bolt, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	file := filepath.Join(dir, fileName)
	db, err := openFile(file)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: stop it, or use another data directory", file)
	case err != nil && !errors.Is(err, os.ErrPermission) && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s is damaged or is not a file of the chat: move it away, or restore a copy: %w", file, err)
	case err != nil:
		return nil, fmt.Errorf("data directory: %w", err)
	}
	b := &bolt{db: db, updates: make(chan *update, maxBatch), written: make(chan struct{})}
	go b.write()
	return b, nil
}

// openFile opens the database and reads it once. bbolt panics when it finds some kinds of damage,
// and a page that the file lacks is a memory fault.
func openFile(file string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil && db != nil {
			_ = db.Close()
		}
	}()
	db, err = bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(t *bbolt.Tx) error {
		b, err := t.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		return b.ForEach(func(_, _ []byte) error { return nil })
	})
	return db, err
}

func (b *bolt) view(f func(tx) error) error {
	return b.db.View(func(t *bbolt.Tx) error { return try(f, &boltTx{b: t.Bucket(bucket)}) })
}

func (b *bolt) update(ctx context.Context, f func(tx) error) error {
	u := &update{ctx: ctx, f: f, done: make(chan struct{})}
	b.mu.RLock()
	if b.closed {
		b.mu.RUnlock()
		return errClosed
	}
	b.updates <- u
	b.mu.RUnlock()
	<-u.done
	return u.err
}

// write makes the updates until the channel is closed.
func (b *bolt) write() {
	defer close(b.written)
	for first := range b.updates {
		batch := []*update{first}
	more:
		for len(batch) < maxBatch {
			select {
			case u, ok := <-b.updates:
				if !ok {
					break more
				}
				batch = append(batch, u)
			default:
				break more
			}
		}
		b.commit(batch)
	}
}

// commit makes the updates of a batch and writes them to the disk. An update that has returned an
// error has changed nothing. If the disk fails, all of them fail.
func (b *bolt) commit(batch []*update) {
	err := b.db.Update(func(t *bbolt.Tx) error {
		in := &boltTx{b: t.Bucket(bucket)}
		for _, u := range batch {
			if u.err = u.ctx.Err(); u.err == nil { // else the caller may have been told that it took too long
				u.err = try(u.f, in)
			}
		}
		return in.err
	})
	for _, u := range batch {
		if err != nil {
			u.err = fmt.Errorf("store: %w", err)
		}
		close(u.done)
	}
}

// try calls f. A panic or a memory fault becomes an error: the file is damaged.
func try(f func(tx) error, t *boltTx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic: %v", p)
			t.err = err // f may have changed something
		}
	}()
	return f(t)
}

func (b *bolt) close() error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		close(b.updates)
	}
	b.mu.Unlock()
	<-b.written
	return b.db.Close()
}

type boltTx struct {
	b   *bbolt.Bucket
	err error // the first one of a change
}

func (t *boltTx) get(key []byte) []byte { return t.b.Get(key) }

func (t *boltTx) put(key, value []byte) { t.note(t.b.Put(key, value)) }

func (t *boltTx) del(key []byte) { t.note(t.b.Delete(key)) }

func (t *boltTx) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *boltTx) ascend(key []byte, f func(key, value []byte) bool) {
	c := t.b.Cursor()
	for k, v := c.Seek(key); k != nil && f(k, v); k, v = c.Next() {
	}
}

func (t *boltTx) descend(key []byte, f func(key, value []byte) bool) {
	c := t.b.Cursor()
	k, v := c.Seek(key)
	if k == nil {
		k, v = c.Last()
	}
	for k != nil && bytes.Compare(k, key) >= 0 {
		k, v = c.Prev()
	}
	for ; k != nil && f(k, v); k, v = c.Prev() {
	}
}
