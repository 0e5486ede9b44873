package link

import (
	"fmt"
	"math"
)

// AckWindow is the sender's record of sequenced frames: which were sent, what they count against
// the window, and which were acknowledged. It does no I/O. It is not safe for concurrent use.
type AckWindow struct {
	ring   []sentFrame // length is a power of two; sequence s is at index s & (len-1)
	first  uint32      // oldest unacknowledged sequence in the ring
	next   uint32      // sequence of the next frame
	window int         // bytes
	bytes  int         // unacknowledged bytes in the ring, without large frames
	large  int         // bytes of the unacknowledged large frame in the ring
	frames int         // unacknowledged frames in the ring

	late  late      // unacknowledged frames that were moved out of the ring because they are old
	marks [2]uint32 // the values of next at the last two calls of Age
}

// sentFrame is one frame.
type sentFrame struct {
	token uint64
	slot  uint32
	size  uint32 // size in bytes << 3 | largeBit | type, which is 1, 2 or 3; 0: acknowledged
}

const largeBit = 4

func (e sentFrame) kind() Type  { return Type(e.size & 3) }
func (e sentFrame) bytes() int  { return int(e.size >> 3) }
func (e sentFrame) large() bool { return e.size&largeBit != 0 }

const (
	firstRing   = 64      // the initial size of the ring, in frames
	maxKeptRing = 1 << 16 // the largest ring that is kept when nothing is unacknowledged
	maxSpan     = 1 << 31 // most frames after the oldest unacknowledged one: sequences are compared modulo 2^32

	// denseRing is the size from which a ring grows only if a quarter of it is unacknowledged.
	// Otherwise a few frames are left, whose handlers hang, and they are moved to late.
	denseRing = 1 << 14

	lateWindows = 4 // late frames of this many windows do not count against the window
)

// Init empties the AckWindow and sets its window, in bytes.
func (s *AckWindow) Init(window uint32) {
	*s = AckWindow{
		ring: make([]sentFrame, firstRing), first: 1, next: 1,
		window: WindowBytes(window), marks: [2]uint32{1, 1},
	}
}

// WindowBytes returns a window as an int. With a 32-bit int it is at most 256 MiB.
func WindowBytes(window uint32) int { return int(min(uint64(window), math.MaxInt/(2*lateWindows))) }

// IsLarge reports whether a MESSAGE of n bytes is larger than half of the window. Large messages
// are sent outside of the window, one at a time. They must neither wait until nothing is
// unacknowledged nor use up the credit of the others.
func (s *AckWindow) IsLarge(n int) bool { return n > s.window/2 }

// Fits reports whether a MESSAGE of n bytes may be sent now. It must fit in the window, or be large
// while no other large one is unacknowledged. It must also be at most maxSpan frames after the
// oldest unacknowledged one. Late frames count only as far as they exceed lateWindows windows, and
// for large messages only the large late frames count.
func (s *AckWindow) Fits(n int) bool {
	if s.next-s.Oldest() >= maxSpan {
		return false
	}
	if s.IsLarge(n) {
		return s.large == 0 && (s.late.large == 0 || s.late.large+n <= lateWindows*s.window)
	}
	return s.bytes+max(s.late.bytes-lateWindows*s.window, 0)+n <= s.window
}

// Age moves frames to late that were sent before the call before the last one and are
// unacknowledged. Their handlers hang, and must not use up the credit of other clients.
func (s *AckWindow) Age() {
	s.moveToLate(s.marks[0])
	s.marks[0], s.marks[1] = s.marks[1], s.next
}

// Push adds a frame of n bytes and returns its sequence. The frame is an ATTACH, MESSAGE or DETACH
// of the given session. Push does not check whether it fits.
func (s *AckWindow) Push(t Type, slot uint32, token uint64, n int) uint32 {
	seq := s.next
	if int(seq-s.first) == len(s.ring) {
		s.growRing()
	}
	e := sentFrame{token, slot, uint32(n)<<3 | uint32(t)}
	if t == Message && s.IsLarge(n) {
		e.size |= largeBit
	}
	*s.at(seq) = e
	s.next++
	s.count(e, 1)
	return seq
}

