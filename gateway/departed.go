package gateway

// A client that has gone is kept until a worker has handled its messages and acknowledged its
// DETACH. While handlers block, or a worker acknowledges nothing, clients may connect and
// disconnect without limit. So there are two bounds.
const (
	// maxDeparted bounds the unacknowledged departed clients of a loop. Beyond it the gateway does
	// not wait for the acknowledgement.
	maxDeparted = 1 << 16
	// maxGone bounds those of one link. Beyond it the worker gets no more clients until it has
	// acknowledged half of them. This bounds the worker's memory for them, and that of the link.
	maxGone = 4096
)

// clientGone notes that a client of the link has gone.
func (k *workerLink) clientGone() {
	l := k.loop
	if k.unackedDetaches++; k.unackedDetaches <= l.maxGone || k.behind || k.draining {
		return
	}
	k.behind = true
	l.pool.remove(k)
	l.noteWorkers()
	l.stats.WorkersBehind++
	l.g.log.Warn("worker gets no new clients: too many disconnects are unacknowledged",
		"worker", k.hello.Name, "loop", l.index, "unacknowledged", k.unackedDetaches)
}

// catchUp lets a worker that has acknowledged enough take clients again.
func (k *workerLink) catchUp() {
	l := k.loop
	if !k.behind || k.unackedDetaches > l.maxGone/2 || k.draining {
		return
	}
	k.behind = false
	l.pool.add(k)
	l.noteWorkers()
	l.g.log.Info("worker gets new clients again", "worker", k.hello.Name, "loop", l.index)
	l.pumpWaiting()
}

// giveUp ends a departed client that waits when there are too many of them. Its messages are
// rejected. Its worker, if it has one, is sent the DETACH.
func (s *session) giveUp() {
	s.dropQueued()
	if s.link != nil && !s.detachSent {
		s.link.detach(s) // detach forgets the client
		return
	}
	s.loop.stats.DetachesUndelivered++
	s.loop.forget(s)
}
