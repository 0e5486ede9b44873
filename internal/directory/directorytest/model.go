package directorytest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Clock is the time of a Model: that of the Store, or one that a test moves.
type Clock interface {
	Now() time.Time
	Sleep(d time.Duration)
}

// Model plays one random schedule against a Store, which may have data of other schedules. Actors
// claim, renew, write and free rows, enter and leave sets and read them. They freeze for longer
// than a lease, their clocks run at half to twice the speed, their network loses calls and answers
// or delays calls, and the Store loses its data. The model checks after each step that
//
//   - an epoch has one owner, and a later owner of a row has a larger epoch, also after a flush;
//   - at most one actor believes that it owns a row, unless the Store has lost its data meanwhile;
//   - each value was written with knowledge of the one before it;
//   - no actor has a set cached that lacks a gateway which has entered and stayed;
//
// and at the end that a watcher has the last state. The same seed plays the same steps; with a
// Clock of its own the whole schedule is the same.
func Model(t *testing.T, seed uint64, s Store, clock Clock, lease time.Duration, steps int) {
	t.Helper()
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 21)), store: s, clock: clock, lease: lease, seed: seed,
		owners: make(map[uint64]string), last: make(map[string]uint64), written: make(map[string]string),
	}
	for i := range 2 + m.rng.IntN(3) {
		m.actors = append(m.actors, &actor{
			m: m, name: fmt.Sprintf("actor %d", i), d: s.Client(t), speed: 0.5 + 1.5*m.rng.Float64(),
			held: make(map[string]*holding), cached: make(map[directory.Set]cached), member: directory.Member{
				Gateway: uint32(i), Epoch: uint64(i) + 1}, in: make(map[directory.Set]bool),
		})
	}
	for range 1 + m.rng.IntN(2) {
		m.keys = append(m.keys, fmt.Sprintf("room%d/%d", seed, len(m.keys)))
		m.sets = append(m.sets, directory.Set{Kind: directory.Group, Name: fmt.Sprintf("%d.%d", seed, len(m.sets))})
	}
	for m.step = range steps {
		m.play()
		m.check()
		if t.Failed() {
			return
		}
	}
	m.watch()
}

type model struct {
	t      *testing.T
	rng    *rand.Rand
	store  Store
	clock  Clock
	lease  time.Duration
	seed   uint64
	step   int
	actors []*actor
	keys   []string
	sets   []directory.Set
	late   []func() // calls that were sent and have not arrived

	owners  map[uint64]string // of each epoch of the rows
	last    map[string]uint64 // epoch of each row
	written map[string]string // value of each row
	flushed time.Time
}

// actor is a process with a directory of its own.
type actor struct {
	m      *model
	name   string
	runs   int // another one has another name
	d      directory.Directory
	speed  float64 // of its clock
	frozen time.Time
	cut    bool // its network loses calls
	member directory.Member
	held   map[string]*holding // what it believes to own
	in     map[directory.Set]bool
	cached map[directory.Set]cached
}

type holding struct {
	row  directory.Row
	sent time.Time // the last renewal that succeeded
}

type cached struct {
	members []directory.Member
	sent    time.Time
}

func (m *model) errorf(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("seed %d, step %d: %s", m.seed, m.step, fmt.Sprintf(format, args...))
}

func (a *actor) owner() string { return fmt.Sprintf("%s.%d", a.name, a.runs) }

// passed returns how much time has passed on the actor's clock.
func (a *actor) passed(since time.Time) time.Duration {
	return time.Duration(float64(a.m.clock.Now().Sub(since)) * a.speed)
}

func (a *actor) believes(key string) bool {
	h := a.held[key]
	return h != nil && a.passed(h.sent) < a.m.lease/2
}

// send makes a call over the actor's network. It reports whether the answer has come.
func (a *actor) send(call func()) bool {
	if !a.cut {
		call()
		return true
	}
	switch a.m.rng.IntN(3) {
	case 0: // the call is lost
	case 1: // the answer is lost
		call()
	case 2: // the call is delayed, and nobody waits for its answer
		a.m.late = append(a.m.late, call)
	}
	return false
}

