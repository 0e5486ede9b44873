package gateway

import "sluice/engine"

// Slow is about those that read more slowly than they are written to.
type Slow struct {
	Blocked       int    // connections that take no more now, links too
	Unsent        int    // bytes that wait for clients among them now
	DroppedOldest uint64 // messages dropped for newer ones that would not have fitted
	DroppedNewest uint64 // messages dropped because they did not fit
	Conflated     uint64 // messages dropped because a newer one of their key came
	SlowCloses    uint64 // connections closed because a message did not fit
	StallCloses   uint64 // clients closed because they took nothing for Listener.Stall
	BudgetCloses  uint64 // clients closed because most waited for them when it was more than Config.MaxBuffered together
}

func slowFigures(s engine.LoopStats) Slow {
	return Slow{s.Blocked, s.Unsent, s.DroppedOldest, s.DroppedNewest, s.Conflated, s.SlowCloses, s.StallCloses, s.BudgetCloses}
}

func (s *Slow) add(o Slow) {
	s.Blocked += o.Blocked
	s.Unsent += o.Unsent
	s.DroppedOldest += o.DroppedOldest
	s.DroppedNewest += o.DroppedNewest
	s.Conflated += o.Conflated
	s.SlowCloses += o.SlowCloses
	s.StallCloses += o.StallCloses
	s.BudgetCloses += o.BudgetCloses
}
