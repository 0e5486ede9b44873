package gateway

import (
	"encoding/binary"
	"fmt"
	"time"

	"sluice/internal/link"
)

// queue is a client's messages that wait for a worker, or for its worker's credit, oldest first: copies, as flags u8 · length u32 · payload.
// A nil queue is empty. Its bound is the client's MaxUnacked (past it the client's reads pause) and the loop's HoldBytes (past it messages are refused).
type queue struct {
	records []byte
	taken   int       // of records
	count   int       // messages
	since   time.Time // when the client began to wait for a worker, or the queue began
}

func (q *queue) size() int {
	if q == nil {
		return 0
	}
	return len(q.records) - q.taken
}

func (q *queue) front() (payload []byte, flags uint8) {
	r := q.records[q.taken:]
	n := binary.BigEndian.Uint32(r[1:])
	return r[5 : 5+n], r[0]
}

func (q *queue) push(payload []byte, flags uint8) {
	if q.taken > len(q.records)/2 { // a queue that never empties must not keep what is gone
		q.records = q.records[:copy(q.records, q.records[q.taken:])]
		q.taken = 0
	}
	q.records = append(q.records, flags)
	q.records = binary.BigEndian.AppendUint32(q.records, uint32(len(payload)))
	q.records = append(q.records, payload...)
	q.count++
}

// pop removes the oldest message and returns the bytes that it took.
func (q *queue) pop() int {
	payload, _ := q.front()
	q.taken += 5 + len(payload)
	q.count--
	return 5 + len(payload)
}

// hold lets a message wait. Past the loop's bound it is refused, which the client is told.
func (s *session) hold(payload []byte, flags uint8) {
	l := s.loop
	n := 5 + len(payload)
	if l.held+n > l.g.cfg.HoldBytes {
		l.stats.Refused++
		s.refuse(1)
		return
	}
	if s.queue == nil {
		s.queue = &queue{since: l.el.Now()}
	}
	s.queue.push(payload, flags)
	l.held += n
	l.stats.Held++
	s.wait()
}

// drop removes the oldest message.
func (s *session) drop() {
	q := s.queue
	s.loop.held -= q.pop()
	if q.count == 0 {
		s.queue = nil
	}
}

// expireHeld refuses what has waited for a worker longer than HoldFor. Clients that merely have not been given to a worker go on waiting.
func (l *loop) expireHeld() {
	limit := l.el.Now().Add(-l.g.cfg.HoldFor)
	kept := l.waiting[:0]
	for _, s := range l.waiting {
		if q := s.queue; q != nil && q.since.Before(limit) {
			count := q.count
			s.dropAll()
			if s.phase == phaseOpen {
				s.refuse(count)
				s.throttle()
			}
		}
		if s.queue != nil || s.phase == phaseOpen && !s.attached || s.phase == phaseGone {
			kept = append(kept, s)
		} else {
			s.waiting = false
		}
	}
	clear(l.waiting[len(kept):])
	l.waiting = kept
}

// dropAll refuses all that waits, without a word to the client.
func (s *session) dropAll() {
	if s.queue != nil {
		s.loop.held -= s.queue.size()
		s.loop.stats.Refused += uint64(s.queue.count)
		s.queue = nil
	}
}

// refuse tells the client that messages of its were not taken.
func (s *session) refuse(count int) {
	s.deliver(fmt.Appendf(nil, `{"type":"sluice.refused","code":"no_worker","count":%d}`, count), link.FlagText)
}

// pumpWaiting gives those that wait for any worker to the workers that are there.
func (l *loop) pumpWaiting() {
	list := l.waiting
	l.waiting = nil
	for _, s := range list {
		s.waiting = false
		if !s.pump() {
			s.wait()
		}
	}
}
