package gateway

import (
	"testing"
	"time"
)

// What a gateway logs about a lack of workers, over a day in steps of some seconds: nothing for a
// short while, then at once and every minute, and that it is over; while workers come and go, at
// most once in 10 s.
func TestVigil(t *testing.T) {
	t.Parallel()
	const none, some = true, false
	type step struct {
		at         float64 // seconds
		none       bool
		tell, over bool
		next       float64 // seconds
	}
	for name, steps := range map[string][]step{
		"a worker of the same process": {{0, none, false, false, 2}, {0.1, some, false, false, 0}},
		"a worker is replaced": {{50, some, false, false, 0}, {60, none, false, false, 2},
			{61.9, none, false, false, 0.1}, {61.95, some, false, false, 0}, {70, none, false, false, 2}},
		"none": {
			{0, none, false, false, 2}, {2, none, true, false, 60}, {10, none, false, false, 52}, {62, none, true, false, 60},
			{122.5, none, true, false, 60}, {130, some, false, true, 0}, {131, some, false, false, 0},
		},
		"they come and go": {
			{0, none, false, false, 2}, {2, none, true, false, 60}, {3, some, false, true, 0}, {4, none, false, false, 8},
			{5, some, false, false, 0},
			{6, none, false, false, 6}, {12, none, true, false, 60}, {13, some, false, true, 0}, {100, none, false, false, 2},
			{102, none, true, false, 60},
		},
	} {
		var v workerWatch
		start := time.Now()
		for i, s := range steps {
			tell, over, next := v.check(start.Add(time.Duration(s.at*float64(time.Second))), s.none)
			if tell != s.tell || over != s.over ||
				next.Round(time.Millisecond) != time.Duration(s.next*float64(time.Second)).Round(time.Millisecond) {
				t.Errorf("%s, step %d: %v, %v, %v, want %+v", name, i, tell, over, next, s)
			}
		}
	}
}
