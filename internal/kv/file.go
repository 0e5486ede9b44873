package kv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// growBy is by how many bytes a large file grows.
const growBy = 1 << 20

// Errors of Open.
var (
	// ErrInUse is returned for a file that another process has open.
	ErrInUse = errors.New("is in use by another process: stop it, or use another data directory")
	// ErrDamaged is returned for a file that is not a database, or that cannot be read completely.
	ErrDamaged = errors.New("is damaged or is no file of this program")
)

// file is a Store in a file.
type file struct {
	db     *bbolt.DB
	bucket []byte
	fill   float64
	queue  *queue
}

// Config configures a Store in a file. Path and Bucket are required.
type Config struct {
	// Path is the file. It is made if there is none, and so is its directory.
	Path string
	// Bucket is the name of the bucket of the database that the keys are in.
	Bucket string
	// Fill is how full pages of the file are left when one becomes two, 0.1 to 1. More is better for
	// keys that come in their order. Defaults to 0.5.
	Fill float64
	// Visit, if it is not nil, is called with each key and value that is in the file when it is
	// opened. They are valid during the call.
	Visit func(key, value []byte)
}

// Open opens a file. What an Update has changed is on the disk when it returns. Open reads the
// whole file, so that damage is found then.
func Open(cfg Config) (Store, error) {
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o700); err != nil {
		return nil, err
	}
	db, err := openFile(&cfg)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s %w", cfg.Path, ErrInUse)
	case err != nil && !isOfSystem(err):
		return nil, fmt.Errorf("%s %w: %w", cfg.Path, ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	s := &file{
		db: db, bucket: []byte(cfg.Bucket), fill: cmp.Or(cfg.Fill, bbolt.DefaultFillPercent), queue: newQueue(),
	}
	go s.queue.run(s.commit, nil, nil)
	return s, nil
}

// isOfSystem reports whether an error says something about the system, and not about what is in the
// file: no permission, no space, a directory in its place.
func isOfSystem(err error) bool {
	_, ofPath := errors.AsType[*os.PathError](err)
	_, ofCall := errors.AsType[syscall.Errno](err)
	return ofPath || ofCall
}

// openFile opens the database and reads it once. bbolt panics when it finds some kinds of damage,
// and a page that the file lacks is a memory fault.
func openFile(cfg *Config) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		if err != nil && db != nil {
			_ = db.Close()
		}
	}()
	db, err = bbolt.Open(cfg.Path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growBy
	err = db.Update(func(t *bbolt.Tx) error {
		b, err := t.CreateBucketIfNotExists([]byte(cfg.Bucket))
		if err != nil {
			return err
		}
		return b.ForEach(func(key, value []byte) error {
			if cfg.Visit != nil {
				cfg.Visit(key, value)
			}
			return nil
		})
	})
	return db, err
}

// View implements Store.
func (s *file) View(f func(Tx) error) error {
	return s.db.View(func(t *bbolt.Tx) error { return try(f, &fileTx{b: t.Bucket(s.bucket)}) })
}

// Update implements Store.
func (s *file) Update(ctx context.Context, f func(Tx) error) error { return s.queue.do(ctx, f) }

// commit makes the updates of a batch and writes them to the disk. An update that has returned an
// error has changed nothing. If the disk fails, all of them fail.
func (s *file) commit(batch []*update) {
	err := s.db.Update(func(t *bbolt.Tx) error {
		in := &fileTx{b: t.Bucket(s.bucket)}
		in.b.FillPercent = s.fill
		for _, u := range batch {
			u.try(func() error { return try(u.f, in) })
		}
		return in.err
	})
	finish(batch, err)
}

// try calls f. A panic or a memory fault becomes an error: the file is damaged.
func try(f func(Tx) error, t *fileTx) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			t.err = err // f may have changed something
		}
	}()
	return f(t)
}

// Close implements Store.
func (s *file) Close() error {
	s.queue.close()
	return s.db.Close()
}

// fileTx implements Tx.
type fileTx struct {
	b   *bbolt.Bucket
	err error // the first one of a change
}

func (t *fileTx) Get(key []byte) []byte { return t.b.Get(key) }

func (t *fileTx) Put(key, value []byte) { t.note(t.b.Put(key, value)) }

func (t *fileTx) Delete(key []byte) { t.note(t.b.Delete(key)) }

func (t *fileTx) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *fileTx) Ascend(key []byte, f func(key, value []byte) bool) {
	c := t.b.Cursor()
	for k, v := c.Seek(key); k != nil && f(k, v); k, v = c.Next() {
	}
}

func (t *fileTx) Descend(key []byte, f func(key, value []byte) bool) {
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
