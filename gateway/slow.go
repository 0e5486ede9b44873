package gateway

import "github.com/seed-7410fe32/sluice/engine"

// SlowConsumerStats is about those that read more slowly than they are written to.
type SlowConsumerStats struct {
	SlowConns          int    // connections that take no more now, links too
	BufferedBytes      int    // bytes that wait for clients among them now, with 16 to 64 for each message that may be dropped
	Overloaded         int    // loops that take nobody now, for it is more than three quarters of Config.MaxBuffered, or was and is more than half
	OverloadEvents     uint64 // times that a loop began to be one of them
	DroppedOldest      uint64 // messages dropped for newer ones that would not have fitted
	DroppedNewest      uint64 // messages dropped because they did not fit
	Conflated          uint64 // messages dropped because a newer one of their key came
	SlowConsumerCloses uint64 // clients closed because a message did not fit
	LinkOverflows      uint64 // links ended because their worker did not read: more waited than twice its window, 16 MiB and 64 KiB
	WriteTimeoutCloses uint64 // clients closed because they took nothing for ListenerConfig.WriteTimeout
	MemoryLimitCloses  uint64 // clients closed because most waited for them when it was more than Config.MaxBuffered together, or its loop was overloaded for 10 s
}

// overloadedMessage tells clients of protocols other than WebSocket, which hear 503.
const overloadedMessage = `{"type":"sluice.overloaded"}`

// overloaded reports whether a newcomer must be turned away, and counts that.
func (l *loop) overloaded() bool {
	if !l.el.Overloaded() {
		return false
	}
	l.stats.LoadShed++
	if l.g.complain.Allow() {
		l.g.log.Warn("overloaded: a client is turned away", "loop", l.index)
	}
	return true
}

func slowFigures(s engine.LoopStats) SlowConsumerStats {
	overloaded := 0
	if s.Overloaded {
		overloaded = 1
	}
	return SlowConsumerStats{s.SlowConns, s.BufferedBytes, overloaded, s.OverloadEvents, s.DroppedOldest, s.DroppedNewest, s.Conflated, s.SlowConsumerCloses, s.ExcludedCloses, s.WriteTimeoutCloses, s.MemoryLimitCloses}
}
