package gateway

import (
	"slices"
	"testing"
	"time"
)

// A time counts in the first bucket whose bound is not less.
func TestDurations(t *testing.T) {
	t.Parallel()
	var d durations
	for _, t := range []time.Duration{0, 100 * time.Microsecond, 100*time.Microsecond + 1, 10 * time.Second, time.Hour} {
		d.observe(t)
	}
	var all Durations
	d.addTo(&all)
	d.addTo(&all)
	last := len(all.Bounds)
	if all.Counts[0] != 4 || all.Counts[1] != 2 || all.Counts[last-1] != 2 || all.Counts[last] != 2 ||
		len(all.Counts) != last+1 || !slices.IsSorted(all.Bounds) || all.Sum != 2*(time.Hour+10*time.Second+
		200*time.Microsecond+1) {
		t.Errorf("%+v", all)
	}
}

// A sample ends when its message is handled, is replaced when its client has gone, and counts with
// the longest time when it takes longer.
func TestSampler(t *testing.T) {
	t.Parallel()
	count := func(d *durations) (n uint64) {
		for _, c := range d.counts {
			n += c
		}
		return n
	}
	var m sampler
	one := &session{phase: phaseOpen, handled: 5, out: 2}
	m.begin(one) // its seventh message
	m.begin(&session{phase: phaseOpen})
	one.handled = 6
	if m.check(one); m.of != one || count(&m.message) != 0 {
		t.Errorf("before the message is handled: %+v", m)
	}
	one.handled = 7
	if m.check(one); m.of != nil || count(&m.message) != 1 || count(&m.handling) != 1 {
		t.Errorf("after it: %+v", m)
	}
	waits := &session{phase: phaseOpen, handled: 1<<32 - 1, queue: &queue{waiting: 2}}
	m.begin(waits)
	waits.handled++
	m.check(waits)
	waits.handled++
	if m.check(waits); m.of != nil || count(&m.message) != 2 || count(&m.handling) != 1 {
		t.Errorf("one that waited: %+v", m)
	}
	m.begin(one)
	one.phase = phaseGone
	if m.begin(waits); m.of != waits || count(&m.message) != 2 {
		t.Errorf("after a client has gone: %+v", m)
	}
	m.began = m.began.Add(-sampleTime)
	if m.begin(waits); m.of != waits || count(&m.message) != 3 || m.message.counts[len(durationBounds)] != 1 {
		t.Errorf("one that takes too long: %+v", m)
	}
}
