package narrow

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

const began = time.Hour

// permitted is a Sender with the permits of gateways 1 to n, in generation 1.
func permitted(n, maxSets int) *Sender {
	s := NewSender(1_000_000, maxSets)
	for id := range uint32(n) {
		s.AddGateway(id + 1)
		s.Permit(began, id+1, 1, began)
	}
	return s
}

// learn has the sender ask for a group and gives it the answer.
func (s *Sender) learn(now time.Duration, group string, holders ...uint32) {
	s.Narrow(now, directory.Group, [][]byte{[]byte(group)})
	for _, set := range s.TakeWanted(now) {
		s.Located(now, set, holders, 1)
	}
}

// to returns the gateways of a message to groups; nil: all.
func (s *Sender) recipients(now time.Duration, groups ...string) []uint32 {
	var names [][]byte
	for _, g := range groups {
		names = append(names, []byte(g))
	}
	to, ok := s.Narrow(now, directory.Group, names)
	if !ok {
		return nil
	}
	return slices.Sorted(slices.Values(to))
}

// A message to a group at 3 of 100 gateways is 3 frames.
func TestThreeOfAHundred(t *testing.T) {
	t.Parallel()
	s := permitted(100, 0)
	if to := s.recipients(began, "g"); to != nil {
		t.Errorf("an unknown group goes to %d", to)
	}
	s.learn(began, "g", 30, 7, 99, 7, 1_000_000)
	s.learn(began, "h", 8)
	if to := s.recipients(began, "g"); !slices.Equal(to, []uint32{7, 30, 99}) {
		t.Errorf("the group goes to %d", to)
	}
	if to := s.recipients(began, "g", "h"); !slices.Equal(to, []uint32{7, 8, 30, 99}) {
		t.Errorf("two groups go to %d", to)
	}
	if s.Narrowed != 2 || s.Spared != 97+96 || s.WidenedUnknown != 3 {
		t.Errorf("%+v", s.SenderCounters)
	}
}

// Gateways that do not permit to be left out get each message.
func TestWithoutAPermit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(s *Sender)
		now    time.Duration
		want   []uint32
	}{
		"all permit":          {func(*Sender) {}, began, []uint32{1}},
		"a new gateway":       {func(s *Sender) { s.AddGateway(5) }, began, []uint32{1, 5}},
		"a gateway that left": {func(s *Sender) { s.RemoveGateway(1) }, began, []uint32{1}},
		"withdrawn":           {func(s *Sender) { s.Revoke(2) }, began, []uint32{1, 2}},
		"answered with none":  {func(s *Sender) { s.Permit(began, 2, 0, began) }, began, []uint32{1, 2}},
		"of other data":       {func(s *Sender) { s.Permit(began, 2, 9, began) }, began, []uint32{1, 2}},
		"younger than the set": {func(s *Sender) { s.Revoke(2); s.Permit(began+1, 2, 1, began+1) }, began + 1,
			[]uint32{1, 2}},
		"renewed":       {func(s *Sender) { s.Permit(began+1, 2, 1, began+1) }, began + 1, []uint32{1}},
		"over":          {func(*Sender) {}, began + PermitTime, []uint32{1, 2, 3, 4}},
		"just not over": {func(*Sender) {}, began + PermitTime - 1, []uint32{1}},
		"renewed after the end": {func(s *Sender) { s.Permit(began+PermitTime, 2, 1, began+PermitTime) }, began + PermitTime,
			[]uint32{1, 2, 3, 4}},
		"a set that is too old": {func(*Sender) {}, began + SetTime, nil},
		"a set that is forgotten": {func(s *Sender) { s.Forget(directory.Set{Kind: directory.Group, Name: "g"}) }, began,
			nil},
	} {
		s := permitted(4, 0)
		s.learn(began, "g", 1)
		c.change(s)
		if to := s.recipients(c.now, "g"); !slices.Equal(to, c.want) {
			t.Errorf("%s: to %d, want %d", name, to, c.want)
		}
	}
}

