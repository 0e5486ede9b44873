package gateway

import (
	"math/bits"

	"github.com/seed-7410fe32/sluice/codec"
)

// This file shares a loop among its clients, so that one client's input does not hold up the
// others. The work done for input is counted in bytes, of inflated messages after decompression. A
// client with more input than its share yields, and continues after the loop has handled its other
// clients. When the loop has done enough work for one turn, clients that have yielded wait for the
// next turn. So do compressed messages, because their inflated size is not known.
//
// Waiting clients share the loop fairly by work, as those of a creditQueue share a link by bytes.
// Virtual time advances by the work done divided by the number of waiting clients. A client's place
// is the virtual time at which as much work as its last input took would be done.

const (
	messageWork = 128 // work for a message in addition to its bytes
	// clientTurn is the work for one client without a break: more than one read brings, except for
	// small or compressed messages.
	clientTurn = 160 << 10
	loopTurn   = 256 << 10 // work in one turn of a loop, after which clients that can wait do so
)

// turns are the turns of a loop.
type turns struct {
	nth     uint64 // number of the engine's turn
	work    int    // work done in this turn
	now     uint64 // virtual time
	waiting int    // clients that have yielded
}

// turn is the state of a session's turns.
type turn uint8

const (
	yielded   turn   = 1 << iota // it has more input than its turn allowed
	stalled                      // it is in loop.stalled
	marked                       // a byte order mark before the first message was looked for
	workShift = iota             // bits above: the length in bits of its last input's work in KiB
)

// begin is called before a client's input is decoded. It reports false if the client has to wait
// for the next turn.
func (t *turns) begin(s *session) bool {
	if n := s.loop.el.Turn(); n != t.nth {
		t.nth, t.work = n, 0
	}
	if s.turn&yielded == 0 {
		return true
	}
	if t.work >= loopTurn {
		s.conn.Yield(0) // at its former place
		return false
	}
	t.leave(s)
	return true
}

// due reports whether the client has to yield before the message, or the part of one, at the front
// of in is decoded. work was done for the client in this turn.
func (t *turns) due(s *session, in []byte, work int) bool {
	return work >= clientTurn || t.work+work >= loopTurn && s.isCompressed(in)
}

// isCompressed reports whether in begins with a compressed message or a part of one.
func (s *session) isCompressed(in []byte) bool {
	ws, ok := s.codec.(*codec.WebSocket)
	return ok && ws.Compressed(in)
}

// end adds the work done for the client. If there is more, the client yields.
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

// lastCost is the work of the client's last input, within a factor of two.
func (t turn) lastCost() int { return 1 << (t >> workShift) << 10 >> 1 }

// leave notes that a client no longer waits.
func (t *turns) leave(s *session) {
	if s.turn&yielded != 0 {
		s.turn &^= yielded
		t.waiting--
	}
}

// inputCost is the work for n bytes that Decode consumed, which returned payload.
func (s *session) inputCost(n int, payload []byte) int {
	work := n + messageWork
	if len(payload) > n { // the message did not come in one piece
		if ws, ok := s.codec.(*codec.WebSocket); ok {
			work += ws.Inflated()
		}
	}
	return work
}
