package engine

import (
	"cmp"
	"slices"
	"time"
)

// block puts c among those the loop comes back to.
func (c *Conn) block() {
	if len(c.next()) == 0 {
		c.emptied()
	}
	if c.shared != 0 {
		c.unshareOut(0)
	}
	if c.backlog == nil {
		c.takeBacklog()
	}
	if c.deaf && c.g.OutboundBuffered() > 0 {
		c.loop.poll.pause(c) // gnet's write turned reading on again
	}
	if !c.slow {
		c.slow = true
		c.loop.blocked = append(c.loop.blocked, c)
		c.loop.pollFast()
	}
	c.account()
}

// deafRetry is how often the kernel is offered more of a conn that is paused, or whose peer has ended
// its side, as nobody tells when it has room again. One that has yielded is tried each time that the pacemaker comes by.
const deafRetry = 50 * time.Millisecond

// refused notes that the kernel has taken only a part of what a deaf conn had.
func (c *Conn) refused() {
	if c.backlog == nil {
		c.takeBacklog()
	}
	c.backlog.refused = max(c.loop.engine.clock.Load(), 1)
}

// retryLater tells whether a deaf conn need not be tried again yet.
func (c *Conn) retryLater() bool {
	b, pause := c.backlog, int64(1)
	if c.paused || c.peer != peerSends {
		pause = int64(deafRetry)
	}
	return c.deaf && b != nil && b.refused > 0 && c.loop.engine.clock.Load()-b.refused < pause
}

// pollFast has the pacemaker come by every few milliseconds.
func (l *Loop) pollFast() {
	if l.hurrying {
		return
	}
	l.hurrying = true
	l.wantsHurry.Store(true)
	select {
	case l.engine.nudge <- struct{}{}:
	default:
	}
}

// checkBlocked goes on with those whose bytes gnet has got rid of.
func (l *Loop) checkBlocked() {
	if !l.hurrying {
		return
	}
	now := l.engine.clock.Load()
	list := l.blocked
	kept := list[:0]
	for _, c := range list {
		if c.slow = c.stillBlocked(now); c.slow {
			kept = append(kept, c)
		}
	}
	clear(list[len(kept):])
	l.blocked = kept
	if l.Overloaded() && now-l.since >= int64(overloadTime) {
		l.cutWorst(l.engine.cfg.MaxBuffered / 2)
	}
	if len(l.blocked) == 0 {
		l.hurrying = false
		l.wantsHurry.Store(false)
	}
}

func (c *Conn) stillBlocked(now int64) bool {
	if c.ended || c.backlog == nil {
		return false
	}
	if c.g.OutboundBuffered() == 0 && !c.retryLater() {
		if c.deaf {
			c.loop.poll.pause(c) // gnet turned reading on when it had drained
		}
		c.flush()
		if c.ended || c.backlog == nil {
			return false
		}
	}
	if c.writeTimedOut(now) {
		c.loop.counters.WriteTimeoutCloses++
		c.markEnded(ErrWriteTimeout)
	} else {
		c.account()
	}
	return !c.ended
}

// lookAgain is how often the kernel is asked how far a blocked conn has got.
const lookAgain = time.Second

// stalled tells whether the kernel has got rid of nothing of c's for too long. A
// conn that drains has a deadline of its own.
func (c *Conn) writeTimedOut(now int64) bool {
	b, limit := c.backlog, int64(c.options.WriteTimeout)
	if limit <= 0 || c.drain != nil {
		return false
	}
	if held := c.g.OutboundBuffered(); held != b.held {
		b.held, b.moved = held, now
	}
	if now-b.looked >= min(int64(lookAgain), limit/4) {
		// It takes more from us only when a third of its buffer is free, which
		// may take a peer that does read longer than the limit.
		queued := unsentBytes(c.g.Fd())
		if queued < b.queued {
			b.moved = now
		}
		b.queued, b.looked = queued, now
	}
	return now-b.moved >= limit
}

// account enters what waits for c, and the books of it, in the loop's sum. When that is too much, those
// with most waiting are cut.
func (c *Conn) account() {
	b, l := c.backlog, c.loop
	if b == nil || c.options.ExcludeFromBudget {
		return
	}
	n := c.Buffered() + b.overhead()
	l.addBuffered(n - b.counted)
	b.counted = n
	if bound := l.engine.cfg.MaxBuffered; l.unsent > bound {
		l.cutWorst(bound - bound/8) // the next time is not at once
	}
}

// overloadTime is how long a loop is overloaded before it cuts those with most
// waiting, as it would past MaxBuffered: those who do not read must not keep
// others out for ever.
const overloadTime = 10 * time.Second

// Overloaded tells whether more than three quarters of Config.MaxBuffered wait,
// or have waited and not half of it has left since: no further connections
// should be let in. Any goroutine may ask.
func (l *Loop) Overloaded() bool { return l.overloaded.Load() }

// addBuffered counts n bytes more, or fewer, that wait for conns.
func (l *Loop) addBuffered(n int) {
	l.unsent += n
	bound := l.engine.cfg.MaxBuffered
	switch over := l.Overloaded(); {
	case !over && l.unsent > bound-bound/4:
		l.since = l.engine.clock.Load()
		l.counters.OverloadEvents++
		l.overloaded.Store(true)
	case over && l.unsent <= bound/2:
		l.overloaded.Store(false)
	}
}

// cutWorst ends conns, those with most waiting first, until no more than rest
// bytes wait.
func (l *Loop) cutWorst(rest int) {
	worst := slices.Clone(l.blocked)
	worst = slices.DeleteFunc(worst, func(c *Conn) bool { return c.ended || c.backlog == nil || c.backlog.counted == 0 })
	slices.SortFunc(worst, func(a, b *Conn) int { return cmp.Compare(b.backlog.counted, a.backlog.counted) })
	for _, c := range worst {
		if l.unsent <= rest {
			return
		}
		if c.ended {
			continue // it stood in the list twice
		}
		l.counters.MemoryLimitCloses++
		c.markEnded(ErrOverBudget)
		// The memory must be free now, not when the callback has returned. It is
		// the collector's: somebody may have it from Begin.
		c.out, c.sent = nil, 0
		c.dropBacklog()
	}
}
