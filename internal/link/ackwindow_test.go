package link

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// bookAt returns an AckWindow whose next sequence is seq.
func bookAt(seq, window uint32) *AckWindow {
	s := new(AckWindow)
	s.Init(window)
	s.first, s.next = seq, seq
	s.marks = [2]uint32{seq, seq}
	return s
}

func ignore(Acked) {}

// AckWindow agrees with a simple model over thousands of pushes and acknowledgements in any order,
// with hanging frames that become late, across the wrap of the sequence.
func TestSentModel(t *testing.T) {
	t.Parallel()
	type frame struct {
		of    Type
		slot  uint32
		token uint64
		n     int
	}
	const window = 50_000
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const start = 0xFFFFFFFF - 1000
		s := bookAt(start, window)
		out := map[uint32]frame{}
		next, bytes := uint32(start), 0
		aside, marks := uint32(start), [2]uint32{start, start} // the frames before aside are late
		late := func() (n int) {
			for seq, f := range out {
				if int32(seq-aside) < 0 {
					n += f.n
				}
			}
			return n
		}
		for range 4000 {
			if seed%2 == 0 && rng.IntN(100) == 0 {
				s.Age()
				aside, marks = marks[0], [2]uint32{marks[1], next}
			}
			f := frame{Attach + Type(rng.IntN(3)), rng.Uint32N(2), rng.Uint64N(2), HeaderSize + rng.IntN(1000)}
			counts := bytes - min(late(), lateWindows*window)
			fits := counts+f.n <= window || counts == 0
			if s.Fits(f.n) != fits {
				t.Fatalf("seed %d: fits %d with %d outstanding, of which %d count: %v", seed, f.n, bytes, counts, !fits)
			}
			if fits && rng.IntN(5) > 0 {
				if seq := s.Push(f.of, f.slot, f.token, f.n); seq != next {
					t.Fatalf("seed %d: sequence %d, want %d", seed, seq, next)
				}
				out[next] = f
				next++
				bytes += f.n
				continue
			}
			first := next - 1 - rng.Uint32N(200)
			last := first
			for len(out) > 0 && rng.IntN(3) > 0 { // until all that can be acknowledged is, or earlier
				if _, ok := out[last+1]; !ok {
					break
				}
				last++
			}
			_, known := out[first]
			var before Acked
			err := s.Ack(first, last, func(a Acked) {
				if a.Frames > 1 && a.Type != Message || a.Type == Message && before.Type == Message && a.Slot == before.Slot &&
					a.Token == before.Token {
					t.Fatalf("seed %d: %v after %v", seed, a, before)
				}
				before = a
				for range a.Frames {
					f := out[first]
					if f.of != a.Type || f.slot != a.Slot || f.token != a.Token {
						t.Fatalf("seed %d: %d is of %v, want %v", seed, first, a, f)
					}
					delete(out, first)
					bytes -= f.n
					a.Bytes -= f.n
					first++
				}
				if a.Bytes != 0 {
					t.Fatalf("seed %d: %d bytes too many before %d", seed, a.Bytes, first)
				}
			})
			if (err == nil) != known || err != nil && !errors.Is(err, ErrFrame) {
				t.Fatalf("seed %d: %d…%d known %v: %v", seed, first, last, known, err)
			}
			if known && first != last+1 {
				t.Fatalf("seed %d: acknowledged up to %d, want %d", seed, first, last)
			}
			if _, b := s.Outstanding(); b != bytes {
				t.Fatalf("seed %d: %d bytes outstanding, want %d", seed, b, bytes)
			}
		}
	}
}

func TestSentRefuses(t *testing.T) {
	t.Parallel()
	for _, start := range []uint32{1, 0, 0xFFFFFFFE, 1 << 31} {
		for _, c := range []struct {
			name         string
			first, last  uint32 // relative to start
			done, failed int
		}{
			{"never sent", 4, 4, 0, 1},
			{"beyond what was sent", 2, 4, 0, 1},
			{"before the first", 0xFFFFFFFF, 0, 0, 1},
			{"upside down", 2, 1, 0, 1},
			{"everything there is", 0, 0xFFFFFFFF, 0, 1},
			{"acknowledged twice", 1, 2, 1, 1},
			{"the rest", 2, 3, 2, 0},
			{"the first", 0, 0, 1, 0},
		} {
			s := bookAt(start, 1000)
			for i := range 4 {
				s.Push(Message, uint32(i), 0, 100)
			}
			if c.name == "acknowledged twice" {
				if err := s.Ack(start+2, start+2, ignore); err != nil {
					t.Fatal(err)
				}
			}
			done := 0
			err := s.Ack(start+c.first, start+c.last, func(a Acked) { done += a.Frames })
			if done != c.done || errors.Is(err, ErrFrame) != (c.failed == 1) {
				t.Errorf("from %d, %s: %d done, %v", start, c.name, done, err)
			}
		}
		if err := bookAt(start, 1).Ack(start, start, ignore); !errors.Is(err, ErrFrame) {
			t.Errorf("from %d, nothing sent: %v", start, err)
		}
	}
}

