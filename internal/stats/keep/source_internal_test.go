package keep

import (
	"math/rand/v2"
	"testing"
)

// Each number is taken once, in whatever order numbers come within the window, and what is stored
// of a source says the same.
func TestNumbersAreTakenOnce(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var s source
	taken := make(map[uint64]bool)
	next := uint64(1)
	for range 50_000 {
		seq := next
		switch random.IntN(4) {
		case 0:
			next++
		case 1: // some are not there yet
			next += random.Uint64N(40)
			seq = next
		default:
			seq = 1 + random.Uint64N(next)
		}
		want := !taken[seq] && seq+window > s.highest
		if got := s.take(seq); got != want {
			t.Fatalf("%d is taken: %v, want %v; the highest is %d", seq, got, want, s.highest)
		}
		taken[seq] = true
		if random.IntN(20) == 0 {
			var err error
			if s, err = readSource(s.encode()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.take(0) || s.take(1) {
		t.Error("a number that is too old is taken")
	}
	far := s.highest + 10*window
	if !s.take(far) || s.take(far) || !s.take(far-1) || !s.take(far-window+1) || s.take(far-window) {
		t.Error("numbers after a long gap")
	}
	if _, err := readSource(s.encode()[:sourceHead-1]); err == nil {
		t.Error("a short source is read")
	}
}

// Sources that have not reported for days are forgotten, and the oldest when there are too many.
func TestOldSources(t *testing.T) {
	t.Parallel()
	all := make(sources)
	for i := range 100 {
		all[[16]byte{byte(i)}] = seenSource{last: uint32(i)}
	}
	if gone := all.old(0, 100); len(gone) != 0 {
		t.Errorf("%d are forgotten, want none", len(gone))
	}
	for _, want := range []struct {
		before uint32
		most   int
		gone   int
	}{{10, 100, 10}, {0, 80, 30}, {90, 80, 90}} {
		gone := all.old(want.before, want.most)
		if len(gone) != want.gone {
			t.Errorf("%+v: %d are forgotten", want, len(gone))
		}
		for _, id := range gone {
			if int(id[0]) >= want.gone {
				t.Errorf("%+v: %d is forgotten, which is not one of the oldest", want, id[0])
			}
		}
	}
}
