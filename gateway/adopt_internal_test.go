package gateway

import (
	"testing"
	"time"
)

// The steps of all loops in a second are the rate, whatever the number of loops.
func TestAdoptPace(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{1, 7, 49, 1000, 10_000, 1 << 30} {
		for _, loops := range []int{1, 2, 3, 16} {
			sum := 0
			for range loops {
				var p adoptPace
				for range loops * int(time.Second/adoptStep) {
					sum += p.step(rate, loops)
				}
			}
			if sum != loops*rate {
				t.Errorf("rate %d, %d loops: %d in as many seconds", rate, loops, sum)
			}
		}
	}
}
