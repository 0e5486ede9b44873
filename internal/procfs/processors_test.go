package procfs

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

// addList adds all processors of a list from /proc/PID/status.
func TestAddList(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]int{"0": {0}, "0-1": {0, 1}, "3,5-7,11": {3, 5, 6, 7, 11}, "": nil, "x": nil,
		"1-x,2": {2}} {
		all := make(map[int]bool)
		addList(all, list)
		if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}

// spent adds up the times of the given processors, and nothing else of /proc/stat.
func TestSpent(t *testing.T) {
	t.Parallel()
	const stat = `cpu  6000 600 60 9000 70 80 90 300 5 5
cpu0 1 2 4 1000 9 9 9 8 0 0
cpu1 16 32 64 1000 9 9 9 128 0 0
cpu2 4096 4096 4096 1000 9 9 9 4096 0 0
cpux 1 1 1 1 1 1 1 1
cpu3 1 2
intr 1 2 3 4 5 6 7 8 9
`
	for name, c := range map[string]struct {
		on   map[int]bool
		want Spent
	}{
		"none": {nil, Spent{}},
		"one":  {map[int]bool{0: true}, Spent{7 * tick, 8 * tick}},
		"two":  {map[int]bool{0: true, 1: true, 3: true}, Spent{119 * tick, 136 * tick}},
	} {
		if got := spent(stat, c.on); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// This process keeps a processor busy, and SpentBy shows it.
func TestSpentBy(t *testing.T) {
	t.Parallel()
	on := Processors(os.Getpid())
	if len(on) == 0 {
		t.Skip("NOT TESTED: there is no /proc")
	}
	before := SpentBy(on)
	for deadline := time.Now().Add(30 * time.Second); SpentBy(on).Busy <= before.Busy; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was done by %v after %v", on, before)
		}
	}
}
