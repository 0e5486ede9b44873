package gateway

import (
	"encoding/binary"
	"time"
)

// queue holds copies of a client's messages that wait for a worker or its credit, oldest first. A
// record is flags u8 | length u32 | payload. The messages queued and those at the worker together
// are bounded by MaxUnacked, at which the client's reads pause. The queues of a loop together are
// bounded by MaxQueueBytes, and by MaxUnroutedBytes while no worker is there.
type queue struct {
	records []byte    // bound: messages in clients' queues
	first   int       // offset of the oldest record
	waiting int       // number of messages
	since   time.Time // when the client last began to wait for any worker
	next    *queue    // in the free list
}

const recordHeader = 5

// size is the size of the queue in bytes. q may be nil.
func (q *queue) size() int {
	if q == nil {
		return 0
	}
	return len(q.records) - q.first
}

// portion is how many bytes of the queue may be sent at once if the client may have share bytes at
// the worker: at least one message.
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

// push adds a message at the end.
func (q *queue) push(payload []byte, flags uint8) {
	if q.first > len(q.records)/2 { // a queue that is never empty must not keep removed messages
		q.records = q.records[:copy(q.records, q.records[q.first:])]
		q.first = 0
	}
	b := append(q.records, flags, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(payload)))
	q.records = append(b, payload...)
	q.waiting++
}

// pop removes the oldest message, of n bytes.
func (q *queue) pop(n int) {
	q.first += recordHeader + n
	q.waiting--
}

// join adds all messages of another queue at the end.
func (q *queue) join(behind *queue) {
	q.records = append(q.records, behind.records[behind.first:]...)
	q.waiting += behind.waiting
}

// clear removes all messages. It returns their number and size.
func (q *queue) clear() (messages, bytes int) {
	messages, bytes = q.waiting, q.size()
	q.records, q.first, q.waiting = q.records[:0], 0, 0
	return messages, bytes
}

// queues is the free list of a loop, so that a message needs no allocation.
type queues struct {
	free  *queue
	bytes int // size of the buffers in it
	idle  int // smallest value of bytes since the last trim
}

const (
	firstQueue = 512      // initial buffer of a queue, in bytes
	keptQueue  = 32 << 10 // largest buffer in the free list, in bytes
	keptQueues = 16 << 20 // size of all buffers in the free list, in bytes
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

// trim releases half of the buffers that were not used since the last call.
func (l *queues) trim() {
	for drop := l.idle / 2; drop > 0 && l.free != nil; {
		q := l.free
		l.free = q.next
		l.bytes -= cap(q.records)
		drop -= cap(q.records)
	}
	l.idle = l.bytes
}
