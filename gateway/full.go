package gateway

import (
	"slices"

	"sluice/codec"
)

// What clients have sent waits in their queues when it comes faster than workers take it. Past
// Config.MaxQueueBytes no further message is decoded of a client of which one waits, or that sends
// much, until half of that is free: it is not read, and TCP holds it up. Nothing is refused. A
// client that sends little is not held up by what the others send, nor is one whose worker has
// credit for whatever it may send next. Those that are held up go on in the order in which they came.

// lightWork is the work up to which a client is one that sends little.
const lightWork = 4 << 10

// checkQueues is called when more waits in queues, or less.
func (l *loop) checkQueues() {
	switch bound := l.g.cfg.MaxQueueBytes; {
	case !l.full && l.held > bound:
		l.full = true
		l.stats.QueueFull++
	case l.full && l.held <= bound/2:
		l.full = false
		l.goOn(nil)
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

// goOn has the clients of a link, or with nil all, that have stalled read on, in the order in which
// they came: who comes last must not find the queues full each time.
func (l *loop) goOn(k *workerLink) {
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

// mayAdd reports whether a client, of whose input in is left after so much work for it, is decoded
// though the queues are full: it sends little, or its worker has credit for whatever comes next.
func (l *loop) mayAdd(s *session, in []byte, work int) bool {
	if s.queue != nil {
		return false
	}
	ws, ok := s.codec.(*codec.WebSocket)
	most := len(in)
	switch {
	case ok && ws.Compressed(in):
		most = s.lis.MaxMessage
	case ok:
		most += ws.Unfinished()
	}
	if !s.suspect() && s.attach() && s.link.fits(most) && s.link.allows(s, most) {
		return true
	}
	if work+len(in) > lightWork {
		return false
	}
	switch {
	case !ok:
		return true
	case ws.Compressed(in): // nobody knows what is in it
		bound := l.g.cfg.MaxQueueBytes
		return s.turn.lastWork() <= lightWork && l.held <= bound+bound/4
	}
	return ws.Unfinished() <= lightWork
}

// workerless reports whether no worker is there to take a client.
func (l *loop) workerless() bool { return len(l.pool.links) == 0 }
