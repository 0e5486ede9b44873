package gateway

// A client that is gone is kept until a worker has acknowledged that it has gone, and has handled what it sent before. When handlers hang, or a worker acknowledges nothing, clients may
// come and go meanwhile without end. So there are two bounds.
const (
	// maxDeparted bounds the clients of a loop that are gone and that no worker has acknowledged: past it that is not waited for.
	maxDeparted = 1 << 16
	// maxGone bounds those of one link: past it its worker gets no more clients until it has acknowledged half of them. What it keeps of them is bounded so, and what the link does.
	maxGone = 4096
)

// lose notes that a client which the worker has is gone.
func (k *workerLink) lose() {
	l := k.loop
	if k.gone++; k.gone <= l.maxGone || k.behind || k.draining {
		return
	}
	k.behind = true
	l.pool.remove(k)
	l.noteWorkers()
	l.stats.WorkersBehind++
	l.g.log.Warn("a worker gets no more clients: it has not acknowledged that so many have gone", "worker", k.hello.Name, "loop", l.index, "gone", k.gone)
}

// catchUp lets a worker have clients again that has acknowledged enough.
func (k *workerLink) catchUp() {
	l := k.loop
	if !k.behind || k.gone > l.maxGone/2 || k.draining {
		return
	}
	k.behind = false
	l.pool.add(k)
	l.noteWorkers()
	l.g.log.Info("a worker gets clients again", "worker", k.hello.Name, "loop", l.index)
	l.pumpWaiting()
}

// giveUp ends a client that is gone and waits, where too many do: what it sent is refused, and its worker, if it has one, told.
func (s *session) giveUp() {
	s.dropHeld()
	if s.link != nil && !s.detachSent {
		s.link.detach(s) // which forgets it
		return
	}
	s.loop.stats.DetachesUndelivered++
	s.loop.forget(s)
}
