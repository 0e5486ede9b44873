package record

import (
	"math"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// Batch has the calls of a goroutine that makes one after the other. A goroutine owns it, and may
// pass it on. Init makes it ready.
type Batch struct {
	shard *Shard
	clock *clock
	short int64 // calls of fewer ticks are in the first bucket of a histogram
	last  int64 // when the last call ended, or Restart was called
	open  ID    // of short calls that succeed: they are added to the last run; closed: none are
	n     int   // runs[:n] are not flushed yet
	runs  [maxRuns]run
}

// run is calls that are counted together: short ones of the same ID, or one.
type run struct {
	sum, longest int64 // ticks
	calls        uint32
	code         uint32
	id           ID
}

const (
	maxRuns    = 32
	closed  ID = math.MaxUint16
)

// Init makes a zero Batch add its calls to a shard.
func (b *Batch) Init(s *Shard) {
	b.shard, b.clock, b.open, b.last = s, s.clock, closed, s.clock.now()
	b.short = int64(float64(stats.Upper(0)) * sameScale / float64(s.clock.firstScale))
}

// Restart says that the next call begins now, and not at the end of the last one.
func (b *Batch) Restart() { b.last = b.clock.now() }

// Began returns when the present call began, for Shard.Add.
func (b *Batch) Began() int64 { return b.last }

// Add counts a call that ends now. Code 0 is success.
func (b *Batch) Add(id ID, code uint32) {
	now := b.clock.now()
	took := now - b.last
	b.last = now
	if id == b.open && took < b.short && code == 0 {
		r := &b.runs[b.n-1]
		r.calls++
		r.sum += took
		r.longest = max(r.longest, took)
		return
	}
	b.begin(id, took, code)
}

// begin begins a run.
func (b *Batch) begin(id ID, took int64, code uint32) {
	if b.n == maxRuns {
		b.Flush()
	}
	b.runs[b.n] = run{took, took, 1, code, id}
	b.n++
	if b.open = closed; took < b.short && code == 0 {
		b.open = id
	}
}

// Flush adds the calls to the shard, so that Take finds them.
func (b *Batch) Flush() {
	if b.n == 0 {
		return
	}
	s := b.shard
	s.mu.Lock()
	for i := range b.runs[:b.n] {
		r := &b.runs[i]
		longest := time.Duration(toNanoseconds(r.longest, s.scale))
		if r.calls > 1 { // the scale may have changed a little
			longest = min(longest, stats.Upper(0))
		}
		s.add(r.id, uint64(r.calls), max(time.Duration(toNanoseconds(r.sum, s.scale)), longest), longest, r.code)
	}
	s.mu.Unlock()
	b.n, b.open = 0, closed
}
