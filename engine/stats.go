package engine

import "time"

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

// answerTime is how long Stats waits for a loop that is busy.
const answerTime = 100 * time.Millisecond

// Stats collects the stats of all loops. If a loop does not answer within 100 ms, its last answer
// is used. A loop that calls Stats cannot answer.
func (e *Engine) Stats() []LoopStats {
	answers := make([]chan LoopStats, len(e.loops))
	for i, l := range e.loops {
		answers[i] = l.requestStats()
	}
	timeout := time.NewTimer(answerTime)
	defer timeout.Stop()
	late := false
	all := make([]LoopStats, len(e.loops))
	for i, l := range e.loops {
		if !late {
			select {
			case all[i] = <-answers[i]:
				continue
			case <-timeout.C:
				late = true
			}
		}
		select {
		case all[i] = <-answers[i]:
		default:
			all[i] = l.lastStats()
		}
	}
	return all
}

func (l *Loop) requestStats() chan LoopStats {
	answer := make(chan LoopStats, 1)
	l.mu.Lock()
	if l.ended {
		answer <- l.last
	} else {
		l.statsWaiters = append(l.statsWaiters, answer)
	}
	l.mu.Unlock()
	l.requestRun()
	return answer
}

func (l *Loop) lastStats() LoopStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Stats returns the loop's stats. Loop only; other goroutines use Engine.Stats.
func (l *Loop) Stats() LoopStats {
	s := l.counters
	s.Conns, s.SlowConns, s.Timers = l.count, len(l.blocked), l.timers.count
	s.BufferedBytes, s.Overloaded, s.BufferBytes = l.buffered, l.Overloaded(), l.buffers.held
	l.mu.Lock()
	defer l.mu.Unlock()
	s.MailboxRejects = l.rejects
	return s
}

// answerStats sends the stats to all callers of Engine.Stats that wait. Loop only.
func (l *Loop) answerStats() {
	s := l.Stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = s
	for _, a := range l.statsWaiters {
		a <- s
	}
	l.statsWaiters = l.statsWaiters[:0]
}
