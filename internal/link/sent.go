package link

import "fmt"

// Sent is the sender's book of sequenced frames: which are out, what they cost, what has been acknowledged. It does no I/O and is not for
// concurrent use.
type Sent struct {
	ring   []sent // of a power of two; sequence s stands at s & (len-1)
	first  uint32 // oldest unacknowledged sequence
	next   uint32 // sequence of the next frame
	window int
	bytes  int // outstanding
}

// sent is one frame. size 0: acknowledged.
type sent struct {
	token uint64
	slot  uint32
	size  uint32
}

// firstRing is the ring's first size, in frames.
const firstRing = 64

// Init makes an empty book with the window given, in bytes.
func (s *Sent) Init(window uint32) {
	*s = Sent{ring: make([]sent, firstRing), first: 1, next: 1, window: int(window)}
}

// SetWindow changes the window.
func (s *Sent) SetWindow(window uint32) { s.window = int(window) }

// Fits reports whether a frame of n bytes may go now: within the window, or alone.
func (s *Sent) Fits(n int) bool { return s.bytes+n <= s.window || s.first == s.next }

// Push enters a frame of n bytes about the session given, and returns its sequence.
func (s *Sent) Push(slot uint32, token uint64, n int) uint32 {
	seq := s.next
	if int(seq-s.first) == len(s.ring) {
		s.grow()
	}
	s.ring[seq&uint32(len(s.ring)-1)] = sent{token, slot, uint32(n)}
	s.next++
	s.bytes += n
	return seq
}

// Ack takes the acknowledgement of the frames first … last, and calls done for each. It returns ErrFrame when one was never sent or is
// acknowledged twice.
func (s *Sent) Ack(first, last uint32, done func(slot uint32, token uint64, n int)) error {
	from, count := first-s.first, last-first
	if out := s.next - s.first; from >= out || count >= out-from {
		return fmt.Errorf("%w: acknowledgement of %d…%d with %d…%d outstanding", ErrFrame, first, last, s.first, s.next-1)
	}
	mask := uint32(len(s.ring) - 1)
	for seq := first; ; seq++ {
		e := &s.ring[seq&mask]
		if e.size == 0 {
			return fmt.Errorf("%w: %d acknowledged twice", ErrFrame, seq)
		}
		n := e.size
		e.size = 0
		s.bytes -= int(n)
		done(e.slot, e.token, int(n))
		if seq == last {
			break
		}
	}
	for s.first != s.next && s.ring[s.first&mask].size == 0 {
		s.first++
	}
	return nil
}

// Outstanding returns what is out and not acknowledged. Frames counts from the oldest such frame on.
func (s *Sent) Outstanding() (frames, bytes int) { return int(s.next - s.first), s.bytes }

func (s *Sent) grow() {
	ring := make([]sent, 2*len(s.ring))
	for seq := s.first; seq != s.next; seq++ {
		ring[seq&uint32(len(ring)-1)] = s.ring[seq&uint32(len(s.ring)-1)]
	}
	s.ring = ring
}
