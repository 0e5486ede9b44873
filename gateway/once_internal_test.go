package gateway

import "testing"

// Marks of a client count up; clients are forgotten in the order in which they came.
func TestDone(t *testing.T) {
	t.Parallel()
	var d done
	ann := remote{1, 2, 3}
	for _, c := range []struct {
		mark  uint64
		first bool
	}{{0, true}, {0, false}, {1, true}, {1 << 16, true}, {1, false}, {1 << 16, false}, {eventClosed << 16, true}, {5 << 16, false}} {
		if d.first(ann, c.mark) != c.first {
			t.Errorf("%#x: first %v", c.mark, !c.first)
		}
	}
	for i := range uint32(maxRemotes - 1) {
		d.first(remote{2, i, 0}, 0)
	}
	if d.first(ann, 0) {
		t.Error("forgotten too early")
	}
	d.first(remote{3, 0, 0}, 0)
	if !d.first(ann, 0) || d.first(remote{3, 0, 0}, 0) || len(d.newest) != maxRemotes || len(d.order) != maxRemotes {
		t.Errorf("%d clients are remembered, %d in order", len(d.newest), len(d.order))
	}
}

const eventClosed = 1<<32 - 1