// A set that changed while the directory was asked is asked for again.
func TestAnAnswerThatIsTooOld(t *testing.T) {
	t.Parallel()
	s := permitted(2, 0)
	s.recipients(began, "g")
	wanted := s.TakeWanted(began)
	s.Forget(wanted[0])
	s.Located(began, wanted[0], nil, 1)
	if to := s.recipients(began, "g"); to != nil || !s.Wants() {
		t.Errorf("to %d; it is asked for again: %v", to, s.Wants())
	}
	s.Located(began, s.TakeWanted(began)[0], nil, 0) // the directory does not answer
	if to := s.recipients(began, "g"); to != nil || s.Wants() || s.WidenedUnavailable != 1 {
		t.Errorf("to %d; it is asked at once: %v; %+v", to, s.Wants(), s.SenderCounters)
	}
	if s.recipients(began+retryAfter, "g"); !s.Wants() {
		t.Error("it is never asked for again")
	}
}

// After a join of a client at another gateway was relayed there, messages to the group go to all
// until it is confirmed. Too many such joins make their gateways get everything.
func TestRelayedJoins(t *testing.T) {
	t.Parallel()
	s := permitted(3, 4*maxJoins)
	group := func(i int) directory.Set { return directory.Set{Kind: directory.Group, Name: fmt.Sprint(i)} }
	for i := range maxJoins + 1 {
		s.learn(began, fmt.Sprint(i))
		s.Relayed(group(i), 2, uint64(i+1))
	}
	s.learn(began, "other")
	s.Permit(began+1, 2, 1, began+1)
	if to := s.recipients(began, "other"); !slices.Equal(to, []uint32{2}) {
		t.Errorf("past the bound a message to another group goes to %d", to)
	}
	s.Confirmed(2, 5)
	s.Confirmed(3, 1000)
	for i, want := range map[int]bool{0: false, 4: false, 5: true, maxJoins - 1: true} {
		before := s.WidenedJoining
		if s.recipients(began, fmt.Sprint(i)); s.WidenedJoining > before != want {
			t.Errorf("the message to group %d waits for a join: %v", i, !want)
		}
	}
	s.Confirmed(2, maxJoins+1)
	s.Permit(began+2, 2, 1, began+2)
	s.learn(began+3, "5", 1)
	if to := s.recipients(began+3, "5"); !slices.Equal(to, []uint32{1}) || len(s.joins)+len(s.joining) > 0 {
		t.Errorf("after the confirmation: to %d, %d joins", to, len(s.joins))
	}
}

// The sets in memory are bounded. The ones that are used stay.
func TestSetsAreForgotten(t *testing.T) {
	t.Parallel()
	s := permitted(2, 100)
	for i := range 1000 {
		s.learn(began, fmt.Sprint(i), 1)
		s.recipients(began, "0")
	}
	if s.recipients(began, "0") == nil || s.Len() != 100 || s.Evicted < 800 || len(s.ring) != 100 {
		t.Errorf("%d sets, %d evicted, the one in use is known: %v", s.Len(), s.Evicted, s.recipients(began, "0") != nil)
	}
	for i := range 10_000 {
		s.recipients(began, fmt.Sprint("unknown ", i))
	}
	if len(s.fetching) > s.maxFetches || len(s.wanted) > s.maxFetches {
		t.Errorf("%d sets are asked for", len(s.fetching))
	}
}

// A decision allocates nothing, and its time does not grow with the number of gateways.
func TestADecisionAllocatesNothing(t *testing.T) {
	s := permitted(1000, 0)
	s.learn(began, "g", 1, 2, 3)
	names := [][]byte{[]byte("g")}
	if n := testing.AllocsPerRun(100, func() { s.Narrow(began, directory.Group, names) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNarrow(b *testing.B) {
	for _, gateways := range []int{10, 100, 1000} {
		for _, holders := range []int{1, 3, 10, 100, 1000} {
			if holders > gateways {
				continue
			}
			b.Run(fmt.Sprintf("%d of %d", holders, gateways), func(b *testing.B) {
				s := permitted(gateways, 0)
				var ids []uint32
				for id := range uint32(holders) {
					ids = append(ids, id+1)
				}
				s.learn(began, "group", ids...)
				names := [][]byte{[]byte("group")}
				for b.Loop() {
					s.Narrow(began, directory.Group, names)
				}
			})
		}
	}
}
