package gateway

import (
	"math/bits"

	"github.com/seed-7410fe32/sluice/codec"
)

// Each client has its turn: what one sends must not hold up the others of its loop. The work that
// a loop does for what came is counted in bytes, of messages as they are when a compressed one has
// been inflated. A client that has more input than its share yields, and goes on when the loop has
// looked at its other clients. When the loop has done enough for one turn, those that have yielded
// wait for the next one, and so does a compressed message, for nobody knows what is in it.
//
// The clients that wait share the loop fairly by work, as those of a creditQueue share a link by
// bytes: time moves on by the work done, divided by how many wait, and a client's place is when
// as much as its last input took would be done.

const (
	messageWork = 128       // what a message costs besides its own bytes
	clientTurn  = 160 << 10 // work for one client without a break: more than one read brings, but for small or compressed messages
	loopTurn    = 256 << 10 // work in one turn of a loop from which on those who can wait do
)

// turns is a loop's.
type turns struct {
	nth     uint64 // of the engine's turns
	work    int    // done in it
	now     uint64 // moves on by work, divided by how many wait
	waiting int    // clients that have yielded
}

// turn is what a session remembers of its turns, the first one among them.
type turn uint8

const (
	yielded   turn   = 1 << iota // more of it has come than its turn had time for
	stalled                      // stands in the loop's list of those that full queues hold up
	marked                       // a byte order mark that it may begin with has been looked for
	workShift = iota             // above: the length in bits of the work, in KiB, that its last input took
)

// begin notes that a client's input is looked at. It reports false when its time has not come: the
// client waits on.
func (t *turns) begin(s *session) bool {
	if n := s.loop.el.Turn(); n != t.nth {
		t.nth, t.work = n, 0
	}
	if s.turn&yielded == 0 {
		return true
	}
	if t.work >= loopTurn {
		s.conn.Yield(0) // where it was
		return false
	}
	t.leave(s)
	return true
}

// due reports whether the client has to yield before the message, or the part of one, that in
// begins with is decoded, after so much work for it.
func (t *turns) due(s *session, in []byte, work int) bool {
	return work >= clientTurn || t.work+work >= loopTurn && s.isCompressed(in)
}

// isCompressed reports whether in begins with a compressed message, or goes on with one.
func (s *session) isCompressed(in []byte) bool {
	ws, ok := s.codec.(*codec.WebSocket)
	return ok && ws.Compressed(in)
}

// end notes the work done for the client, and has it yield when there is more.
func (t *turns) end(s *session, work int, more bool) {
	t.work += work
	if t.waiting > 0 {
		t.now += uint64(work / (1 + t.waiting))
	}
	if work > 0 {
		s.turn = s.turn&(1<<workShift-1) | turn(bits.Len(uint(work>>10)))<<workShift
	}
	if more {
		s.turn |= yielded
		t.waiting++
		s.conn.Yield(t.now + 1<<(s.turn>>workShift)<<10)
	}
}

// lastCost is the work that the client's last input took, within a factor of two.
func (t turn) lastCost() int { return 1 << (t >> workShift) << 10 >> 1 }

// leave notes that a client waits no longer.
func (t *turns) leave(s *session) {
	if s.turn&yielded != 0 {
		s.turn &^= yielded
		t.waiting--
	}
}

// inputCost is the work for what Decode took: n bytes, and what it made of them.
func (s *session) inputCost(n int, payload []byte) int {
	work := n + messageWork
	if len(payload) > n { // not as it came in one piece
		if ws, ok := s.codec.(*codec.WebSocket); ok {
			work += ws.Inflated()
		}
	}
	return work
}
