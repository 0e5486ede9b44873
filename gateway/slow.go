package gateway

import "github.com/seed-7410fe32/sluice/engine"

// Slow is about those that read more slowly than they are written to.
type Slow struct {
	Blocked       int    // connections that take no more now, links too
	Unsent        int    // bytes that wait for clients among them now, with 16 to 64 for each message that may be dropped
	Overloaded    int    // loops that take nobody now, for it is more than three quarters of Config.MaxBuffered, or was and is more than half
	Overloads     uint64 // times that a loop began to be one of them
	DroppedOldest uint64 // messages dropped for newer ones that would not have fitted
	DroppedNewest uint64 // messages dropped because they did not fit
	Conflated     uint64 // messages dropped because a newer one of their key came
	SlowCloses    uint64 // clients closed because a message did not fit
	LinkOverflows uint64 // links ended because their worker did not read: more waited than twice its window, 16 MiB and 64 KiB
	StallCloses   uint64 // clients closed because they took nothing for Listener.Stall
	BudgetCloses  uint64 // clients closed because most waited for them when it was more than Config.MaxBuffered together, or its loop was overloaded for 10 s
}

// overloadedMessage tells clients of protocols other than WebSocket, which hear 503.
const overloadedMessage = `{"type":"sluice.overloaded"}`

// overloaded reports whether a newcomer must be turned away, and counts that.
func (l *loop) overloaded() bool {
	if !l.el.Overloaded() {
		return false
	}
	l.stats.TurnedAway++
	if l.g.complain.Allow() {
		l.g.log.Warn("overloaded: a client is turned away", "loop", l.index)
	}
	return true
}

func slowFigures(s engine.LoopStats) Slow {
	overloaded := 0
	if s.Overloaded {
		overloaded = 1
	}
	return Slow{s.Blocked, s.Unsent, overloaded, s.Overloads, s.DroppedOldest, s.DroppedNewest, s.Conflated, s.SlowCloses, s.OwnBoundCloses, s.StallCloses, s.BudgetCloses}
}
