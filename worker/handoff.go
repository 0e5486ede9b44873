package worker

// takeOver gives the leadership to a new goroutine, for the call with the number given has blocked. Nothing happens if it has returned meanwhile.
func (l *gwLink) takeOver(call uint64) {
	d := &l.leader
	d.handing.Lock()
	defer d.handing.Unlock()
	if !d.call.CompareAndSwap(call, call+1) {
		return
	}
	s := d.running
	d.running = nil
	s.mu.Lock()
	s.unit = d.batch.split(l.w.units.take())
	s.mu.Unlock()
	l.takeBatch() // its client sees what was before it first; the watch must not wait for room
	// The call's view of its message stays where it is.
	rest := d.buf[d.pos:d.have]
	d.buf = make([]byte, max(readSize, len(rest)))
	d.pos, d.have = 0, copy(d.buf, rest)
	d.pooled = l.w.watch.now.Load() + poolTicks
	l.w.watch.enter(s, d.goroutine)
	l.w.stats.handoffs.Add(1)
	l.w.tasks.Add(1)
	go l.lead()
}

// replace has other goroutines go on for the one that led when the call began, and that its handler has ended (runtime.Goexit).
func (l *gwLink) replace(s *session, it *item, call uint64) {
	if !l.finish(s, it, call) {
		l.w.pool.start(s) // busy, and nobody's
		return
	}
	l.w.tasks.Add(1)
	go l.lead()
}
