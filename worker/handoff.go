package worker

// takeOver gives the leadership to a new goroutine because the call with the given number has
// blocked. It does nothing if that call has returned.
func (l *gwLink) takeOver(call uint64) {
	d := &l.leader
	d.handoff.Lock()
	defer d.handoff.Unlock()
	if !d.call.CompareAndSwap(call, call+1) {
		return
	}
	s := d.running
	d.running = nil
	s.mu.Lock()
	s.unit = d.batch.split(l.w.units.take())
	s.mu.Unlock()
	// Earlier effects for the client must go out first. This must not wait for room, because the
	// watchdog calls it.
	l.takeBatch()
	// The call's view of its message stays valid: the new leader gets another buffer.
	rest := d.buf[d.pos:d.have]
	d.buf = make([]byte, max(readSize, len(rest)))
	d.pos, d.have = 0, copy(d.buf, rest)
	d.pooledUntil = l.w.watch.now.Load() + poolTicks
	l.w.watch.addCall(s, d.goroutine)
	l.w.stats.handoffs.Add(1)
	l.w.tasks.Add(1)
	go l.lead()
}

// replace continues the work of a leader whose goroutine the handler has ended (runtime.Goexit).
func (l *gwLink) replace(s *session, it *item, call uint64) {
	if !l.finish(s, it, call) {
		l.w.pool.start(s) // the session is busy and has no goroutine
		return
	}
	l.w.tasks.Add(1)
	go l.lead()
}

// toPool lets the pool run a session's queue. Earlier effects for its client are pushed first.
func (l *gwLink) toPool(s *session) {
	l.pushBatch()
	l.w.pool.start(s)
}

func (l *gwLink) stayPooled() bool {
	if l.w.watch.now.Load() < l.leader.pooledUntil {
		return true
	}
	l.leader.pooledUntil = 0
	return false
}