// Check returns ErrFrame if Ack would, and changes nothing.
func (s *AckWindow) Check(first, last uint32) error {
	if err := s.checkRange(first, last); err != nil {
		return err
	}
	for seq := first; ; seq++ {
		if !s.Out(seq) {
			return fmt.Errorf("%w: sequence %d acknowledged twice", ErrFrame, seq)
		}
		if seq == last {
			return nil
		}
	}
}

// checkRange checks that first is unacknowledged and last was sent. The sequences between them may
// already be acknowledged.
func (s *AckWindow) checkRange(first, last uint32) error {
	known := first-s.first < s.next-s.first || s.late.find(first) != nil
	if !known || last-first >= s.next-first {
		return fmt.Errorf("%w: acknowledgement of sequences %d to %d, unacknowledged are %d to %d",
			ErrFrame, first, last, s.Oldest(), s.next-1)
	}
	return nil
}

// Acked is the part of an acknowledgement that is about one client: consecutive messages, or one
// frame of another type.
type Acked struct {
	Type   Type
	Slot   uint32
	Token  uint64
	Frames int
	Bytes  int // bytes of those frames
}

// Ack processes the acknowledgement of the sequences first to last in order, and calls done for
// each Acked. done may call Push. Ack returns ErrFrame if a sequence was never sent or is
// acknowledged twice; it has then called done for those before it.
func (s *AckWindow) Ack(first, last uint32, done func(Acked)) error {
	err := s.checkRange(first, last)
	if err != nil {
		return err
	}
	var run Acked
	for seq := first; ; seq++ {
		was := s.take(seq)
		if was.size == 0 {
			err = fmt.Errorf("%w: sequence %d acknowledged twice", ErrFrame, seq)
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
	if s.first == s.next && len(s.ring) > maxKeptRing {
		s.ring = make([]sentFrame, firstRing)
	}
	return err
}

// add adds one frame if it is another message of the same client.
func (a *Acked) add(was sentFrame) bool {
	if a.Type != Message || was.kind() != Message || a.Token != was.token || a.Slot != was.slot {
		return false
	}
	a.Frames++
	a.Bytes += was.bytes()
	return true
}

// take removes a frame. Its size is 0 if it is not unacknowledged.
func (s *AckWindow) take(seq uint32) sentFrame {
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

// count adds a frame n times to the sums of the ring. n is 1 or -1.
func (s *AckWindow) count(e sentFrame, n int) {
	s.frames += n
	if e.large() {
		s.large += n * e.bytes()
	} else {
		s.bytes += n * e.bytes()
	}
}

// Oldest returns the sequence of the oldest unacknowledged frame. If there is none, it returns the
// sequence of the next frame.
func (s *AckWindow) Oldest() uint32 {
	if s.late.live > 0 {
		return s.late.list[s.late.head].seq
	}
	return s.first
}

// Out reports whether the frame with the sequence was sent and is not acknowledged.
func (s *AckWindow) Out(seq uint32) bool {
	if seq-s.first < s.next-s.first {
		return s.at(seq).size != 0
	}
	return s.late.find(seq) != nil
}

func (s *AckWindow) at(seq uint32) *sentFrame { return &s.ring[seq&uint32(len(s.ring)-1)] }

// Outstanding returns the number and bytes of the unacknowledged frames.
func (s *AckWindow) Outstanding() (frames, bytes int) {
	return s.frames + s.late.live, s.bytes + s.large + s.late.bytes + s.late.large
}

// advance moves the start of the ring to the oldest unacknowledged frame.
func (s *AckWindow) advance() {
	for s.first != s.next && s.at(s.first).size == 0 {
		s.first++
	}
}

// growRing makes space for one more frame in a full ring. It grows the ring, or moves the few
// frames whose handlers hang to late.
func (s *AckWindow) growRing() {
	if len(s.ring) >= denseRing && s.frames <= len(s.ring)/4 {
		s.moveToLate(s.first + uint32(len(s.ring)/2))
		return
	}
	ring := make([]sentFrame, 2*len(s.ring))
	for seq := s.first; seq != s.next; seq++ {
		ring[seq&uint32(len(ring)-1)] = *s.at(seq)
	}
	s.ring = ring
}

// moveToLate moves the frames of the ring before sequence end to late.
func (s *AckWindow) moveToLate(end uint32) {
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
