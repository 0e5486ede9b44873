package spare

import (
	"testing"
	"time"
)

// Memory is returned once after each burst, when the process has become idle, and once more when
// its pools have released more. It is never returned while the process is busy.
func TestMemoryIsGivenBackAfterABurst(t *testing.T) {
	t.Parallel()
	const busy, idle = 600 * time.Millisecond, 20 * time.Millisecond
	type step struct {
		looks int
		used  time.Duration // per check
		heap  int           // MiB
		gives int           // number of returns
	}
	for name, c := range map[string]struct {
		left  int // MiB that remain after a collection
		steps []step
	}{
		"never busy, small": {8, []step{{600, 0, 8, 0}}},
		"busy for ever":     {8, []step{{600, busy, 500, 0}}},
		"a burst": {10, []step{{10, busy, 500, 0}, {1, idle, 500, 0}, {1, idle, 500, 1}, {14, idle, 10, 0},
			{1, idle, 10, 1}, {600, idle, 10, 0}}},
		"a small burst": {10, []step{{5, busy, 30, 0}, {600, idle, 30, 0}}},
		"two bursts": {10, []step{{5, busy, 300, 0}, {40, idle, 300, 2}, {5, busy, 300, 0},
			{40, idle, 300, 2}}},
		"a burst within the quiet": {10, []step{{5, busy, 300, 0}, {5, idle, 300, 1}, {5, busy, 300, 0}, {40, idle, 300, 2}}},
		"a busy moment between the returns": {10, []step{{5, busy, 300, 0}, {5, idle, 300, 1}, {1, busy, 10, 0},
			{14, idle, 10, 0}, {600, idle, 10, 1}}},
		"much that stays": {400, []step{{5, busy, 400, 0}, {600, idle, 400, 2}}},
		"it shrinks by itself": {50, []step{{5, busy, 400, 0}, {40, idle, 400, 2}, {5, idle, 5, 0}, {5, busy, 40, 0},
			{40, idle, 40, 2}}},
	} {
		var w tracker
		var used, at time.Duration
		for i, s := range c.steps {
			gives := 0
			now := s.heap
			for range s.looks {
				used += s.used
				at += period
				if w.idle(used, at) && w.shouldReturn(now<<20) {
					gives++
					now = min(now, c.left)
					used += busy // the time of the collection
					w.returned(now<<20, used)
				}
			}
			if gives != s.gives {
				t.Errorf("%s: in step %d memory is given back %d times, want %d", name, i, gives, s.gives)
			}
		}
	}
}

// The checks of a process are late when others keep the machine busy. What it uses meanwhile does
// not make it busy itself.
func TestLateChecks(t *testing.T) {
	t.Parallel()
	var w tracker
	var used, at time.Duration
	for range idleChecks {
		used, at = used+period/idleShare+time.Millisecond, at+2*period
		w.idle(used, at)
	}
	if w.quiet != idleChecks {
		t.Errorf("%d idle checks, want %d", w.quiet, idleChecks)
	}
}
