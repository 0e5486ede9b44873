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
	one := &session{phase: phaseOpen}
	m.begin(one, 7, 0)
	m.begin(&session{phase: phaseOpen}, 0, 0)
	if m.check(one, 6); m.of != one || count(&m.message) != 0 {
		t.Errorf("before the message is handled: %+v", m)
	}
	if m.check(one, 7); m.of != nil || count(&m.message) != 1 || count(&m.handling) != 1 {
		t.Errorf("after it: %+v", m)
	}
	waits := &session{phase: phaseOpen}
	m.begin(waits, 1<<32-1, 2)
	m.check(waits, 0)
	if m.check(waits, 1); m.of != nil || count(&m.message) != 2 || count(&m.handling) != 1 {
		t.Errorf("one that waited: %+v", m)
	}
	m.begin(one, 8, 0)
	one.phase = phaseGone
	if m.begin(waits, 2, 0); m.of != waits || count(&m.message) != 2 {
		t.Errorf("after a client has gone: %+v", m)
	}
	m.began = m.began.Add(-sampleTime)
	if m.begin(waits, 2, 0); m.of != waits || count(&m.message) != 3 || m.message.counts[len(durationBounds)] != 1 {
		t.Errorf("one that takes too long: %+v", m)
	}
}
