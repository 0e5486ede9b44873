package link

import (
	"fmt"
	"math"
)

// AckWindow is the sender's book of sequenced frames: which are out, what they cost, what has been acknowledged. It does no I/O and is not for
// concurrent use.
type AckWindow struct {
	ring   []sent // of a power of two; sequence s stands at s & (len-1)
	first  uint32 // oldest unacknowledged sequence in the ring
	next   uint32 // sequence of the next frame
	window int    // bytes
	bytes  int    // outstanding, of the ring; without those that are large
	large  int    // bytes of the large one that is outstanding, of the ring
	frames int    // outstanding, of the ring

	late  late      // outstanding, and so old that the ring has gone on without them
	marks [2]uint32 // what next was at the last two calls of Age
}

// sent is one frame.
type sent struct {
	token uint64
	slot  uint32
	size  uint32 // size in bytes << 3 | isLarge | type, which is 1, 2 or 3; 0: acknowledged
}

const isLarge = 4

func (e sent) kind() Type  { return Type(e.size & 3) }
func (e sent) bytes() int  { return int(e.size >> 3) }
func (e sent) large() bool { return e.size&isLarge != 0 }

const (
	firstRing = 64      // the ring's first size, in frames
	keptRing  = 1 << 16 // the largest ring kept when nothing is outstanding
	denseRing = 1 << 14 // a ring of this size, or more, grows only when a quarter of it is outstanding: else a few that handlers hang in are put aside
	maxSpan   = 1 << 31 // frames from the oldest unacknowledged one on: sequences are compared modulo 2^32

	lateWindows = 4 // so much of what has been put aside does not count against the window
)

// Init makes an empty book with the window given, in bytes.
func (s *AckWindow) Init(window uint32) {
	*s = AckWindow{ring: make([]sent, firstRing), first: 1, next: 1, window: WindowBytes(window), marks: [2]uint32{1, 1}}
}

// SetWindow changes the window.
func (s *AckWindow) SetWindow(window uint32) { s.window = WindowBytes(window) }

// WindowBytes is a window in bytes, as it can be reckoned with here: where an int has 32 bits no more than 256 MiB.
func WindowBytes(window uint32) int { return int(min(uint64(window), math.MaxInt/(2*lateWindows))) }

// IsLarge reports whether a MESSAGE of n bytes is more than half of the window. Such go beside the window, one at a time: they must neither wait until nothing is outstanding nor
// leave the others no credit.
func (s *AckWindow) IsLarge(n int) bool { return n > s.window/2 }

// Fits reports whether a MESSAGE of n bytes may go now: within the window, or, a large one, while no other is out; and no more than maxSpan frames after the oldest one. What has
// been put aside counts only past lateWindows windows, and for large ones only what was large.
func (s *AckWindow) Fits(n int) bool {
	if s.next-s.Oldest() >= maxSpan {
		return false
	}
	if s.IsLarge(n) {
		return s.large == 0 && (s.late.large == 0 || s.late.large+n <= lateWindows*s.window)
	}
	return s.bytes+max(s.late.bytes-lateWindows*s.window, 0)+n <= s.window
}

// Age puts aside what was sent before the call before the last one and is not acknowledged: handlers hang in it, and must not leave the others without credit.
func (s *AckWindow) Age() {
	s.putAside(s.marks[0])
	s.marks[0], s.marks[1] = s.marks[1], s.next
}

// Push enters a frame of n bytes, an ATTACH, MESSAGE or DETACH about the session given, whether it fits or not, and returns its sequence.
func (s *AckWindow) Push(t Type, slot uint32, token uint64, n int) uint32 {
	seq := s.next
	if int(seq-s.first) == len(s.ring) {
		s.makeRoom()
	}
	e := sent{token, slot, uint32(n)<<3 | uint32(t)}
	if t == Message && s.IsLarge(n) {
		e.size |= isLarge
	}
	*s.at(seq) = e
	s.next++
	s.count(e, 1)
	return seq
}

// Check returns ErrFrame when Ack would, and changes nothing.
func (s *AckWindow) Check(first, last uint32) error {
	if err := s.checkRange(first, last); err != nil {
		return err
	}
	for seq := first; ; seq++ {
		if !s.Out(seq) {
			return fmt.Errorf("%w: %d acknowledged twice", ErrFrame, seq)
		}
		if seq == last {
			return nil
		}
	}
}