// One frame may always be sent when nothing is unacknowledged. A changed window counts at once.
func TestSentWindow(t *testing.T) {
	t.Parallel()
	s := bookAt(1, 0)
	if !s.Fits(MaxFrame) {
		t.Error("a frame alone does not fit")
	}
	s.Push(Message, 0, 0, 100)
	if s.Fits(HeaderSize) {
		t.Error("a second frame fits a window of 0")
	}
	s.window = 200
	if !s.Fits(100) || s.Fits(101) {
		t.Error("window of 200 with 100 outstanding")
	}
	s.window = WindowBytes(1<<32 - 1)
	if !s.Fits(MaxFrame) {
		t.Error("the largest window")
	}
	if frames, bytes := s.Outstanding(); frames != 1 || bytes != 100 {
		t.Error(frames, bytes)
	}
}

// Frames that stay unacknowledged do not make the ring grow and do not block later ones, as long as
// sequences can be distinguished. They may be acknowledged in the end.
func TestSentGoesOnBehindWhatHangs(t *testing.T) {
	t.Parallel()
	s := bookAt(0xFFFF0000, 1000)
	stuck := []uint32{s.Push(Message, 7, 70, 100), s.Push(Message, 8, 80, 101), s.Push(Message, 9, 90, 102)}
	push := func(n int) {
		for range n {
			if !s.Fits(100) {
				t.Fatal("held up")
			}
			seq := s.Push(Message, 0, 0, 100)
			if err := s.Ack(seq, seq, ignore); err != nil {
				t.Fatal(err)
			}
		}
	}
	push(3 * denseRing)
	if frames, bytes := s.Outstanding(); frames != 3 || bytes != 303 || len(s.ring) != denseRing ||
		s.Oldest() != stuck[0] {
		t.Errorf("%d frames, %d bytes, ring of %d, the oldest is %d", frames, bytes, len(s.ring), s.Oldest())
	}
	ack := func(i int, oldest uint32) {
		slot, n := uint32(0), 0
		if err := s.Check(stuck[i], stuck[i]); err != nil {
			t.Error(err)
		}
		err := s.Ack(stuck[i], stuck[i], func(a Acked) { slot, n = a.Slot, a.Bytes })
		if err != nil || slot != uint32(7+i) || n != 100+i || s.Out(stuck[i]) || s.Oldest() != oldest {
			t.Errorf("%d: slot %d, %d bytes, the oldest is %d, want %d: %v", i, slot, n, s.Oldest(), oldest, err)
		}
		if err := s.Ack(stuck[i], stuck[i], ignore); !errors.Is(err, ErrFrame) {
			t.Errorf("%d is acknowledged twice: %v", i, err)
		}
	}
	ack(1, stuck[0])
	ack(0, stuck[2])
	push(denseRing)
	ack(2, s.next)
	s.next, s.first = s.next+maxSpan-1, s.next // as if that many had been sent
	if frames, _ := s.Outstanding(); frames != 0 || !s.Fits(5000) {
		t.Errorf("%d frames are outstanding, and one alone does not fit", frames)
	}
}

// Frames that hang for two calls of Age do not count against the window any more, up to some
// windows. Acknowledging them is fast in any order, however many there are.
func TestSentAges(t *testing.T) {
	t.Parallel()
	const window, size = 1_000_000, 100
	s := bookAt(0xFFFFF000, window)
	fill := func() (n uint32) {
		for ; s.Fits(size); n++ {
			s.Push(Message, 1, 1, size)
		}
		return n
	}
	first, total := s.next, uint32(0)
	for i := range lateWindows + 1 {
		n := fill()
		total += n
		if want := window / size; int(n) != want {
			t.Fatalf("after %d windows %d more fit, not %d", i, n, want)
		}
		s.Age()
		if s.Fits(size) {
			t.Error("it has not hung for two ages")
		}
		s.Age()
		s.Age()
	}
	if n := fill(); n > 0 {
		t.Errorf("%d fit though too much hangs", n)
	}
	if frames, bytes := s.Outstanding(); frames != int(total) || bytes != int(total)*size {
		t.Errorf("%d frames, %d bytes outstanding", frames, bytes)
	}
	for i := range total { // the even ones from the front, then the odd ones from the back
		seq := first + 2*i
		if half := (total + 1) / 2; i >= half {
			seq = first + 2*(total-1-i) + 1
		}
		if err := s.Ack(seq, seq, ignore); err != nil {
			t.Fatal(i, seq, err)
		}
	}
	if frames, bytes := s.Outstanding(); frames != 0 || bytes != 0 || s.Oldest() != s.next || cap(s.late.list) != 0 {
		t.Errorf("%d frames, %d bytes outstanding", frames, bytes)
	}
}

