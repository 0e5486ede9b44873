package executor

import (
	"context"
	"time"
)

const (
	watchTick  = 2 * time.Millisecond
	sleepAfter = 50 // ticks without a call
)

// Watch finds calls that block, until ctx ends. It passes the lead of a source on after a tick, and
// reports slow calls. It ticks only while calls run.
func (x *Executor[E]) Watch(ctx context.Context) {
	defer x.reports.writers.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
		}
		tick := time.NewTicker(watchTick)
		for idle := 0; idle < sleepAfter && ctx.Err() == nil; {
			<-tick.C
			if x.Tick() {
				idle = 0
			} else {
				idle++
			}
		}
		tick.Stop()
		x.awake.Store(false)
		if x.Tick() { // a call may have begun just before
			x.ensureTicking()
		}
	}
}

// ensureTicking makes Watch tick if it does not.
func (x *Executor[E]) ensureTicking() {
	if !x.awake.Load() && x.awake.CompareAndSwap(false, true) {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// Tick checks all calls once. Watch calls it every 2 ms. It reports whether it has found one.
func (x *Executor[E]) Tick() (active bool) {
	x.now.Add(1)
	x.mu.Lock()
	for s := range x.streams {
		x.watched = append(x.watched, s)
	}
	active = len(x.own) > 0
	x.findBlocked()
	x.mu.Unlock()
	for _, a := range x.blocked {
		a.Blocked()
	}
	clear(x.blocked)
	x.blocked = x.blocked[:0]
	for _, s := range x.watched {
		active = s.check() || active
	}
	clear(x.watched)
	x.watched = x.watched[:0]
	x.reportSlow()
	return active
}

// check takes the lead over if the call that is led is the one of the last tick. It reports whether
// a call is led.
func (s *stream[E]) check() (active bool) {
	c := s.client.Load()
	if c == nil {
		return false
	}
	c.Mu.Lock()
	active = c.led == s
	blocked := active && s.calls == s.seen
	if active {
		s.seen = s.calls
	}
	if blocked {
		s.leave(c)
	}
	c.Mu.Unlock()
	if blocked {
		s.takeOver()
	}
	return active
}

// young is an event that the goroutine of a client has begun to deal with.
type young[E any] struct {
	r     *runner[E]
	actor Actor[E]
	event uint64 // runner.events
	tick  uint64
}

// watch makes Watch look whether the goroutine still deals with the same event, and so holds up a
// client, after the next tick. Called with mu.
func (x *Executor[E]) watch(r *runner[E], a Actor[E]) {
	if !r.done {
		x.young = append(x.young, young[E]{r, a, r.events.Load(), x.now.Load()})
	}
}

// findBlocked finds the clients whose goroutines still deal with the event of the tick before the
// last one. Called with mu.
func (x *Executor[E]) findBlocked() {
	now, n := x.now.Load(), 0
	for ; n < len(x.young) && x.young[n].tick+2 <= now; n++ {
		y := &x.young[n]
		if !y.r.done && y.r.events.Load() == y.event && (y.r.actor == y.actor || y.r.next == y.actor) {
			x.blocked = append(x.blocked, y.actor)
		}
	}
	left := copy(x.young, x.young[n:])
	clear(x.young[left:])
	x.young = x.young[:left]
}
