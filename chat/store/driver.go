package store

import (
	"bytes"
	"context"
	"sync"

	"github.com/tidwall/btree"
)

// driver keeps keys and values in the order of the keys.
type driver interface {
	// view calls f with the present state, which does not change meanwhile.
	view(f func(tx) error) error
	// update calls f once, with no other update at the same time, unless ctx ends before. If f
	// returns nil, its changes are kept when update returns nil. If f returns an error or panics, it
	// must not have changed anything before. update does not return before f has, and its changes
	// are written.
	update(ctx context.Context, f func(tx) error) error
	close() error
}

// tx is a view or an update. Slices that it returns are valid until it ends and must not be
// changed. Slices that it is given must not be changed afterwards.
type tx interface {
	get(key []byte) []byte // nil if there is none
	put(key, value []byte)
	del(key []byte)
	// ascend calls f for the keys from key on, in their order, until f returns false. descend does
	// so for the keys before key, the last one first. f must not change anything.
	ascend(key []byte, f func(key, value []byte) bool)
	descend(key []byte, f func(key, value []byte) bool)
}

// memory is a driver in the memory of the process.
type memory struct {
	mu   sync.Mutex
	tree *btree.Map[string, []byte] // guarded by mu; views and updates have copies, which share what is equal
}

func newMemory() *memory { return &memory{tree: btree.NewMap[string, []byte](0)} }

func (m *memory) view(f func(tx) error) error {
	m.mu.Lock()
	tree := m.tree.Copy()
	m.mu.Unlock()
	return f(memoryTx{tree})
}

func (m *memory) update(ctx context.Context, f func(tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	tree := m.tree.Copy()
	err := f(memoryTx{tree})
	if err == nil {
		m.tree = tree
	}
	return err
}

func (m *memory) close() error { return nil }

type memoryTx struct{ tree *btree.Map[string, []byte] }

func (t memoryTx) get(key []byte) []byte {
	value, _ := t.tree.Get(string(key))
	return value
}

func (t memoryTx) put(key, value []byte) { t.tree.Set(string(key), value) }

func (t memoryTx) del(key []byte) { t.tree.Delete(string(key)) }

func (t memoryTx) ascend(key []byte, f func(key, value []byte) bool) {
	t.tree.Ascend(string(key), func(k string, v []byte) bool { return f([]byte(k), v) })
}

func (t memoryTx) descend(key []byte, f func(key, value []byte) bool) {
	t.tree.Descend(string(key), func(k string, v []byte) bool { return k == string(key) || f([]byte(k), v) })
}

// within calls f for the keys with the prefix, in their order, until f returns false. f may change
// keys: the keys are collected before, up to most of them.
func within(t tx, prefix []byte, most int, f func(key, value []byte) bool) {
	type pair struct{ key, value []byte }
	var found []pair
	t.ascend(prefix, func(k, v []byte) bool {
		if !bytes.HasPrefix(k, prefix) || len(found) == most {
			return false
		}
		found = append(found, pair{bytes.Clone(k), bytes.Clone(v)})
		return true
	})
	for _, p := range found {
		if !f(p.key, p.value) {
			return
		}
	}
}