// checkRange looks whether first is out and last has been sent: what is between may be acknowledged already.
func (s *AckWindow) checkRange(first, last uint32) error {
	known := first-s.first < s.next-s.first || s.late.find(first) != nil
	if !known || last-first >= s.next-first {
		return fmt.Errorf("%w: acknowledgement of %d…%d with %d…%d outstanding", ErrFrame, first, last, s.Oldest(), s.next-1)
	}
	return nil
}

// Acked is what an acknowledgement says of one client at once: messages that were sent one after the other, or one frame of another type.
type Acked struct {
	Type   Type
	Slot   uint32
	Token  uint64
	Frames int
	Bytes  int // of them
}

// Ack takes the acknowledgement of the frames first … last, in their order, and calls done for each client's, which may Push. It returns ErrFrame when one was never sent or is
// acknowledged twice; done has then been called for those before it.
func (s *AckWindow) Ack(first, last uint32, done func(Acked)) error {
	err := s.checkRange(first, last)
	if err != nil {
		return err
	}
	var run Acked
	for seq := first; ; seq++ {
		was := s.take(seq)
		if was.size == 0 {
			err = fmt.Errorf("%w: %d acknowledged twice", ErrFrame, seq)
			break
		}
		if !run.add(was) {
			if run.Frames > 0 {
				done(run)
			}
			run = Acked{was.kind(), was.slot, was.token, 1, was.bytes()}
		}
		if seq == last {
			break
		}
	}
	if run.Frames > 0 {
		done(run)
	}
	s.advance()
	if s.first == s.next && len(s.ring) > keptRing {
		s.ring = make([]sent, firstRing)
	}
	return err
}

// add takes one frame more, if that is another message of the same client.
func (a *Acked) add(was sent) bool {
	if a.Type != Message || was.kind() != Message || a.Token != was.token || a.Slot != was.slot {
		return false
	}
	a.Frames++
	a.Bytes += was.bytes()
	return true
}

// take takes a frame out; its size is 0 when it is not outstanding.
func (s *AckWindow) take(seq uint32) sent {
	if seq-s.first >= s.next-s.first {
		return s.late.take(seq)
	}
	e := s.at(seq)
	was := *e
	if e.size = 0; was.size != 0 {
		s.count(was, -1)
	}
	return was
}

// count enters a frame into the figures of the ring, or takes it out.
func (s *AckWindow) count(e sent, n int) {
	s.frames += n
	if e.large() {
		s.large += n * e.bytes()
	} else {
		s.bytes += n * e.bytes()
	}
}

// Oldest returns the sequence of the oldest unacknowledged frame; where there is none, that of the next frame.
func (s *AckWindow) Oldest() uint32 {
	if s.late.live > 0 {
		return s.late.list[s.late.head].seq
	}
	return s.first
}

// Out reports whether the frame with a sequence is out and not acknowledged.
func (s *AckWindow) Out(seq uint32) bool {
	if seq-s.first < s.next-s.first {
		return s.at(seq).size != 0
	}
	return s.late.find(seq) != nil
}

func (s *AckWindow) at(seq uint32) *sent { return &s.ring[seq&uint32(len(s.ring)-1)] }

// Outstanding returns what is out and not acknowledged.
func (s *AckWindow) Outstanding() (frames, bytes int) {
	return s.frames + s.late.live, s.bytes + s.large + s.late.bytes + s.late.large
}

// advance moves the ring's beginning to what is outstanding.
func (s *AckWindow) advance() {
	for s.first != s.next && s.at(s.first).size == 0 {
		s.first++
	}
}

// makeRoom has a full ring take one more frame: it grows, or puts those aside that few handlers hang in.
func (s *AckWindow) makeRoom() {
	if len(s.ring) >= denseRing && s.frames <= len(s.ring)/4 {
		s.putAside(s.first + uint32(len(s.ring)/2))
		return
	}
	ring := make([]sent, 2*len(s.ring))
	for seq := s.first; seq != s.next; seq++ {
		ring[seq&uint32(len(ring)-1)] = *s.at(seq)
	}
	s.ring = ring
}

// putAside empties the ring up to the frame given, unless it begins behind it.
func (s *AckWindow) putAside(end uint32) {
	for ; s.first != s.next && int32(end-s.first) > 0; s.first++ {
		e := s.at(s.first)
		if e.size == 0 {
			continue
		}
		s.late.add(s.first, *e)
		s.count(*e, -1)
		e.size = 0
	}
	s.advance()
}
