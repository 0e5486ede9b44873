package delivery

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Queue holds copies of a client's messages that wait for a worker or its credit, oldest first. A
// record is flags u8 | length u32 | payload. The messages queued and those at the worker together
// are bounded by MaxUnacked, at which the client's reads pause. The queues of a loop together are
// bounded by MaxQueueBytes, and by MaxUnroutedBytes while no worker is there.
//
// A Queue also has the runs of a client's events in flight, except for the oldest run.
type Queue struct {
	records     []byte // bound: messages in clients' queues
	first       int    // offset of the oldest record
	waiting     int    // number of messages
	redelivered int    // how many of them are marked as redelivered; they are the oldest
	behind      *Queue // messages that follow, until the requeued ones are complete; nil: none
	requeued    bool   // messages of a link that has ended are being put here
	runs        []run  // bound: messages a worker has not acknowledged
	firstRun    int    // the runs before it are acknowledged
	runBytes    uint32 // bytes of the events in runs
	next        *Queue // in the free list
}

const recordHeader = 5

// Size returns the size of the queue in bytes. q may be nil.
func (q *Queue) Size() int {
	if q == nil {
		return 0
	}
	return len(q.records) - q.first
}

// held is the number of messages. q may be nil.
func (q *Queue) held() int {
	if q == nil {
		return 0
	}
	return q.waiting
}

// portion is how many bytes of the queue may be sent at once if the client may have share bytes at
// the worker: at least one message.
func (q *Queue) portion(share int) int {
	if q.held() == 0 {
		return 0
	}
	payload, _ := q.oldest()
	return max(recordHeader+len(payload), min(q.Size(), share))
}

// oldest returns the oldest message.
func (q *Queue) oldest() (payload []byte, flags uint8) {
	r := q.records[q.first:]
	return r[recordHeader : recordHeader+binary.BigEndian.Uint32(r[1:])], r[0]
}

// push adds a message at the end.
func (q *Queue) push(payload []byte, flags uint8) {
	if q.first > len(q.records)/2 { // a queue that is never empty must not keep removed messages
		q.records = q.records[:copy(q.records, q.records[q.first:])]
		q.first = 0
	}
	b := append(q.records, flags, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(payload)))
	q.records = append(b, payload...)
	q.waiting++
	if flags&link.FlagRedelivered != 0 {
		q.redelivered++
	}
}

// pop removes the oldest message, of n bytes.
func (q *Queue) pop(n int) {
	if q.records[q.first]&link.FlagRedelivered != 0 {
		q.redelivered--
	}
	q.first += recordHeader + n
	q.waiting--
}

// join adds all messages of another queue at the end.
func (q *Queue) join(behind *Queue) {
	q.records = append(q.records, behind.records[behind.first:]...)
	q.waiting += behind.waiting
	q.redelivered += behind.redelivered
}

// clear removes all messages. It returns their number and size.
func (q *Queue) clear() (messages, bytes int) {
	messages, bytes = q.waiting, q.Size()
	q.records, q.first, q.waiting, q.redelivered = q.records[:0], 0, 0, 0
	return messages, bytes
}

// queues is the free list of a loop, so that a message needs no allocation.
type queues struct {
	free  *Queue
	bytes int // size of the buffers in it
	idle  int // smallest value of bytes since the last trim
}

const (
	firstQueue = 512      // initial buffer of a queue, in bytes
	keptQueue  = 32 << 10 // largest buffer in the free list, in bytes
	keptRuns   = 128      // most runs that such a queue has room for
	keptQueues = 16 << 20 // size of all buffers in the free list, in bytes
)

func (l *queues) take() *Queue {
	q := l.free
	if q == nil {
		return &Queue{records: make([]byte, 0, firstQueue)}
	}
	l.free, q.next = q.next, nil
	l.bytes -= cap(q.records)
	l.idle = min(l.idle, l.bytes)
	return q
}

func (l *queues) put(q *Queue) {
	if n := cap(q.records); n <= keptQueue && l.bytes+n <= keptQueues && cap(q.runs) <= keptRuns {
		*q = Queue{records: q.records[:0], runs: q.runs[:0], next: l.free}
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
