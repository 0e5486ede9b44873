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
	x.mu.Unlock()
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
