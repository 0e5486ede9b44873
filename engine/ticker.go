package engine

import "time"

// hurry is how often blocked conns are looked at: gnet does not say when it has
// got rid of what it held.
const hurry = 5 * time.Millisecond

// tick is the engine's one goroutine with a clock. It moves the coarse time on
// and wakes those loops that have something to do with it.
func (e *Engine) tick() {
	defer close(e.paced)
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
					l.poke()
				}
			}
		case <-e.nudge:
			if fast == nil {
				fast = time.NewTicker(hurry)
				fastC = fast.C
			}
		case <-fastC:
			e.clock.Store(int64(time.Since(e.start))) // for deafRetry
			wanted := false
			for _, l := range e.loops {
				if l.wantsHurry.Load() {
					wanted = true
					l.poke()
				}
			}
			if !wanted {
				fast.Stop()
				fast, fastC = nil, nil
			}
		}
	}
}
