package engine

import "time"

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

// answerTime is how long Stats waits for a loop that is busy.
const answerTime = 100 * time.Millisecond

// Stats asks each loop for its figures. For a loop that does not answer within
// 100 ms, as the one it is called on cannot, they are those of the last answer.
func (e *Engine) Stats() []LoopStats {
	answers := make([]chan LoopStats, len(e.loops))
	for i, l := range e.loops {
		answers[i] = l.ask()
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
			all[i] = l.lastAnswer()
		}
	}
	return all
}

func (l *Loop) ask() chan LoopStats {
	answer := make(chan LoopStats, 1)
	l.mu.Lock()
	if l.ended {
		answer <- l.last
	} else {
		l.askers = append(l.askers, answer)
	}
	l.mu.Unlock()
	l.poke()
	return answer
}

func (l *Loop) lastAnswer() LoopStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Stats are the loop's figures. Loop only; others ask Engine.Stats.
func (l *Loop) Stats() LoopStats {
	s := l.counters
	s.Conns, s.SlowConns, s.Timers = l.count, len(l.blocked), l.timers.count
	s.BufferedBytes, s.Overloaded, s.BufferBytes = l.unsent, l.Overloaded(), l.buffers.held
	l.mu.Lock()
	defer l.mu.Unlock()
	s.MailboxRejects = l.rejects
	return s
}

// answer gives the figures to all who asked. Loop only.
func (l *Loop) answer() {
	s := l.Stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = s
	for _, a := range l.askers {
		a <- s
	}
	l.askers = l.askers[:0]
}
