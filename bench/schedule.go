package bench

import (
	"cmp"
	"slices"
)

// A schedule says when the messages of a shard are due in an open loop, or in mode connect
// the dials of a process. All of them share one grid: its slots are 1/Rate apart, and in
// each round every sender has one.
type schedule struct {
	slots  []uint32 // of this part, in a round
	round  int      // slots in a round: the senders of the whole run
	period float64  // between slots, in microseconds
	start  float64  // of the first slot, in microseconds since the start of the run
}

// due returns when message n is due, in microseconds since the start of the run.
func (s *schedule) due(n int) float64 {
	of := len(s.slots)
	return s.start + float64(n/of*s.round+int(s.slots[n%of]))*s.period
}

// grid shares the slots of a round among parts with so many senders each. A part gets as many slots
// as it has senders, spread evenly.
func grid(senders []int) [][]uint32 {
	type turn struct {
		at   float64 // in the round, from 0 to 1
		part int
	}
	var round []turn
	for part, n := range senders {
		for i := range n {
			round = append(round, turn{(float64(i) + 0.5) / float64(n), part})
		}
	}
	slices.SortFunc(round, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.part, b.part))
	})
	slots := make([][]uint32, len(senders))
	for i, t := range round {
		slots[t.part] = append(slots[t.part], uint32(i))
	}
	return slots
}

// schedulesOf returns those of each shard of a generator process; in mode connect one for all.
func schedulesOf(o *Options, process int, start int64) (own []schedule) {
	parts := o.Loops // of a process
	if o.Mode == Connect {
		parts = 1
	}
	senders, all := make([]int, max(o.Processes, 1)*parts), 0
	for p := range max(o.Processes, 1) {
		for i := o.border(p); i < o.border(p+1); i++ {
			if o.sends(i) {
				senders[p*parts+int(i)/o.group()%parts]++
				all++
			}
		}
	}
	for _, slots := range grid(senders)[process*parts : (process+1)*parts] {
		own = append(own, schedule{slots: slots, round: all, period: 1e6 / o.Rate, start: float64(start)})
	}
	return own
}