// An acknowledgement may start with late frames and continue with those in the ring. No frame is
// sent further ahead of the oldest than sequences can be distinguished.
func TestSentAcknowledgesAcrossWhatWasPutAside(t *testing.T) {
	t.Parallel()
	s := bookAt(1, 1<<30)
	for range denseRing { // none is acknowledged, then the newer three quarters and more
		s.Push(Message, 0, 0, 100)
	}
	const hang = 100
	if err := s.Ack(hang+1, denseRing, ignore); err != nil {
		t.Fatal(err)
	}
	s.Push(Message, 0, 0, 100)
	last := s.Push(Message, 0, 0, 100)
	if s.late.live != hang || s.Oldest() != 1 {
		t.Fatalf("%d are put aside, the oldest is %d", s.late.live, s.Oldest())
	}
	n := 0
	if err := s.Ack(50, hang, func(a Acked) { n += a.Frames }); err != nil || n != hang-49 {
		t.Errorf("%d are acknowledged: %v", n, err)
	}
	if err := s.Check(40, last); !errors.Is(err, ErrFrame) {
		t.Errorf("a range with some that are acknowledged: %v", err)
	}
	if err := s.Check(49, last+1); !errors.Is(err, ErrFrame) {
		t.Errorf("a range with one that was never sent: %v", err)
	}
	s.first, s.next = maxSpan+1, maxSpan+1
	if s.Fits(100) {
		t.Error("a frame fits so far ahead of the oldest")
	}
}

// The callback of Ack may send the next frames, so many that the ring grows meanwhile.
func TestSentPushWithinAck(t *testing.T) {
	t.Parallel()
	start := uint32(0xFFFFFFF0)
	s := bookAt(start, 1<<20)
	for i := range uint32(firstRing) {
		s.Push(Message, i, 0, 100)
	}
	want := uint32(0)
	if err := s.Ack(start, start+firstRing-1, func(a Acked) {
		if a.Slot != want {
			t.Fatalf("slot %d, want %d", a.Slot, want)
		}
		want++
		s.Push(Message, 1000+a.Slot*2, 0, 100)
		s.Push(Message, 1001+a.Slot*2, 0, 100)
	}); err != nil {
		t.Fatal(err)
	}
	if frames, bytes := s.Outstanding(); frames != 2*firstRing || bytes != 200*firstRing {
		t.Errorf("%d frames, %d bytes outstanding", frames, bytes)
	}
}

// A message larger than half of the window is sent outside of the window, one at a time, whatever
// else is unacknowledged. Large messages that hang leave credit for the others.
func TestSentLarge(t *testing.T) {
	t.Parallel()
	const window = 1000
	type step struct {
		size int
		fits bool
	}
	push := func(s *AckWindow, n int) uint32 { return s.Push(Message, 1, 1, n) }
	expect := func(when string, s *AckWindow, steps ...step) {
		t.Helper()
		for _, step := range steps {
			if s.Fits(step.size) != step.fits {
				t.Errorf("%s: %d bytes: %v", when, step.size, !step.fits)
			}
		}
	}
	s := bookAt(1, window)
	expect("at first", s, step{500, true}, step{501, true}, step{1000, true}, step{50_000, true})
	small := push(s, 400)
	expect("with 400 out", s, step{500, true}, step{600, true}, step{50_000, true})
	large := push(s, 50_000)
	expect("with a large one out", s, step{500, true}, step{501, false}, step{50_000, false})
	push(s, 500)
	expect("with 900 and a large one out", s, step{100, true}, step{101, false}, step{501, false})
	if frames, bytes := s.Outstanding(); frames != 3 || bytes != 50_900 {
		t.Errorf("outstanding: %d, %d bytes", frames, bytes)
	}
	if err := s.Ack(large, large, ignore); err != nil {
		t.Fatal(err)
	}
	expect("with 900 out", s, step{100, true}, step{101, false}, step{50_000, true})
	_ = s.Ack(small, small, ignore)
	large = push(s, 50_000)
	s.Age()
	s.Age()
	s.Age() // the large one hangs
	expect("with a large one aside", s, step{500, true}, step{501, false}, step{50_000, false})
	_ = s.Ack(large, large, ignore)
	expect("when it has come", s, step{501, true}, step{50_000, true})
	for range lateWindows {
		push(s, window)
	}
	s.Age()
	s.Age()
	s.Age()
	expect("with as much aside as may be", s, step{500, true}, step{501, false})
	s.window = 4 * window
	expect("in a larger window", s, step{501, true}, step{2001, true})
	if s.large != 0 || s.late.large != lateWindows*window {
		t.Errorf("%d bytes are large, and %d aside", s.large, s.late.large)
	}
}

func TestSentAllocations(t *testing.T) {
	s := bookAt(1, 1<<20)
	done := ignore
	if n := testing.AllocsPerRun(1000, func() { cycle(s, done) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// cycle sends 32 frames and processes two acknowledgements for them.
func cycle(s *AckWindow, done func(Acked)) {
	var first uint32
	for i := range uint32(32) {
		if seq := s.Push(Message, i, 1, 100); i == 0 {
			first = seq
		}
	}
	_ = s.Ack(first+8, first+31, done)
	_ = s.Ack(first, first+7, done)
}

func BenchmarkAckWindow(b *testing.B) {
	s := bookAt(1, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		cycle(s, ignore)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/frame")
}
