package kv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/btree"
)

// lookEvery is how often a shared Store that is not used looks at the Remote.
const lookEvery = time.Second

// ErrConflict is returned by an update of a shared Store during which another process has changed
// something. Nothing was changed, and the update can be made again.
var ErrConflict = errors.New("kv: another process has made a change at the same time")

// Remote is outside the process. It keeps keys, values and a head: a text that says what was
// written last. Its methods are called by one goroutine. Each has a time limit of its own.
type Remote interface {
	// Head returns the head. It is empty if there is nothing.
	Head() (head string, err error)
	// Load calls put with each key and value, and returns their head. If somebody changes something
	// meanwhile, it returns ErrConflict, or begins anew after a call of reset.
	Load(reset func(), put func(key, value string)) (head string, err error)
	// Change makes the changes, of which the nil ones remove a key, and sets the head to to, if it is
	// from. Otherwise it returns ErrConflict.
	Change(from, to string, changes map[string][]byte) error
	// Replace is like Change, and replaces all keys by those that walk gives.
	Replace(from, to string, walk func(put func(key string, value []byte))) error
}

// shared is a Store that several processes have, one at a time as a rule. Each that uses it has a
// copy of everything, and compares its head with that of the Remote before it reads. What it writes
// it writes only to the head that it knows. So two processes cannot overwrite each other.
type shared struct {
	// Static after Share.
	remote Remote
	log    *slog.Logger
	queue  *queue
	owner  string // begins the heads that this process writes; their numbers grow

	// Owned by the goroutine of the queue.
	version         // the copy, bounded by its user; without a tree: there is none
	base    string  // the head with which the copy was loaded; nobody else has written since
	unsure  version // what a change would have made of it that has failed, and may have been made
	number  uint64  // of the latest head of this process
}

// version is everything that is kept at one moment.
type version struct {
	tree *btree.Map[string, []byte]
	head string
}

// Share returns a Store of what a Remote keeps. Nothing is read before the first call, and a
// process that does not use its Store forgets its copy when another one changes something.
//
// If the Remote has lost what was written last, or everything, a process that has it writes it
// again.
func Share(r Remote, log *slog.Logger) Store {
	s := &shared{remote: r, log: log, queue: newQueue(), owner: rand.Text() + "."}
	tick := time.NewTicker(lookEvery)
	go func() {
		defer tick.Stop()
		s.queue.run(s.commit, tick.C, s.look)
	}()
	return s
}

// View implements Store.
func (s *shared) View(f func(Tx) error) error { return s.queue.do(context.Background(), f) }

// Update implements Store.
func (s *shared) Update(ctx context.Context, f func(Tx) error) error { return s.queue.do(ctx, f) }

// Close implements Store.
func (s *shared) Close() error {
	s.queue.close()
	return nil
}

// commit makes the updates and views of a batch and writes the changes.
func (s *shared) commit(batch []*update) { finish(batch, s.make(batch)) }

func (s *shared) make(batch []*update) error {
	if err := s.refresh(); err != nil {
		return err
	}
	in := &sharedTx{memoryTx: memoryTx{s.tree.Copy()}, changes: make(map[string][]byte)}
	for _, u := range batch {
		u.try(func() error { return in.try(u.f) })
	}
	if in.err != nil || len(in.changes) == 0 {
		return in.err
	}
	to := version{in.tree, s.next()}
	err := s.remote.Change(s.head, to.head, in.changes)
	switch {
	case err == nil:
		s.version, s.unsure = to, version{}
	case !errors.Is(err, ErrConflict):
		s.unsure = to
	}
	return err
}

// next returns a head of this process.
func (s *shared) next() string {
	s.number++
	return s.owner + strconv.FormatUint(s.number, 10)
}

// refresh makes the copy equal to what the Remote has.
func (s *shared) refresh() error {
	if s.tree != nil {
		if same, err := s.compare(); same || err != nil {
			return err
		}
	}
	return s.load()
}

// compare reports whether the copy is what the Remote has. It writes what the Remote has lost.
func (s *shared) compare() (same bool, err error) {
	head, err := s.remote.Head()
	if err != nil {
		return false, err
	}
	if s.unsure.tree != nil && head == s.unsure.head {
		s.version, s.unsure = s.unsure, version{}
	}
	switch {
	case head == s.head:
		return true, nil
	case s.lost(head):
		return true, s.restore(head)
	}
	return false, nil
}

// lost reports whether a Remote with this head lacks something that the copy has. Then its head is
// an earlier one of this process, or the one with which the copy was loaded, so nobody else has
// written since, or there is none.
func (s *shared) lost(head string) bool {
	return head == "" || head == s.base || strings.HasPrefix(head, s.owner)
}

func (s *shared) restore(head string) error {
	to := version{s.tree, s.next()}
	err := s.remote.Replace(head, to.head, func(put func(key string, value []byte)) {
		s.tree.Scan(func(k string, v []byte) bool { put(k, v); return true })
	})
	if err != nil {
		if !errors.Is(err, ErrConflict) {
			s.unsure = to
		}
		return err
	}
	s.log.Warn("data that the directory had lost was written again", "keys", s.tree.Len())
	s.version, s.unsure = to, version{}
	return nil
}

// load reads everything. If there is nothing, a process that has a copy gets the time to write it.
func (s *shared) load() error {
	began := time.Now()
	s.version, s.unsure = version{}, version{}
	for {
		tree := btree.NewMap[string, []byte](0)
		head, err := s.remote.Load(tree.Clear, func(key, value string) { tree.Set(key, []byte(value)) })
		if err != nil {
			return err
		}
		if head == "" && time.Since(began) < 2*lookEvery {
			time.Sleep(lookEvery / 10)
			continue
		}
		s.log.Info("data read from the directory", "keys", tree.Len(), "took", time.Since(began).Round(time.Millisecond))
		s.version, s.base = version{tree, head}, head
		return nil
	}
}

// look restores what was lost while nobody uses the Store, and forgets the copy if another process
// has changed something. An error is that of the next call, too.
func (s *shared) look() {
	if s.tree == nil {
		return
	}
	if same, err := s.compare(); !same && err == nil {
		s.version, s.unsure = version{}, version{}
		s.log.Info("another process uses the data now")
	}
}

// sharedTx implements Tx.
type sharedTx struct {
	memoryTx
	changes map[string][]byte // nil: removed; bound: changes of a file
	err     error             // of a panic
}

// Put implements Tx.
func (t *sharedTx) Put(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	t.memoryTx.Put(key, value)
	t.changes[string(key)] = value
}

// Delete implements Tx.
func (t *sharedTx) Delete(key []byte) {
	t.memoryTx.Delete(key)
	t.changes[string(key)] = nil
}

// try calls f. A panic becomes an error: a value is damaged.
func (t *sharedTx) try(f func(Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			t.err = err // f may have changed something
		}
	}()
	return f(t)
}
