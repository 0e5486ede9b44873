package record

import "time"

// Batch has the calls of a goroutine that makes one after the other. A goroutine owns it, and may
// pass it on. Init makes it ready.
type Batch struct {
	shard *Shard
	clock *clock
	last  int64 // when the last call ended, or Restart was called
	n     int   // calls[:n] are not flushed yet
	calls [batchSize]call
}

type call struct {
	took int64 // ticks
	code uint32
	id   ID
}

const batchSize = 64

// Init makes a zero Batch add its calls to a shard.
func (b *Batch) Init(s *Shard) { b.shard, b.clock, b.last = s, s.clock, s.clock.now() }

// Restart says that the next call begins now, and not at the end of the last one.
func (b *Batch) Restart() { b.last = b.clock.now() }

// Began returns when the present call began, for Shard.Add.
func (b *Batch) Began() int64 { return b.last }

// Add counts a call that ends now. Code 0 is success.
func (b *Batch) Add(id ID, code uint32) {
	now := b.clock.now()
	b.calls[b.n] = call{now - b.last, code, id}
	b.last = now
	if b.n++; b.n == batchSize {
		b.Flush()
	}
}

// Flush adds the calls to the shard, so that Take finds them.
func (b *Batch) Flush() {
	if b.n == 0 {
		return
	}
	s := b.shard
	s.mu.Lock()
	for i := range b.calls[:b.n] {
		c := &b.calls[i]
		s.add(c.id, time.Duration(toNanoseconds(c.took, s.scale)), c.code)
	}
	s.mu.Unlock()
	b.n = 0
}
