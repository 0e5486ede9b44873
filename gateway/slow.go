package gateway

import "github.com/seed-7410fe32/sluice/engine"

// SlowConsumerStats are figures about peers that read more slowly than they are sent data.
type SlowConsumerStats struct {
	// SlowConns are connections, including links, whose socket accepts no more data now.
	SlowConns int
	// BufferedBytes is the output that waits for slow clients now, in bytes, including 16 to 64
	// bytes for each message that may be dropped.
	BufferedBytes int
	// Overloaded are loops that accept no clients now: their output has exceeded three quarters of
	// their part of Config.MaxBuffered, and has not fallen below half since.
	Overloaded int
	// OverloadEvents is how often a loop became overloaded.
	OverloadEvents uint64
	// DroppedOldest are messages dropped to make space for newer ones.
	DroppedOldest uint64
	// DroppedNewest are messages dropped because they did not fit.
	DroppedNewest uint64
	// Conflated are messages replaced by a newer one with the same key.
	Conflated uint64
	// SlowConsumerCloses are clients closed because a message did not fit.
	SlowConsumerCloses uint64
	// LinkOverflows are links closed because the worker did not read: more than twice its window,
	// 16 MiB and 64 KiB were waiting.
	LinkOverflows uint64
	// WriteTimeoutCloses are clients closed because they read nothing for
	// ListenerConfig.WriteTimeout.
	WriteTimeoutCloses uint64
	// MemoryLimitCloses are clients closed because they had the most output waiting when
	// Config.MaxBuffered was reached, or when their loop was overloaded for 10 s.
	MemoryLimitCloses uint64
}

// overloadedMessage is sent to clients of protocols other than WebSocket, which get status 503.
const overloadedMessage = `{"type":"sluice.overloaded"}`

// overloaded reports whether a new client must be refused because the loop is overloaded, and
// counts it.
func (l *loop) overloaded() bool {
	if !l.el.Overloaded() {
		return false
	}
	l.stats.LoadShed++
	if l.g.strangerLogs.Allow() {
		l.g.log.Warn("client rejected: the loop is overloaded", "loop", l.index)
	}
	return true
}

func slowFigures(s engine.LoopStats) SlowConsumerStats {
	overloaded := 0
	if s.Overloaded {
		overloaded = 1
	}
	return SlowConsumerStats{
		SlowConns: s.SlowConns, BufferedBytes: s.BufferedBytes,
		Overloaded: overloaded, OverloadEvents: s.OverloadEvents,
		DroppedOldest: s.DroppedOldest, DroppedNewest: s.DroppedNewest, Conflated: s.Conflated,
		SlowConsumerCloses: s.SlowConsumerCloses, LinkOverflows: s.ExcludedCloses,
		WriteTimeoutCloses: s.WriteTimeoutCloses, MemoryLimitCloses: s.MemoryLimitCloses,
	}
}
