package gateway

import (
	"slices"

	"github.com/seed-7410fe32/sluice/codec"
)

// What clients have sent waits in their queues when it comes faster than workers take it. Past
// Config.MaxQueueBytes no further message is decoded of a client of which one waits, or that sends
// much, until half of that is free: it is not read, and TCP holds it up. Nothing is refused. A
// client that sends little is not held up by what the others send, nor is one whose worker has
// credit for whatever it may send next. Those that are held up go on in the order in which they came.
//
// Messages of a client that are large when inflated are not decoded either while a whole window
// waits for the credit of its link: there is no use in inflating what then waits.

// lightWork is the work up to which a client is one that sends little.
const lightWork = 4 << 10

// checkQueues is called when more waits in queues, or less.
func (l *loop) checkQueues() {
	switch bound := l.g.cfg.MaxQueueBytes; {
	case !l.queuesFull && l.queuedBytes > bound:
		l.queuesFull = true
		l.stats.QueueFull++
	case l.queuesFull && l.queuedBytes <= bound/2:
		l.queuesFull = false
		l.resumeStalled(nil)
	}
}

// checkCreditFull is called when more waits for the link's credit, or less.
func (k *workerLink) checkCreditFull() {
	switch bound, waiting := k.window, k.waiting.small.bytes; {
	case !k.creditFull && waiting > bound:
		k.creditFull = true
	case k.creditFull && waiting <= bound/2:
		k.creditFull = false
		if !k.loop.queuesFull { // else those that have stalled would do so again
			k.loop.resumeStalled(k)
		}
	}
}

// stall has a client wait, behind those that wait already, until the queues are not full any more or
// its worker takes at once what it sends.
func (s *session) stall() {
	l := s.loop
	s.pause(pausedByQueues)
	if s.link != nil {
		s.link.stalls = true
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

// resumeStalled has the clients of a link, or with nil all, that have stalled read on, in the order in which
// they came: who comes last must not find the queues full each time.
func (l *loop) resumeStalled(k *workerLink) {
	kept := l.stalled[:0]
	for _, s := range l.stalled {
		if k != nil && s.link != k && s.phase == phaseOpen {
			kept = append(kept, s)
			continue
		}
		s.turn &^= stalled
		s.resume(pausedByQueues)
	}
	clear(l.stalled[len(kept):])
	l.stalled = kept
}

// mayDecode reports whether a client may be decoded, of whose input in is left after so much work
// for it.
func (s *session) mayDecode(in []byte, work int) bool {
	return !s.loop.queuesFull && (s.link == nil || !s.link.creditFull) || s.mayAdd(in, work)
}

// mayAdd is mayDecode where much waits.
func (s *session) mayAdd(in []byte, work int) bool {
	l, ahead := s.loop, s.link != nil && s.link.creditFull
	ws, ok := s.codec.(*codec.WebSocket)
	compressed := ok && ws.Compressed(in) // nobody knows what is in it
	if ahead && compressed && s.turn.lastCost() > lightWork {
		return false
	}
	return !l.queuesFull || s.queue == nil && (s.isTaken(in, ws, compressed) || s.isLight(in, work, ws, compressed))
}

// isTaken reports whether the client's worker has credit for whatever the next message is.
func (s *session) isTaken(in []byte, ws *codec.WebSocket, compressed bool) bool {
	most := len(in)
	switch {
	case compressed:
		most = s.lis.MaxMessage
	case ws != nil:
		most += ws.Unfinished()
	}
	return !s.isSuspect() && s.attach() && s.link.fitsUpTo(most) && s.link.allows(s, most)
}

// isLight reports whether the client sends little.
func (s *session) isLight(in []byte, work int, ws *codec.WebSocket, compressed bool) bool {
	bound := s.loop.g.cfg.MaxQueueBytes
	switch {
	case work+len(in) > lightWork:
		return false
	case compressed:
		return s.turn.lastCost() <= lightWork && s.loop.queuedBytes <= bound+bound/4
	}
	return ws == nil || ws.Unfinished() <= lightWork
}

// unassigned reports whether no worker is there to take a client.
func (l *loop) unassigned() bool { return len(l.pool.links) == 0 }
