package engine

// LoopStats contains the counters of a loop since New and its current values.
type LoopStats struct {
	Conns          int    // open now
	Opened, Closed uint64 // connections
	SlowConns      int    // conns whose output the kernel does not accept now
	// BufferedBytes is the number of bytes that wait for slow conns, without those of
	// ExcludeFromBudget. Each waiting message that may be dropped counts 16 to 64 bytes more.
	BufferedBytes  int
	Overloaded     bool   // now: see Loop.Overloaded
	OverloadEvents uint64 // times that the loop became overloaded
	TLSConns       int    // open now, of Conns
	TLSErrors      uint64 // connections closed with ErrTLS
	Timers         int    // scheduled now
	TimersFired    uint64
	Turns          uint64 // ended turns
	Reads, BytesIn uint64 // reads that returned bytes, and those bytes
	MessagesOut    uint64 // calls of Write and Commit
	Writes         uint64 // system calls
	BytesOut       uint64
	DroppedOldest  uint64 // messages dropped to make room, oldest first
	DroppedNewest  uint64 // messages dropped because they did not fit
	Conflated      uint64 // messages dropped because a newer one had the same key
	// SlowConsumerCloses counts connections closed because more than MaxOutput bytes were waiting.
	// ExcludedCloses counts those with ExcludeFromBudget.
	SlowConsumerCloses uint64
	ExcludedCloses     uint64
	WriteTimeoutCloses uint64 // connections closed with ErrWriteTimeout
	MemoryLimitCloses  uint64 // connections closed with ErrOverBudget
	MailboxRejects     uint64 // Posts that returned ErrMailboxFull
	Panics             uint64
	BufferBytes        int // bytes kept now for reuse
}

// Stats returns the loop's stats. Loop only; other goroutines post a function that calls it.
func (l *Loop) Stats() LoopStats {
	s := l.counters
	s.Conns, s.SlowConns, s.Timers, s.TLSConns = l.count, len(l.blocked), l.timers.count, l.tlsConns
	s.BufferedBytes, s.Overloaded, s.BufferBytes = l.buffered, l.Overloaded(), l.buffers.held
	l.mu.Lock()
	defer l.mu.Unlock()
	s.MailboxRejects = l.rejects
	return s
}
