// Package kv keeps keys and values in the order of the keys, in the memory of the process or in a
// file. Any goroutine may call the methods of a Store.
package kv

import (
	"bytes"
	"context"
	"sync"

	"github.com/tidwall/btree"
)

// Store keeps keys and values.
type Store interface {
	// View calls f with the present state, which does not change meanwhile.
	View(f func(Tx) error) error
	// Update calls f once, with no other update at the same time, unless ctx ends before. If f
	// returns nil, its changes are kept when Update returns nil. If f returns an error or panics, it
	// must not have changed anything before. Update does not return before f has, and its changes
	// are written.
	Update(ctx context.Context, f func(Tx) error) error
	// Close waits for the updates that are being made. Close must be called once.
	Close() error
}

// Tx is a view or an update. Slices that it returns are valid until it ends and must not be
// changed. Slices that it is given must not be changed afterwards.
type Tx interface {
	Get(key []byte) []byte // nil if there is none
	Put(key, value []byte)
	Delete(key []byte)
	// Ascend calls f for the keys from key on, in their order, until f returns false. Descend does
	// so for the keys before key, the last one first. f must not change anything.
	Ascend(key []byte, f func(key, value []byte) bool)
	Descend(key []byte, f func(key, value []byte) bool)
}

// memory is a Store in the memory of the process.
type memory struct {
	mu   sync.Mutex
	tree *btree.Map[string, []byte] // guarded by mu; views and updates have copies, which share what is equal
}

// NewMemory returns a Store in the memory of the process.
func NewMemory() Store { return &memory{tree: btree.NewMap[string, []byte](0)} }

// View implements Store.
func (m *memory) View(f func(Tx) error) error {
	m.mu.Lock()
	tree := m.tree.Copy()
	m.mu.Unlock()
	return f(memoryTx{tree})
}

// Update implements Store.
func (m *memory) Update(ctx context.Context, f func(Tx) error) error {
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

// Close implements Store.
func (m *memory) Close() error { return nil }

// memoryTx implements Tx.
type memoryTx struct{ tree *btree.Map[string, []byte] }

func (t memoryTx) Get(key []byte) []byte {
	value, _ := t.tree.Get(string(key))
	return value
}

func (t memoryTx) Put(key, value []byte) { t.tree.Set(string(key), value) }

func (t memoryTx) Delete(key []byte) { t.tree.Delete(string(key)) }

func (t memoryTx) Ascend(key []byte, f func(key, value []byte) bool) {
	t.tree.Ascend(string(key), func(k string, v []byte) bool { return f([]byte(k), v) })
}

func (t memoryTx) Descend(key []byte, f func(key, value []byte) bool) {
	t.tree.Descend(string(key), func(k string, v []byte) bool { return k == string(key) || f([]byte(k), v) })
}

// Within calls f for the keys with the prefix, in their order, until f returns false. f may change
// keys: the keys are collected before, up to most of them.
func Within(t Tx, prefix []byte, most int, f func(key, value []byte) bool) {
	type pair struct{ key, value []byte }
	var found []pair
	t.Ascend(prefix, func(k, v []byte) bool {
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
