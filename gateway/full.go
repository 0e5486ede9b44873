package gateway

import "sluice/codec"

// What clients have sent waits in a loop when it comes faster than workers take it: as messages in
// the clients' queues, and as input of clients that are paused or have yielded, as it was read.
// Each of the two is bounded by Config.MaxQueueBytes; once it is reached, half of it must be
// free before that ends. Nothing is refused for it: TCP holds the clients up.
//
//   - While the queues are full, no further message is decoded of a client of which one waits, or
//     that sends much. One that sends little is not held up by what the others send.
//   - While there is too much input, no client is read but those that have some here already.

// lightWork is the work up to which a client is one that sends little.
const lightWork = 4 << 10

// weigh notes that left bytes of a client's input are kept: for the rest of a message, or, ours,
// because it is we who do not take them.
func (l *loop) weigh(s *session, left int, ours bool) {
	if s.turn&backlogged != 0 {
		l.backlog -= int(s.partial)
	} else {
		l.partial -= int(s.partial)
	}
	s.partial = uint32(left)
	if ours && left > 0 {
		s.turn |= backlogged
		l.backlog += left
	} else {
		s.turn &^= backlogged
		l.partial += left
	}
	switch bound := l.g.cfg.MaxQueueBytes; {
	case !l.choked && l.backlog > bound:
		l.choked = true
		l.stats.InputFull++
		for _, other := range l.sessions {
			if other != nil && other != s {
				l.keepOut(other)
			}
		}
	case l.choked && l.backlog <= bound/2:
		l.choked = false
		l.resumeAll(pausedByInput)
	}
}

// keepOut has a client not be read while there is too much input, unless some of it is here.
func (l *loop) keepOut(s *session) {
	if l.choked && s.phase == phaseOpen && s.turn&(yielded|backlogged) == 0 && s.pauses&pausedByInput == 0 {
		s.pause(pausedByInput)
	}
}

// checkQueues is called when more waits in queues, or less.
func (l *loop) checkQueues() {
	switch bound := l.g.cfg.MaxQueueBytes; {
	case !l.full && l.held > bound:
		l.full = true
		l.stats.QueueFull++
	case l.full && l.held <= bound/2:
		l.full = false
		l.resumeAll(pausedByQueues)
	}
}

// mayAdd reports whether the message that in begins with, after so much work for the client, may be
// decoded though the queues are full.
func (l *loop) mayAdd(s *session, in []byte, work int) bool {
	if s.queue != nil || work > lightWork {
		return false
	}
	ws, ok := s.codec.(*codec.WebSocket)
	if !ok || !ws.Compressed(in) {
		return true
	}
	bound := l.g.cfg.MaxQueueBytes
	return s.turn.lastWork() <= lightWork && l.held <= bound+bound/4 // nobody knows what is in it
}

// resumeAll reads on what was not read for that reason.
func (l *loop) resumeAll(why pauses) {
	for _, s := range l.sessions {
		if s != nil && s.pauses&why != 0 {
			s.resume(why)
		}
	}
}

// workerless reports whether no worker is there to take a client.
func (l *loop) workerless() bool { return len(l.pool.links) == 0 }
