package bench

import (
	"fmt"
	"slices"
	"testing"
)

// All parts of a run, each with its share of the senders, follow one grid: their messages are due
// at even distances, in each round one for every sender.
func TestSchedule(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{Mode: Echo, Conns: 8, Loops: 1, Processes: 1},
		{Mode: Echo, Conns: 7, Loops: 2, Processes: 1},
		{Mode: Echo, Conns: 8, Loops: 1, Processes: 4},
		{Mode: Push, Conns: 103, Loops: 3, Processes: 5},
		{Mode: Broadcast, Conns: 50, Senders: 2, Loops: 2, Processes: 3},
		{Mode: Rooms, Conns: 50, RoomSize: 7, Loops: 1, Processes: 2},
		{Mode: Chat, Conns: 50, RoomSize: 7, Loops: 2, Processes: 2},
		{Mode: Connect, Conns: 10, Loops: 2, Processes: 3},
	} {
		o.Rate = 1000
		t.Run(fmt.Sprintf("%s-%d-%d-%d", o.Mode, o.Conns, o.Loops, o.Processes), func(t *testing.T) {
			t.Parallel()
			var due []float64
			for p := range o.Processes {
				if got := o.process(o.border(p)); got != p {
					t.Fatalf("process %d is taken for %d", p, got)
				}
				for _, s := range schedulesOf(&o, p, 5000) {
					for i := range 3 * len(s.slots) {
						due = append(due, s.due(i))
					}
				}
			}
			senders := 0
			for i := range o.Conns {
				if o.sends(uint32(i)) {
					senders++
				}
			}
			if len(due) != 3*senders {
				t.Fatalf("%d messages in three rounds of %d senders", len(due), senders)
			}
			slices.Sort(due)
			for i, at := range due {
				if want := 5000 + float64(i)*1000; at != want {
					t.Fatalf("message %d is due at %g, want %g", i, at, want)
				}
			}
		})
	}
}

// The parts take turns: none has several messages in a row while another waits.
func TestGridIsEven(t *testing.T) {
	t.Parallel()
	for _, senders := range [][]int{{4, 4}, {25, 25, 25, 25}, {4, 3}, {0, 5, 1}} {
		all := 0
		for _, n := range senders {
			all += n
		}
		for part, slots := range grid(senders) {
			if len(slots) != senders[part] {
				t.Errorf("%v: part %d has %d slots", senders, part, len(slots))
			}
			for i, at := range slots {
				ideal := (float64(i) + 0.5) * float64(all) / float64(len(slots))
				if float64(at) < ideal-float64(len(senders)) || float64(at) > ideal+float64(len(senders)) {
					t.Errorf("%v: slot %d of part %d is %d, far from %g", senders, i, part, at, ideal)
				}
			}
		}
	}
}
