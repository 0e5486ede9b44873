package engine

// LoopStats are a loop's figures since New.
type LoopStats struct {
	Conns              int    // open now
	Opened, Closed     uint64 // connections
	SlowConns          int    // conns the kernel takes no more of now
	BufferedBytes      int    // bytes that wait for them, with 16 to 64 for each message that may be dropped; but for those with an ExcludeFromBudget
	Overloaded         bool   // now: see Loop.Overloaded
	OverloadEvents     uint64 // times that it began to be
	Timers             int    // scheduled now
	TimersFired        uint64
	Turns              uint64 // ends of a turn
	Reads, BytesIn     uint64 // reads that brought something
	MessagesOut        uint64 // Writes and Commits
	Writes             uint64 // system calls
	BytesOut           uint64
	DroppedOldest      uint64 // messages dropped to make room, oldest first
	DroppedNewest      uint64 // messages dropped because they did not fit
	Conflated          uint64 // messages dropped because a newer one of their key came
	SlowConsumerCloses uint64 // connections ended because more than MaxOutput waited, but for those with an ExcludeFromBudget
	ExcludedCloses     uint64 // connections with an ExcludeFromBudget ended because more than MaxOutput waited
	WriteTimeoutCloses uint64 // connections ended with ErrWriteTimeout
	MemoryLimitCloses  uint64 // connections ended with ErrOverBudget
	MailboxRejects     uint64 // Posts refused with ErrMailboxFull
	Panics             uint64
	BufferBytes        int // kept for reuse now
}

// Stats are the loop's figures. Loop only: another goroutine posts a function that asks.
func (l *Loop) Stats() LoopStats {
	s := l.counters
	s.Conns, s.SlowConns, s.Timers = l.count, len(l.blocked), l.timers.count
	s.BufferedBytes, s.Overloaded, s.BufferBytes = l.unsent, l.Overloaded(), l.buffers.held
	l.mu.Lock()
	defer l.mu.Unlock()
	s.MailboxRejects = l.rejects
	return s
}
