// Package kvtest has a kv.Remote in memory that tests can make fail and forget, and the contract
// test of all of them.
package kvtest

import (
	"errors"
	"maps"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

// ErrDown is what a Remote returns that is down.
var ErrDown = errors.New("kvtest: down")

// Remote is a kv.Remote in memory. Any goroutine may call its methods.
type Remote struct {
	mu    sync.Mutex
	state                                 // guarded by mu
	down  bool                            // guarded by mu
	next  func(change func() error) error // guarded by mu
}

// state is what a Remote keeps.
type state struct {
	head string
	keys map[string]string
}

// NewRemote returns an empty Remote.
func NewRemote() *Remote { return &Remote{state: state{keys: make(map[string]string)}} }

// Down makes all calls fail, or work again.
func (r *Remote) Down(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// NextChange makes the next call of Change call f instead, with what it would have done.
func (r *Remote) NextChange(f func(change func() error) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = f
}

// Save returns a function that makes the Remote what it is now: it loses what came after.
func (r *Remote) Save() (lose func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	saved := state{r.head, maps.Clone(r.keys)}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.state = state{saved.head, maps.Clone(saved.keys)}
	}
}

// Head implements kv.Remote.
func (r *Remote) Head() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return "", ErrDown
	}
	return r.head, nil
}

// Load implements kv.Remote.
func (r *Remote) Load(_ func(), put func(key, value string)) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return "", ErrDown
	}
	for k, v := range r.keys {
		put(k, v)
	}
	return r.head, nil
}

// Change implements kv.Remote.
func (r *Remote) Change(from, to string, changes map[string][]byte) error {
	r.mu.Lock()
	next := r.next
	r.next = nil
	r.mu.Unlock()
	if next != nil {
		return next(func() error { return r.change(from, to, changes) })
	}
	return r.change(from, to, changes)
}

func (r *Remote) change(from, to string, changes map[string][]byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refuse(from); err != nil {
		return err
	}
	r.head = to
	for k, v := range changes {
		if r.keys[k] = string(v); v == nil {
			delete(r.keys, k)
		}
	}
	return nil
}

// Replace implements kv.Remote.
func (r *Remote) Replace(from, to string, walk func(put func(key string, value []byte))) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refuse(from); err != nil {
		return err
	}
	r.state = state{to, make(map[string]string)}
	walk(func(key string, value []byte) { r.keys[key] = string(value) })
	return nil
}

// refuse returns why nothing can be changed by who knows the head from. Called with mu.
func (r *Remote) refuse(from string) error {
	switch {
	case r.down:
		return ErrDown
	case r.head != from:
		return kv.ErrConflict
	}
	return nil
}
