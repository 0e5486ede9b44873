package engine

import (
	"cmp"
	"slices"
	"time"
)

// block adds c to the conns that the loop retries.
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
	if c.unpolled && c.g.OutboundBuffered() > 0 {
		c.loop.poll.pause(c) // gnet's write has enabled reading again
	}
	if !c.slow {
		c.slow = true
		c.loop.blocked = append(c.loop.blocked, c)
		c.loop.pollFast()
	}
	c.account()
}

// unpolledRetry is how often the kernel is offered output of a conn that is paused, or whose peer
// has ended its side: no event reports that the kernel has space again. The output of a conn that
// has yielded is offered at each fast tick.
const unpolledRetry = 50 * time.Millisecond

// refused records that the kernel has accepted only a part of the output of an unpolled conn.
func (c *Conn) refused() {
	if c.backlog == nil {
		c.takeBacklog()
	}
	c.backlog.refused = max(c.loop.engine.clock.Load(), 1)
}

// retryLater reports whether it is too early to try an unpolled conn again.
func (c *Conn) retryLater() bool {
	b, pause := c.backlog, int64(1)
	if c.paused || c.peer.ended() {
		pause = int64(unpolledRetry)
	}
	return c.unpolled && b != nil && b.refused > 0 && c.loop.engine.clock.Load()-b.refused < pause
}

// pollFast asks the ticker goroutine for a run every few milliseconds.
func (l *Loop) pollFast() {
	if l.fastPolling {
		return
	}
	l.fastPolling = true
	l.wantsFast.Store(true)
	select {
	case l.engine.fastRequests <- struct{}{}:
	default:
	}
}

// checkBlocked continues with the conns whose output gnet has sent.
func (l *Loop) checkBlocked() {
	if !l.fastPolling {
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
	if l.Overloaded() && now-l.overloadedSince >= int64(overloadTime) {
		l.closeLargest(l.engine.cfg.MaxBuffered / 2)
	}
	if len(l.blocked) == 0 {
		l.fastPolling = false
		l.wantsFast.Store(false)
	}
}

func (c *Conn) stillBlocked(now int64) bool {
	if c.ended || c.backlog == nil {
		return false
	}
	if s := secureOf(c); s != nil {
		if s.retry(now); c.ended {
			return false
		}
	}
	if c.g.OutboundBuffered() == 0 && !c.retryLater() {
		if c.unpolled {
			c.loop.poll.pause(c) // gnet enabled reading when it had sent everything
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

// progressCheck is how often the kernel is asked about the progress of a blocked conn.
const progressCheck = time.Second

// writeTimedOut reports whether the kernel has sent nothing of c's output for WriteTimeout. A conn
// that drains has a deadline of its own.
func (c *Conn) writeTimedOut(now int64) bool {
	b, limit := c.backlog, int64(c.options.WriteTimeout)
	if limit <= 0 || c.drain != nil {
		return false
	}
	if held := c.g.OutboundBuffered(); held != b.held {
		b.held, b.moved = held, now
	}
	if now-b.looked >= min(int64(progressCheck), limit/4) {
		// The kernel accepts more only when a third of its buffer is free. For a slow peer that
		// does read, this may take longer than the limit.
		queued := unsentBytes(c.g.Fd())
		if queued < b.queued {
			b.moved = now
		}
		b.queued, b.looked = queued, now
	}
	return now-b.moved >= limit
}

// account adds c's waiting bytes, and the memory of its backlog, to the loop's sum. If the sum
// exceeds MaxBuffered, the conns with the most waiting bytes are closed.
func (c *Conn) account() {
	b, l := c.backlog, c.loop
	if b == nil || c.options.ExcludeFromBudget {
		return
	}
	n := c.Buffered() + b.overhead()
	l.addBuffered(n - b.counted)
	b.counted = n
	if bound := l.engine.cfg.MaxBuffered; l.buffered > bound {
		l.closeLargest(bound - bound/8) // leaves a margin, so that this does not happen again at once
	}
}

// overloadTime is how long a loop may be overloaded before it closes the conns with the most
// waiting bytes, as it does above MaxBuffered. Peers that do not read must not keep new connections
// out forever.
const overloadTime = 10 * time.Second

// IsSlow reports whether output of c waits because the peer does not read fast enough. Output of
// the present turn does not count. Loop only.
func IsSlow(c *Conn) bool { return c.slow }

// Overloaded reports whether more than three quarters of Config.MaxBuffered are waiting, or were
// waiting and the sum has not fallen to half since. No new connections should then be accepted. Any
// goroutine may call it.
func (l *Loop) Overloaded() bool { return l.overloaded.Load() }

// addBuffered adds n, which may be negative, to the bytes that wait for conns.
func (l *Loop) addBuffered(n int) {
	l.buffered += n
	bound := l.engine.cfg.MaxBuffered
	switch over := l.Overloaded(); {
	case !over && l.buffered > bound-bound/4:
		l.overloadedSince = l.engine.clock.Load()
		l.counters.OverloadEvents++
		l.overloaded.Store(true)
	case over && l.buffered <= bound/2:
		l.overloaded.Store(false)
	}
}

// closeLargest closes conns, those with the most waiting bytes first, until at most rest bytes are
// waiting.
func (l *Loop) closeLargest(rest int) {
	worst := slices.Clone(l.blocked)
	worst = slices.DeleteFunc(worst, func(c *Conn) bool {
		return c.ended || c.backlog == nil || c.backlog.counted == 0
	})
	slices.SortFunc(worst, func(a, b *Conn) int { return cmp.Compare(b.backlog.counted, a.backlog.counted) })
	for _, c := range worst {
		if l.buffered <= rest {
			return
		}
		if c.ended {
			continue // the list contained it twice
		}
		l.counters.MemoryLimitCloses++
		c.markEnded(ErrOverBudget)
		// Release the memory now and not when the callback has returned. It goes to the garbage
		// collector, because a caller of Begin may still use it.
		c.out, c.sent = nil, 0
		c.dropBacklog()
	}
}
