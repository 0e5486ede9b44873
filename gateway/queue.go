package gateway

import (
	"encoding/binary"
	"time"

	"sluice/internal/link"
)

// queue is what no worker has acknowledged of a client's messages, oldest first: copies, as flags u8 · length u32 · payload. Those in front have been sent to
// the client's worker, those behind wait for a worker or for its credit. Its bound is the client's MaxUnacked, past which the client's reads pause; of what
// waits also the loop's HoldBytes, past which messages are refused.
type queue struct {
	records []byte
	first   int       // offset of the oldest record
	unsent  int       // offset of the oldest one that waits
	out     int       // messages that have been sent
	waiting int       // messages that wait
	since   time.Time // when the client began to wait for a worker, the last time that it had none
	next    *queue    // in the free list
}

const recordHeader = 5

// size is in bytes, of a queue or of none.
func (q *queue) size() int {
	if q == nil {
		return 0
	}
	return len(q.records) - q.first
}

// waits reports whether messages wait in the queue, or in none.
func (q *queue) waits() bool { return q != nil && q.waiting > 0 }

// record returns the record at an offset and the offset of the next one.
func (q *queue) record(at int) (payload []byte, flags uint8, next int) {
	next = q.after(at)
	return q.records[at+recordHeader : next], q.records[at], next
}

// after returns the offset behind the record at an offset.
func (q *queue) after(at int) int {
	return at + recordHeader + int(binary.BigEndian.Uint32(q.records[at+1:]))
}

// push puts a message behind all others, as one that waits.
func (q *queue) push(payload []byte, flags uint8) {
	if q.first > len(q.records)/2 { // a queue that never empties must not keep what is gone
		n := copy(q.records, q.records[q.first:])
		q.records = q.records[:n]
		q.unsent -= q.first
		q.first = 0
	}
	b := append(q.records, flags, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(payload)))
	q.records = append(b, payload...)
	q.waiting++
}

// send marks the oldest message that waits as sent.
func (q *queue) send(next int) {
	q.unsent = next
	q.waiting--
	q.out++
}

// pop removes the oldest message, which has been sent and is of n bytes: nothing of it is read, for it may have left the processor's caches long ago. It reports false
// when that cannot have been the oldest one.
func (q *queue) pop(n int) bool {
	q.first += recordHeader + n
	q.out--
	return q.first < q.unsent || q.first == q.unsent && q.out == 0
}

// rewind makes all that was sent wait again, marked as redelivered. It returns how much that is. Where a worker has acknowledged a client's messages in another order than
// theirs nobody can tell what is left: lost is how many messages are given up then.
func (q *queue) rewind() (messages, bytes, lost int) {
	if !q.whole() {
		lost = q.out
		q.first, q.out = q.unsent, 0
	}
	for at := q.first; at < q.unsent; at = q.after(at) {
		q.records[at] |= link.FlagRedelivered
	}
	messages, bytes = q.out, q.unsent-q.first
	q.unsent = q.first
	q.waiting += q.out
	q.out = 0
	return messages, bytes, lost
}

// whole reports whether what was sent is as many messages as are out.
func (q *queue) whole() bool {
	at, n := q.first, 0
	for ; at+recordHeader <= q.unsent; n++ {
		at = q.after(at)
	}
	return at == q.unsent && n == q.out
}

// cut removes all messages that wait. It returns how many and how much that was.
func (q *queue) cut() (messages, bytes int) {
	messages, bytes = q.waiting, len(q.records)-q.unsent
	q.records = q.records[:q.unsent]
	q.waiting = 0
	return messages, bytes
}

// queues is a loop's free list, so that a message costs no allocation.
type queues struct {
	free  *queue
	bytes int // of the buffers in it
	idle  int // the least that bytes has been since the last trim
}

const (
	firstQueue = 512      // bytes of a new queue's buffer
	keptQueue  = 32 << 10 // bytes of the largest buffer kept for later
	keptQueues = 16 << 20 // bytes of the buffers kept for later
)

func (l *queues) take() *queue {
	q := l.free
	if q == nil {
		return &queue{records: make([]byte, 0, firstQueue)}
	}
	l.free, q.next = q.next, nil
	l.bytes -= cap(q.records)
	l.idle = min(l.idle, l.bytes)
	return q
}

func (l *queues) put(q *queue) {
	if n := cap(q.records); n <= keptQueue && l.bytes+n <= keptQueues {
		*q = queue{records: q.records[:0], next: l.free}
		l.free = q
		l.bytes += n
	}
}

// trim gives up half of what has lain idle since the last call.
func (l *queues) trim() {
	for drop := l.idle / 2; drop > 0 && l.free != nil; {
		q := l.free
		l.free = q.next
		l.bytes -= cap(q.records)
		drop -= cap(q.records)
	}
	l.idle = l.bytes
}
