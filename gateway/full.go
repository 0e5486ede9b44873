package gateway

import (
	"slices"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/delivery"
)

// Messages from clients wait in queues if they come faster than workers handle them. From
// Config.MaxQueueBytes on, until half of that is free, no further message is decoded of a client
// with a queue, or of one that sends much. Such a client stalls: it is not read, and TCP holds it
// up. No message is rejected. A client that sends little does not stall, nor does one whose worker
// has credit for any message that may come next. Stalled clients continue in the order in which
// they stalled.
//
// While a full window waits for the credit of a link, its clients' messages that are large when
// inflated are not decoded either, because they would only wait in memory.

// lightWork is the work up to which a client counts as one that sends little.
const lightWork = 4 << 10

// stall stops reading the client until the queues are no longer full, or its worker has credit for
// what it sends.
func (s *session) stall() {
	l := s.loop
	s.pause(pausedByQueues)
	if d := s.delivery.Link(); d != nil {
		d.Stalls = true
	}
	if s.turn&stalled != 0 {
		return
	}
	if len(l.stalled) > 2*len(l.sessions) { // most are gone
		l.stalled = slices.DeleteFunc(l.stalled, func(s *session) bool { return s.phase != phaseOpen })
	}
	s.turn |= stalled
	l.stalled = append(l.stalled, s)
}

// resumeStalled reads the stalled clients of a link again, or with nil those of all links. They
// keep their order, so that the last one does not find the queues full each time.
func (l *loop) resumeStalled(k *delivery.Link) {
	kept := l.stalled[:0]
	for _, s := range l.stalled {
		if k != nil && s.delivery.Link() != k && s.phase == phaseOpen {
			kept = append(kept, s)
			continue
		}
		s.turn &^= stalled
		s.resume(pausedByQueues)
	}
	clear(l.stalled[len(kept):])
	l.stalled = kept
}

// mayDecode reports whether the client's next message may be decoded. in is the rest of its input,
// and work was done for it in this turn.
func (s *session) mayDecode(in []byte, work int) bool {
	return !s.loop.book.IsFull() && !s.creditFull() || s.mayAdd(in, work)
}

// creditFull reports whether a full window waits for the credit of the client's link.
func (s *session) creditFull() bool {
	k := s.delivery.Link()
	return k != nil && k.CreditFull()
}

// mayAdd is mayDecode while the queues or the link's credit are full.
func (s *session) mayAdd(in []byte, work int) bool {
	ws, ok := s.codec.(*codec.WebSocket)
	compressed := ok && ws.Compressed(in) // its inflated size is not known
	if s.creditFull() && compressed && s.turn.lastCost() > lightWork {
		return false
	}
	return !s.loop.book.IsFull() ||
		!s.delivery.HasQueue() && (s.isTaken(in, ws, compressed) || s.isLight(in, work, ws, compressed))
}

// isTaken reports whether the worker has credit for the next message, whatever its size.
func (s *session) isTaken(in []byte, ws *codec.WebSocket, compressed bool) bool {
	most := len(in)
	switch {
	case compressed:
		most = s.lis.MaxMessage
	case ws != nil:
		most += ws.Unfinished()
	}
	return s.loop.book.Takes(&s.delivery, most)
}

// isLight reports whether the client sends little.
func (s *session) isLight(in []byte, work int, ws *codec.WebSocket, compressed bool) bool {
	bound := s.loop.g.cfg.MaxQueueBytes
	switch {
	case work+len(in) > lightWork:
		return false
	case compressed:
		return s.turn.lastCost() <= lightWork && s.loop.book.QueuedBytes() <= bound+bound/4
	}
	return ws == nil || ws.Unfinished() <= lightWork
}
