package gateway

import (
	"encoding/binary"
	"time"
)

// queue is what waits of a client's messages for a worker or for its credit, oldest first: copies, as flags u8 · length u32 · payload. Together with what a worker has and
// has not acknowledged its bound is the client's MaxUnacked, past which the client's reads pause; by itself also the loop's MaxUnroutedBytes, past which messages are refused.
type queue struct {
	records []byte    // bound: messages in clients' queues
	first   int       // offset of the oldest record
	waiting int       // messages
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

// portion is how much of it may be sent at once, of so many bytes that a client may have out: one
// message at least.
func (q *queue) portion(share int) int {
	if q == nil {
		return 0
	}
	payload, _ := q.oldest()
	return max(recordHeader+len(payload), min(q.size(), share))
}

// oldest returns the oldest message.
func (q *queue) oldest() (payload []byte, flags uint8) {
	r := q.records[q.first:]
	return r[recordHeader : recordHeader+binary.BigEndian.Uint32(r[1:])], r[0]
}

// push puts a message behind all others.
func (q *queue) push(payload []byte, flags uint8) {
	if q.first > len(q.records)/2 { // a queue that never empties must not keep what is gone
		q.records = q.records[:copy(q.records, q.records[q.first:])]
		q.first = 0
	}
	b := append(q.records, flags, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(payload)))
	q.records = append(b, payload...)
	q.waiting++
}

// pop removes the oldest message, which is of n bytes.
func (q *queue) pop(n int) {
	q.first += recordHeader + n
	q.waiting--
}

// join puts all messages of another queue behind those of this one.
func (q *queue) join(behind *queue) {
	q.records = append(q.records, behind.records[behind.first:]...)
	q.waiting += behind.waiting
}

// clear removes all messages. It returns how many and how much that was.
func (q *queue) clear() (messages, bytes int) {
	messages, bytes = q.waiting, q.size()
	q.records, q.first, q.waiting = q.records[:0], 0, 0
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
