package record

import (
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// ID stands for a module and an interface in one Recorder.
type ID uint16

// These are IDs of a Recorder's own module.
const (
	None  ID = 0 // of the interface without a name
	Other ID = 1 // of stats.Other, for which pairs past stats.MaxPairs count
)

// Recorder counts the calls of a process.
type Recorder struct {
	// Static.
	module string
	clock  *clock
	shards []*Shard // bound: none, one for each thread that runs

	pairs atomic.Pointer[map[pair]ID] // never changed in place; bound: pairs of a module and an interface
	next  atomic.Uint32               // the number of shards that were given out

	mu    sync.Mutex // nothing else is locked under it
	names []pair     // guarded by mu, by ID, only appended to; bound: pairs of a module and an interface

	failures failures
}

type pair struct{ module, name string }

// maxShards is how many shards are made at most. With as many as threads run, goroutines hardly
// ever wait for each other.
const maxShards = 16

// New returns a Recorder. The interfaces of its own module that are given get the IDs 2, 3 and so
// on.
func New(module string, interfaces ...string) *Recorder {
	r := &Recorder{module: stats.Name(module), clock: newClock()}
	r.pairs.Store(&map[pair]ID{})
	for range min(runtime.GOMAXPROCS(0), maxShards) {
		r.shards = append(r.shards, &Shard{clock: r.clock, scale: r.clock.scale})
	}
	r.Interface("")
	r.Interface(stats.Other)
	for _, name := range interfaces {
		r.Interface(name)
	}
	return r
}

// ID returns the ID of a module and an interface. Any goroutine may call it.
func (r *Recorder) ID(module, name string) ID {
	if id, known := (*r.pairs.Load())[pair{module, name}]; known {
		return id
	}
	return r.add(pair{stats.Name(module), stats.Name(name)})
}

// add returns the ID of a pair, whose names are clean.
func (r *Recorder) add(p pair) ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.pairs.Load()
	id, ok := known[p]
	if ok {
		return id
	}
	if len(known) == stats.MaxPairs {
		return Other
	}
	id = ID(len(r.names))
	r.names = append(r.names, p)
	known = maps.Clone(known)
	known[p] = id
	r.pairs.Store(&known)
	return id
}

// Interface is ID for an interface of the Recorder's own module.
func (r *Recorder) Interface(name string) ID { return r.ID(r.module, name) }

// Add counts a call that took the given time. Code 0 is success. Any goroutine may call it.
func (r *Recorder) Add(id ID, took time.Duration, code uint32) {
	s := r.shards[rand.IntN(len(r.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(id, 1, max(took, 0), max(took, 0), code)
}

// Shard returns one of the shards: another one for each call, as far as there are.
func (r *Recorder) Shard() *Shard {
	return r.shards[int(r.next.Add(1)-1)%len(r.shards)]
}

// Now returns when a call begins, for Shard.Add.
func (r *Recorder) Now() int64 { return r.clock.now() }

// Take returns what was counted since the last Take: a row for each pair with calls, the failures,
// and the number of those that had no room. Only one goroutine may call it.
func (r *Recorder) Take() (rows []stats.Row, failed []stats.Failure, lost uint64) {
	scale := r.clock.adjust()
	for id, p := range r.pairsSoFar() {
		row := stats.Row{Module: p.module, Interface: p.name}
		for _, s := range r.shards {
			s.take(ID(id), &row)
		}
		if row.Count > 0 {
			rows = append(rows, row)
		}
	}
	for _, s := range r.shards {
		s.setScale(scale)
	}
	list, lost := r.failures.take()
	names := r.pairsSoFar()
	for _, f := range list {
		p := names[f.id]
		failed = append(failed, stats.Failure{
			Time: f.at, Module: p.module, Interface: p.name, Code: f.code, Addr: f.addr, Text: f.text,
		})
	}
	return rows, failed, lost
}

// pairsSoFar returns the pairs by ID.
func (r *Recorder) pairsSoFar() []pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names
}

// Fail adds a failure to the log that Take returns. It does not count the call: the batch or shard
// does. text is called only if the failure has room.
func (r *Recorder) Fail(id ID, code uint32, addr string, text func() string) {
	if r.failures.reserve(id) {
		r.failures.add(failure{time.Now(), id, code, addr, stats.Text(text())})
	}
}
