package bench_test

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// Users come and go, and messages sent while a user leaves need not arrive. Only the generator
// knows when a user has decided to leave. So a fault counts for certain if the receiver sent
// something before the message and again after it, in the same room, or stayed until the end.

// doubt is a fault in a message sent at a time, while it is not certain.
type doubt uint32

// certain reports whether p was present when the message was sent.
func (s *liar) certain(p *caller, k mark) bool {
	return s.mode != bench.Chat || p.spoke && int32(k.at-p.at) > 0
}

func (s *liar) doubt(p *caller, k mark) {
	if s.mode == bench.Chat {
		p.doubts = append(p.doubts, doubt(k.at))
	}
}

// speaks notes that p was present at a time.
func (s *liar) speaks(p *caller, at uint32) {
	if !p.spoke {
		p.at = at
	}
	p.spoke, p.been = true, true
	p.doubts = slices.DeleteFunc(p.doubts, func(d doubt) bool { return int32(at-uint32(d)) > 0 })
}

// leaves removes p from a room.
func (s *liar) leaves(p *caller, room string) {
	s.rooms[room] = slices.DeleteFunc(s.rooms[room], func(q *caller) bool { return q == p })
	s.doubts += len(p.doubts)
	s.moves++
	p.spoke, p.doubts = false, nil
}

// hungUp removes p from all rooms. It may reconnect, or the run may be over.
func (s *liar) hungUp(p *caller) {
	for name, room := range s.rooms {
		s.rooms[name] = slices.DeleteFunc(room, func(q *caller) bool { return q == p })
	}
}

// returns notes a login of a user who was connected as p before; nil: as nobody.
func (s *liar) returns(p *caller) {
	if p != nil {
		s.moves++
		s.doubts += len(p.doubts)
	}
}

// TestLiarChat causes faults in mode chat. The report counts what was done, except for messages
// that a leaving user did not wait for.
func TestLiarChat(t *testing.T) {
	t.Parallel()
	cases := []lie{
		{name: "a leave is not answered", silent: 'l', oneIn: 2},
		{name: "a join is not answered", silent: 'j', oneIn: 2},
	}
	for _, l := range lies {
		switch l.name {
		case "nothing wrong", "dropped", "doubled", "a byte changed", "text for binary", "garbage that nobody sent",
			"of a stream that does not exist", "of a sequence that was never sent", "late":
			cases = append(cases, l)
		}
	}
	together(t, func(run func(string, func(*testing.T))) {
		for _, l := range cases {
			for _, c := range []bench.Codec{bench.Text, bench.WebSocket} {
				if l.codec == nil || slices.Contains(l.codec, c) {
					run(l.name+"/"+string(c), func(t *testing.T) {
						r, s := lieTo(t,
							bench.Options{Mode: bench.Chat, Codec: c, Conns: 20, RoomSize: 8, Think: 10 * time.Millisecond}, l)
						s.checkChat(t, r)
					})
				}
			}
		}
	})
}

// checkChat compares the report with what was done.
func (s *liar) checkChat(t *testing.T, r *bench.Report) {
	t.Helper()
	got := r.Audit
	if got.Received != got.Expected-got.Lost+got.Duplicated+got.Unexpected {
		t.Errorf("the account does not close: %+v", got)
	}
	between := func(what string, v, most, each uint64) {
		t.Helper()
		if v > most || v+uint64(s.doubts)*each < most {
			t.Errorf("%s: %d, where %d of %d lies are in doubt and all of them make %d", what, v, s.doubts, s.told, most)
		}
	}
	between("lost", got.Lost, s.did.Lost, s.lie.adds.Lost)
	between("duplicated", got.Duplicated, s.did.Duplicated, s.lie.adds.Duplicated)
	between("changed", got.Changed, s.did.Changed, s.lie.adds.Changed)
	// Changed messages that need not have arrived cannot be read, but none of them is missing.
	needless := min(got.Unexpected, uint64(s.doubts)*s.lie.adds.Changed)
	between("unexpected", got.Unexpected-needless, s.did.Unexpected, s.lie.adds.Unexpected)
	between("reordered", got.Reordered, 0, 0)
	between("unanswered", got.Unanswered, s.did.Unanswered, 0)
	if got.Sent != s.did.Sent || got.Received > s.did.Received || s.moves == 0 && got.Received != s.did.Received {
		t.Errorf("%d sent and %d received, of what was %d and %d; people went %d times",
			got.Sent, got.Received, s.did.Sent, s.did.Received, s.moves)
	}
	wrong := s.lie.adds != (bench.Audit{}) || s.lie.silent != 0
	if wrong && s.told > s.doubts && !r.Verdict.Failed || !wrong && r.Verdict.Failed {
		t.Errorf("%d lies were told, and the verdict is %+v", s.told, r.Verdict)
	}
}
