package link

import (
	"fmt"
	"math"
)

// AckWindow records the sequenced frames of a sender: which are outstanding, their sizes, and which
// are acknowledged. It does no I/O and is not for concurrent use.
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
	// A ring of this size or more grows only when a quarter of it is outstanding. Otherwise the few
	// frames whose handlers block are put aside.
	denseRing = 1 << 14
	maxSpan   = 1 << 31 // frames from the oldest unacknowledged one on: sequences are compared modulo 2^32

	lateWindows = 4 // so much of what has been put aside does not count against the window
)

// Init makes an empty AckWindow with the given window, in bytes.
func (s *AckWindow) Init(window uint32) {
	*s = AckWindow{ring: make([]sent, firstRing), first: 1, next: 1, window: WindowBytes(window), marks: [2]uint32{1, 1}}
}

// WindowBytes is a window in bytes, as it can be reckoned with here: where an int has 32 bits no more than 256 MiB.
func WindowBytes(window uint32) int { return int(min(uint64(window), math.MaxInt/(2*lateWindows))) }

// IsLarge reports whether a MESSAGE of n bytes is larger than half of the window. Large messages
// are sent one at a time and do not count against the window: they must neither wait until nothing
// is outstanding nor use up the credit of the others.
func (s *AckWindow) IsLarge(n int) bool { return n > s.window/2 }

// Fits reports whether a MESSAGE of n bytes may be sent now: within the window, or, if it is large,
// while no other large one is outstanding; and no more than maxSpan frames after the oldest one.
// Frames that were put aside count only beyond lateWindows windows, and for large messages only the
// large ones among them count.
func (s *AckWindow) Fits(n int) bool {
	if s.next-s.Oldest() >= maxSpan {
		return false
	}
	if s.IsLarge(n) {
		return s.large == 0 && (s.late.large == 0 || s.late.large+n <= lateWindows*s.window)
	}
	return s.bytes+max(s.late.bytes-lateWindows*s.window, 0)+n <= s.window
}

// Age puts aside the frames that were sent before the call before the last one and are not
// acknowledged: their handlers block, and must not use up the credit of the others.
func (s *AckWindow) Age() {
	s.putAside(s.marks[0])
	s.marks[0], s.marks[1] = s.marks[1], s.next
}

// Push records a frame of n bytes, an ATTACH, MESSAGE or DETACH of the given session, whether it
// fits or not, and returns its sequence.
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

// Check returns ErrFrame when Ack would. It changes nothing.
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

// checkRange checks that first is outstanding and last has been sent. The frames between them may
// be acknowledged already.
func (s *AckWindow) checkRange(first, last uint32) error {
	known := first-s.first < s.next-s.first || s.late.find(first) != nil
	if !known || last-first >= s.next-first {
		return fmt.Errorf("%w: acknowledgement of %d to %d with %d to %d outstanding", ErrFrame, first, last, s.Oldest(),
			s.next-1)
	}
	return nil
}

// Acked is the part of an acknowledgement that concerns one client: messages that were sent one
// after the other, or one frame of another type.
type Acked struct {
	Type   Type
	Slot   uint32
	Token  uint64
	Frames int
	Bytes  int // of them
}

// Ack handles the acknowledgement of the frames first to last, in their order, and calls done for
// each client. done may call Push. Ack returns ErrFrame when a frame was never sent or is
// acknowledged twice; done has then been called for the frames before it.
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

// add adds one more frame, if it is another message of the same client.
func (a *Acked) add(was sent) bool {
	if a.Type != Message || was.kind() != Message || a.Token != was.token || a.Slot != was.slot {
		return false
	}
	a.Frames++
	a.Bytes += was.bytes()
	return true
}

// take removes a frame. Its size is 0 when it is not outstanding.
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

// count adds a frame to the figures of the ring, or subtracts it.
func (s *AckWindow) count(e sent, n int) {
	s.frames += n
	if e.large() {
		s.large += n * e.bytes()
	} else {
		s.bytes += n * e.bytes()
	}
}

// Oldest returns the sequence of the oldest unacknowledged frame, or that of the next frame when
// there is none.
func (s *AckWindow) Oldest() uint32 {
	if s.late.live > 0 {
		return s.late.list[s.late.head].seq
	}
	return s.first
}

// Out reports whether the frame with a sequence is outstanding.
func (s *AckWindow) Out(seq uint32) bool {
	if seq-s.first < s.next-s.first {
		return s.at(seq).size != 0
	}
	return s.late.find(seq) != nil
}

func (s *AckWindow) at(seq uint32) *sent { return &s.ring[seq&uint32(len(s.ring)-1)] }

// Outstanding returns the number and the size of the outstanding frames.
func (s *AckWindow) Outstanding() (frames, bytes int) {
	return s.frames + s.late.live, s.bytes + s.large + s.late.bytes + s.late.large
}

// advance moves the ring's beginning to the oldest outstanding frame.
func (s *AckWindow) advance() {
	for s.first != s.next && s.at(s.first).size == 0 {
		s.first++
	}
}

// makeRoom makes room for one more frame in a full ring: the ring grows, or frames are put aside.
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

// putAside puts aside the frames of the ring before end.
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
