package record

import (
	"math"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// Shard has a part of the counts of a Recorder.
type Shard struct {
	clock *clock // static

	mu    sync.Mutex // nothing else is locked under it
	scale uint64     // guarded by mu
	cells []*cell    // guarded by mu, by ID; nil: no call yet; bound: pairs of a module and an interface

	_ [80]byte // so that no two shards are in one line of the processors' caches
}

// cell counts the calls of one pair.
type cell struct {
	calls        uint64 // since the last Take
	sum, longest time.Duration
	codes        map[uint32]uint64     // calls that failed; bound: codes of a row
	buckets      [stats.Buckets]uint64 // of stats.Histogram
}

// Add counts a call that began at the given time (Recorder.Now) and ends now. Code 0 is success.
func (s *Shard) Add(id ID, began int64, code uint32) {
	took := s.clock.now() - began
	s.mu.Lock()
	defer s.mu.Unlock()
	d := time.Duration(toNanoseconds(took, s.scale))
	s.add(id, 1, d, d, code)
}

// add counts calls of one bucket: the longest says which. Called with mu.
func (s *Shard) add(id ID, calls uint64, sum, longest time.Duration, code uint32) {
	if int(id) >= len(s.cells) {
		s.grow(id)
	}
	c := s.cells[id]
	if c == nil {
		c = new(cell)
		s.cells[id] = c
	}
	c.calls += calls
	c.buckets[stats.Bucket(int64(longest))] += calls
	if c.sum += sum; c.sum < 0 {
		c.sum = math.MaxInt64
	}
	c.longest = max(c.longest, longest)
	if code != 0 {
		c.fail(code, calls)
	}
}

// grow makes room for the cell of a pair. Called with mu.
func (s *Shard) grow(id ID) {
	for int(id) >= len(s.cells) {
		s.cells = append(s.cells, nil)
	}
}

func (c *cell) fail(code uint32, calls uint64) {
	if c.codes == nil {
		c.codes = make(map[uint32]uint64)
	}
	stats.CountCode(c.codes, code, calls)
}

// take moves the counts of a pair to row.
func (s *Shard) take(id ID, row *stats.Row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(id) >= len(s.cells) || s.cells[id] == nil || s.cells[id].calls == 0 {
		return
	}
	c := s.cells[id]
	failed := uint64(0)
	for code, n := range c.codes {
		row.Fail(code, n)
		failed += n
	}
	row.Count += c.calls
	row.Success += c.calls - failed
	for i, n := range c.buckets {
		if n > 0 {
			row.Latency.AddBucket(i, n, 0, 0)
		}
	}
	row.Latency.AddBucket(0, 0, c.sum, c.longest)
	clear(c.codes)
	*c = cell{codes: c.codes}
}

func (s *Shard) setScale(scale uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scale = scale
}
