package link

import "fmt"

// Sent is the sender's book of sequenced frames: which are out, what they cost, what has been acknowledged. It does no I/O and is not for
// concurrent use.
type Sent struct {
	ring   []sent // of a power of two; sequence s stands at s & (len-1)
	first  uint32 // oldest unacknowledged sequence
	next   uint32 // sequence of the next frame
	window int    // bytes
	bytes  int    // outstanding
}

// sent is one frame.
type sent struct {
	token uint64
	slot  uint32
	size  uint32 // size in bytes << 2 | type, which is 1, 2 or 3; 0: acknowledged
}

const (
	firstRing = 64      // the ring's first size, in frames
	keptRing  = 1 << 16 // the largest ring kept when nothing is outstanding
	maxSpan   = 1 << 20 // frames from the oldest unacknowledged one on: what a handler that hangs can make the ring grow to, 16 MiB
)

// Init makes an empty book with the window given, in bytes.
func (s *Sent) Init(window uint32) {
	*s = Sent{ring: make([]sent, firstRing), first: 1, next: 1, window: int(window)}
}

// SetWindow changes the window.
func (s *Sent) SetWindow(window uint32) { s.window = int(window) }

// Fits reports whether a frame of n bytes may go now: within the window and no more than maxSpan frames after the oldest one, or alone.
func (s *Sent) Fits(n int) bool {
	return s.bytes+n <= s.window && s.next-s.first < maxSpan || s.first == s.next
}

// Push enters a frame of n bytes, an ATTACH, MESSAGE or DETACH about the session given, whether it fits or not, and returns its sequence.
func (s *Sent) Push(t Type, slot uint32, token uint64, n int) uint32 {
	seq := s.next
	if int(seq-s.first) == len(s.ring) {
		s.grow()
	}
	*s.at(seq) = sent{token, slot, uint32(n)<<2 | uint32(t)}
	s.next++
	s.bytes += n
	return seq
}

// Check returns ErrFrame when Ack would, and changes nothing.
func (s *Sent) Check(first, last uint32) error {
	from, count := first-s.first, last-first
	if out := s.next - s.first; from >= out || count >= out-from {
		return fmt.Errorf("%w: acknowledgement of %d…%d with %d…%d outstanding", ErrFrame, first, last, s.first, s.next-1)
	}
	for seq := first; ; seq++ {
		if s.at(seq).size == 0 {
			return fmt.Errorf("%w: %d acknowledged twice", ErrFrame, seq)
		}
		if seq == last {
			return nil
		}
	}
}

// Ack takes the acknowledgement of the frames first … last, and calls done for each, which may Push. It returns ErrFrame when one was never sent or is
// acknowledged twice; done has then been called for those before it.
func (s *Sent) Ack(first, last uint32, done func(t Type, slot uint32, token uint64, n int)) error {
	from, count := first-s.first, last-first
	if out := s.next - s.first; from >= out || count >= out-from {
		return fmt.Errorf("%w: acknowledgement of %d…%d with %d…%d outstanding", ErrFrame, first, last, s.first, s.next-1)
	}
	for seq := first; ; seq++ {
		e := s.at(seq)
		if e.size == 0 {
			return fmt.Errorf("%w: %d acknowledged twice", ErrFrame, seq)
		}
		was := *e
		e.size = 0
		n := int(was.size >> 2)
		s.bytes -= n
		done(Type(was.size&3), was.slot, was.token, n)
		if seq == last {
			break
		}
	}
	for s.first != s.next && s.at(s.first).size == 0 {
		s.first++
	}
	if s.first == s.next && len(s.ring) > keptRing {
		s.ring = make([]sent, firstRing)
	}
	return nil
}

// Oldest returns the sequence of the oldest unacknowledged frame; where there is none, that of the next frame.
func (s *Sent) Oldest() uint32 { return s.first }

// Out reports whether the frame with a sequence is out and not acknowledged.
func (s *Sent) Out(seq uint32) bool { return seq-s.first < s.next-s.first && s.at(seq).size != 0 }

func (s *Sent) at(seq uint32) *sent { return &s.ring[seq&uint32(len(s.ring)-1)] }

// Outstanding returns what is out and not acknowledged. Frames counts from the oldest such frame on.
func (s *Sent) Outstanding() (frames, bytes int) { return int(s.next - s.first), s.bytes }

func (s *Sent) grow() {
	ring := make([]sent, 2*len(s.ring))
	for seq := s.first; seq != s.next; seq++ {
		ring[seq&uint32(len(ring)-1)] = *s.at(seq)
	}
	s.ring = ring
}
