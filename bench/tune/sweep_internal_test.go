package tune

import (
	"slices"
	"testing"
)

// TestSweep has machines of one to many processors: the values cover all
// of them, and take less than a day.
func TestSweep(t *testing.T) {
	t.Parallel()
	for cpus, want := range map[int][]int{
		0: {1}, 1: {1}, 2: {1, 2}, 3: {1, 2, 3}, 4: {1, 2, 3, 4}, 6: {1, 2, 3, 4, 6}, 10: {1, 2, 3, 4, 6, 8, 10},
		64: {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64},
	} {
		var w Sweep
		w.defaults(cpus)
		if !slices.Equal(w.Reactors, want) || !slices.Equal(w.WorkerProcs, want) || len(w.Workers) < 1 || len(w.Pin) != 2 {
			t.Errorf("%d processors: %+v", cpus, w)
		}
		if n := len(w.Reactors) + len(w.Workers) + len(w.WorkerProcs) + len(w.Pin); n > 40 {
			t.Errorf("%d processors: %d settings", cpus, n)
		}
		if s := w.start(max(cpus, 1)); s != (Setting{max(cpus, 1), 1, max(cpus, 1), false}) {
			t.Errorf("%d processors: the tuning begins with %v, want what servers have by default", cpus, s)
		}
	}
	w := Sweep{Reactors: []int{2, 5}, Workers: []int{3}, WorkerProcs: []int{1, 4}, Pin: []bool{true}}
	w.defaults(8)
	if got := w.around(w.start(8), 0); !slices.Equal(got, []Setting{{2, 3, 4, true}, {5, 3, 4, true}}) {
		t.Errorf("%v", got)
	}
	if s := w.start(2); s != (Setting{2, 3, 4, true}) {
		t.Errorf("of values with one default among them the tuning begins with %v", s)
	}
	if n, err := w.Runs(); n != 12 || err != nil {
		t.Errorf("%d runs, %v", n, err)
	}
}