// play makes one random step.
func (m *model) play() {
	a := m.actors[m.rng.IntN(len(m.actors))]
	key, set := m.keys[m.rng.IntN(len(m.keys))], m.sets[m.rng.IntN(len(m.sets))]
	frozen := m.clock.Now().Before(a.frozen)
	switch n := m.rng.IntN(100); {
	case n < 15:
		longest := m.lease / 8
		if m.rng.IntN(4) == 0 {
			longest = m.lease * 3 / 2
		}
		m.clock.Sleep(time.Duration(m.rng.Int64N(int64(longest))))
	case n < 19:
		a.frozen = m.clock.Now().Add(time.Duration(m.rng.Int64N(3 * int64(m.lease))))
	case n < 25:
		a.cut = !a.cut
	case n < 33 && len(m.late) > 0:
		i := m.rng.IntN(len(m.late))
		call := m.late[i]
		m.late = slices.Delete(m.late, i, i+1)
		call()
	case n == 33:
		m.flush()
	case n < 34 || frozen:
	case n < 52:
		a.claim(key)
	case n < 66:
		a.renew(key)
	case n < 76:
		a.put(key)
	case n < 82:
		a.release(key)
	case n < 88:
		a.enter(set)
	case n < 92:
		a.leave(set)
	default:
		a.locate(set)
	}
}

// flush loses the data. Actors notice it as they notice another generation.
func (m *model) flush() {
	m.store.Flush(m.t)
	m.flushed = m.clock.Now()
	clear(m.written)
	for _, a := range m.actors {
		clear(a.cached)
		for set := range a.in {
			must(a.d.Enter(m.ctx(), a.member, []directory.Set{set}))(m.t)
		}
	}
}

func (m *model) ctx() context.Context { return m.t.Context() }

func (a *actor) claim(key string) {
	m, sent := a.m, a.m.clock.Now()
	owner := a.owner()
	var row directory.Row
	var err error
	answered := a.send(func() {
		if row, err = a.d.Claim(m.ctx(), key, owner, m.lease, nil); err != nil {
			want(m.t, "claim", err, directory.ErrHeld)
			return
		}
		if before := m.owners[row.Epoch]; before != "" && before != owner {
			m.errorf("epoch %d of %s was %s's", row.Epoch, owner, before)
		}
		if row.Epoch < m.last[key] || m.owners[row.Epoch] == "" && row.Epoch == m.last[key] {
			m.errorf("epoch %d of %s after %d", row.Epoch, key, m.last[key])
		}
		m.owners[row.Epoch], m.last[key] = owner, row.Epoch
	})
	if answered && err == nil {
		a.held[key] = &holding{row, sent}
	}
}

func (a *actor) renew(key string) {
	m, h, owner, sent := a.m, a.held[key], a.owner(), a.m.clock.Now()
	if h == nil {
		return
	}
	epoch := h.row.Epoch
	var err error
	answered := a.send(func() { err = a.d.Renew(m.ctx(), key, owner, epoch, m.lease) })
	switch {
	case answered && err == nil:
		h.sent = sent
	case answered:
		delete(a.held, key)
		if !errors.Is(err, directory.ErrLost) && !errors.Is(err, directory.ErrNone) {
			m.errorf("renewal: %v", err)
		}
	}
}

// put writes a value that says which value the actor knew.
func (a *actor) put(key string) {
	m, h, owner := a.m, a.held[key], a.owner()
	if h == nil {
		return
	}
	value, row := fmt.Sprintf("%s at %d", a.name, m.step), h.row
	var version uint64
	var err error
	answered := a.send(func() {
		version, err = a.d.Put(m.ctx(), key, owner, row.Epoch, row.Version, []byte(value))
		switch {
		case err == nil && m.written[key] != string(row.Value):
			m.errorf("%s wrote over %q, and knew %q", a.name, m.written[key], row.Value)
		case err == nil && version != row.Version+1:
			m.errorf("version %d after %d", version, row.Version)
		case err == nil:
			m.written[key] = value
		}
	})
	switch {
	case answered && err == nil:
		h.row.Version, h.row.Value = version, []byte(value)
	case answered && errors.Is(err, directory.ErrConflict):
		if row, err := a.d.Get(m.ctx(), key); err == nil && row.Epoch == h.row.Epoch {
			h.row = row
		}
	}
}

// release frees a row. The actor's next claims are those of another owner, because the call may
// arrive later.
func (a *actor) release(key string) {
	m, h, owner := a.m, a.held[key], a.owner()
	if h == nil {
		return
	}
	epoch := h.row.Epoch
	clear(a.held)
	a.runs++
	a.send(func() { _ = a.d.Release(m.ctx(), key, owner, epoch) })
}
