package engine

import "time"

// fastTick is how often blocked conns are checked. gnet does not report when it has sent the bytes
// that it held.
const fastTick = 5 * time.Millisecond

// tick is the engine's only goroutine with a ticker. It updates the cached clock and wakes the
// loops that have timers or blocked conns to serve.
func (e *Engine) tick() {
	defer close(e.tickerDone)
	tick := time.NewTicker(e.cfg.Tick)
	defer tick.Stop()
	var fast *time.Ticker // runs only while a loop has blocked conns
	var fastC <-chan time.Time
	var ticks int
	defer func() {
		if fast != nil {
			fast.Stop()
		}
	}()
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
			now := int64(time.Since(e.start))
			e.clock.Store(now)
			ticks++
			for _, l := range e.loops {
				if l.wakeAt.Load() <= now/int64(e.cfg.Tick) || ticks%trimPeriod == 0 {
					l.requestRun()
				}
			}
		case <-e.fastRequests:
			if fast == nil {
				fast = time.NewTicker(fastTick)
				fastC = fast.C
			}
		case <-fastC:
			e.clock.Store(int64(time.Since(e.start))) // for unpolledRetry
			wanted := false
			for _, l := range e.loops {
				if l.wantsFast.Load() {
					wanted = true
					l.requestRun()
				}
			}
			if !wanted {
				fast.Stop()
				fast, fastC = nil, nil
			}
		}
	}
}
