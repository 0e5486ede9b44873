package record

import (
	"math/bits"
	"time"
)

// clock is a clock that costs a third of time.Now where the processor has a counter that every
// program may read. Its unit is the tick, of a rate that is found by comparison with time.Now.
type clock struct {
	// Static.
	began      time.Time
	processor  bool   // ticks are those of the processor, not nanoseconds
	firstScale uint64 // the scale at the beginning

	// Owned by the goroutine that calls adjust.
	last  moment
	scale uint64 // 2^32 nanoseconds are as many ticks
}

// moment is one moment by both clocks.
type moment struct{ ticks, nanoseconds int64 }

const (
	sameScale     = 1 << 32          // a tick is a nanosecond
	firstReadings = 4096             // for which the clocks are compared at first, some 40 us
	leastPeriod   = time.Millisecond // for which they are compared later
	// A counter that is slower than this belongs to a hypervisor, which makes it up.
	slowestReading = 100 * time.Nanosecond
	// A moment by both clocks that takes longer is not one moment, because the thread has waited.
	longestMoment = 2 * time.Microsecond
)

func newClock() *clock {
	c := &clock{began: time.Now(), firstScale: sameScale, scale: sameScale}
	if !hasTicks {
		return c
	}
	for range 20 { // a thread that is interrupted gets another chance
		first, ok := c.both()
		for range firstReadings {
			ticks()
		}
		last, okay := c.both()
		scale, plausible := scaleBetween(first, last)
		took := time.Duration(last.nanoseconds - first.nanoseconds)
		if ok && okay && plausible && took < firstReadings*slowestReading {
			c.processor, c.last, c.scale, c.firstScale = true, last, scale, scale
			break
		}
		if took == 0 { // a test with a clock of its own (testing/synctest)
			break
		}
	}
	return c
}

// now returns the time in ticks.
func (c *clock) now() int64 {
	if c.processor {
		return ticks()
	}
	return int64(time.Since(c.began))
}

// both returns the present moment. ok is false if it has taken long.
func (c *clock) both() (m moment, ok bool) {
	before := time.Since(c.began)
	m = moment{ticks(), int64(before)}
	return m, time.Since(c.began)-before < longestMoment
}

// adjust returns the scale for the ticks from now on: a virtual machine may have moved to another
// processor.
func (c *clock) adjust() uint64 {
	if !c.processor {
		return sameScale
	}
	if m, ok := c.both(); ok && m.nanoseconds-c.last.nanoseconds > int64(leastPeriod) {
		if scale, plausible := scaleBetween(c.last, m); plausible {
			c.scale = scale
		}
		c.last = m
	}
	return c.scale
}

// scaleBetween returns the scale of the ticks between two moments. It is not plausible below 50 MHz
// and above 20 GHz.
func scaleBetween(a, b moment) (scale uint64, plausible bool) {
	per := float64(b.nanoseconds-a.nanoseconds) / float64(b.ticks-a.ticks)
	return uint64(per * sameScale), per > 1.0/20 && per < 20
}

// toNanoseconds converts a number of ticks. Counters of different processors may differ a little,
// so that a short time can seem to be negative: that is 0.
func toNanoseconds(ticks int64, scale uint64) int64 {
	if ticks <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(ticks), scale)
	return int64(hi<<32 | lo>>32)
}
