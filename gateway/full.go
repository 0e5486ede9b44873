package gateway

import "sluice/codec"

// What clients have sent waits in their queues when it comes faster than workers take it. Past
// Config.MaxQueueBytes no further message is decoded of a client of which one waits, or that sends
// much, until half of that is free: it is not read, and TCP holds it up. Nothing is refused. A
// client that sends little is not held up by what the others send.

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
			if s != nil && s.pauses&pausedByQueues != 0 {
				s.resume(pausedByQueues)
			}
		}
	}
}

// mayAdd reports whether a client, of whose input in is left after so much work for it, sends little
// enough to be decoded though the queues are full.
func (l *loop) mayAdd(s *session, in []byte, work int) bool {
	if s.queue != nil || work+len(in) > lightWork {
		return false
	}
	ws, ok := s.codec.(*codec.WebSocket)
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
