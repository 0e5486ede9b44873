package gateway

import "sluice/codec"

// What clients have sent waits in their queues when it comes faster than workers take it. Past
// Config.MaxQueueBytes no further message is decoded of a client of which one waits, or that sends
// much, until half of that is free: it is not read, and TCP holds it up. Nothing is refused. A
// client that sends little is not held up by what the others send.
//
// Messages of a client that are large when inflated are not decoded either while a whole window
// waits for the credit of its link: there is no use in inflating what then waits.

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
		for _, s := range l.sessions {
			if s != nil {
				s.resume(pausedByQueues)
			}
		}
	}
}

// checkAhead is called when more waits for the link's credit, or less.
func (k *workerLink) checkAhead() {
	switch bound := int(k.hello.Window); {
	case !k.ahead && k.waiting.bytes > bound:
		k.ahead = true
	case k.ahead && k.waiting.bytes <= bound/2:
		k.ahead = false
		for _, s := range k.loop.sessions {
			if s != nil && s.link == k {
				s.resume(pausedByQueues)
			}
		}
	}
}

// mayDecode reports whether a client may be decoded, of whose input in is left after so much work
// for it.
func (s *session) mayDecode(in []byte, work int) bool {
	l := s.loop
	if !l.full && (s.link == nil || !s.link.ahead) {
		return true
	}
	ws, ok := s.codec.(*codec.WebSocket)
	compressed := ok && ws.Compressed(in) // nobody knows what is in it
	switch bound := l.g.cfg.MaxQueueBytes; {
	case compressed && s.turn.lastWork() > lightWork:
		return false
	case !l.full:
		return true
	case s.queue != nil || work+len(in) > lightWork:
		return false
	case compressed:
		return l.held <= bound+bound/4
	}
	return !ok || ws.Unfinished() <= lightWork
}

// workerless reports whether no worker is there to take a client.
func (l *loop) workerless() bool { return len(l.pool.links) == 0 }
