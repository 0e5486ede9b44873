package gateway

import "testing"

// Commands of an event count up, events may overtake each other, and clients are forgotten in the order in which they came.
func TestDone(t *testing.T) {
	t.Parallel()
	var d done
	ann := remote{1, 2, 3}
	for i, c := range []struct {
		event uint32
		index uint16
		first bool
	}{
		{0, 0, true}, {0, 0, false}, {0, 1, true}, {0, 0, false}, {1, 0, true}, {3, 0, true}, {3, 2, true}, {3, 1, false},
		{2, 0, true}, {2, 0, false}, // it was overtaken
		{4, 0, true}, {5, 0, true}, {6, 0, true}, {eventClosed, 0, true}, {eventClosed, 0, false}, {0, 2, true},
		{8, 0, true}, {0, 3, false}, {1, 1, true}, {1, 0, false}, // eight are remembered, and 0 is the ninth
	} {
		if d.first(ann, c.event, c.index) != c.first {
			t.Errorf("step %d: event %d, index %d: first %v", i, c.event, c.index, !c.first)
		}
	}
	for i := range uint32(maxRemotes - 1) {
		d.first(remote{2, i, 0}, 0, 0)
	}
	if d.first(ann, 1, 0) {
		t.Error("forgotten too early")
	}
	d.first(remote{3, 0, 0}, 0, 0)
	if !d.first(ann, 0, 0) || d.first(remote{3, 0, 0}, 0, 0) || len(d.of) != maxRemotes || len(d.order) != maxRemotes {
		t.Errorf("%d clients are remembered, %d in order", len(d.of), len(d.order))
	}
}

const eventClosed = 1<<32 - 1
