package worker

import (
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// unit holds the effects of calls, as frames, and the acknowledgements of their events. It consists
// of one or more units of the protocol, each of one client, of which the last one may be open. A
// unit of the protocol is a UNIT frame. If its only frame is a plain SEND to its own client, it is
// that SEND, which then acknowledges. While a call runs the unit belongs to the call's session,
// under its mu. Otherwise it belongs to the goroutine that runs sessions.
type unit struct {
	buf       []byte   // bound: a handler call's outputs
	of        *session // the client of the open unit; nil: none is open
	start     int      // offset of the open unit in buf
	callStart int      // offset of the running call's frames in buf
	number    uint32   // the open unit acknowledges the messages up to this number
	acks      bool     // it acknowledges something
	left      bool     // it acknowledges a DETACH
	wrapped   bool     // it has the header of a UNIT, which seal completes. Else it is empty or one SEND
	callWraps bool     // the header stands at callStart
	began     int64    // when the call of a unit of its own began (record.Recorder.Now)
}

// unitSize is the size in bytes after which a UNIT frame is closed and another one begun. A gateway
// applies a UNIT when it has received all of it.
const unitSize = 32 << 10

// begin prepares the unit for a call of the session.
func (u *unit) begin(s *session) {
	if u.of != s || len(u.buf)-u.start > unitSize {
		u.open(s)
	}
	u.callStart, u.callWraps = len(u.buf), false
}

// open seals the open unit and opens one for the session.
func (u *unit) open(s *session) {
	u.seal()
	u.of, u.start = s, len(u.buf)
	u.acks, u.left, u.wrapped = false, false, false
}

// done acknowledges the client's messages up to the number, and with left also its DETACH.
func (u *unit) done(number uint32, left bool) { u.number, u.acks, u.left = number, true, left }

// acknowledge acknowledges an item. That a client has moved is not acknowledged.
func (u *unit) acknowledge(it *item) {
	if it.kind != itemMoved {
		u.done(it.ack, it.kind == itemClose)
	}
}

// discard removes the frames of the running call.
func (u *unit) discard() {
	u.buf = u.buf[:u.callStart]
	u.wrapped = u.wrapped && !u.callWraps
	u.callWraps = false
}

// frames returns the frames of the running call.
func (u *unit) frames() []byte {
	if u.callWraps {
		return u.buf[u.callStart+link.HeaderSize:]
	}
	return u.buf[u.callStart:]
}

// cut removes the frames of the running call and returns them.
func (u *unit) cut() []byte {
	b := append([]byte(nil), u.frames()...)
	u.discard()
	return b
}

// split moves the running call and its frames into own, which is empty.
func (u *unit) split(own *unit) *unit {
	own.begin(u.of)
	if u.wrapped {
		own.wrap()
	}
	own.buf = append(own.buf, u.frames()...)
	u.discard()
	return own
}

// wrap puts the header of a UNIT in front of the open unit, all of which is of the running call.
func (u *unit) wrap() {
	var header [link.HeaderSize]byte // written by seal
	u.buf = append(u.buf, header[:]...)
	copy(u.buf[u.start+link.HeaderSize:], u.buf[u.start:])
	u.wrapped, u.callWraps = true, true
}

// seal closes the open unit. A unit that acknowledges nothing is removed.
func (u *unit) seal() {
	s := u.of
	if s == nil {
		return
	}
	u.of = nil
	if !u.acks {
		u.buf = u.buf[:u.start]
		return
	}
	if !u.wrapped && len(u.buf) > u.start && !u.left {
		link.SetHandled(u.buf[u.start:], u.number)
		return
	}
	if !u.wrapped {
		u.wrap()
	}
	f := link.Frame{Type: link.Unit, ID: u.number, Slot: s.id().slot(), Token: s.token}
	if u.left {
		f.Flags = link.FlagLeft
	}
	link.AppendHeader(u.buf[u.start:u.start], &f, len(u.buf)-u.start-link.HeaderSize) // in place
}

// add appends a frame to those of the running call.
func (u *unit) add(f *link.Frame, head, body []byte) error {
	if size := len(u.buf) - u.callStart; size > 0 && size+link.HeaderSize+len(head)+len(body) > maxUnit {
		return ErrUnitTooLarge
	}
	if u.of != nil && !u.wrapped {
		if u.start < u.callStart { // the SEND of an earlier call is a unit of its own
			u.open(u.of)
		}
		if len(u.buf) > u.start || !u.isAnswer(f) {
			u.wrap()
		}
	}
	u.buf = appendFrame(u.buf, f, head, body)
	return nil
}

// isAnswer reports whether the frame is a SEND to the unit's client that needs no reply.
func (u *unit) isAnswer(f *link.Frame) bool {
	return f.Type == link.Send && f.Token == u.of.token && f.Slot == u.of.id().slot() && !f.Has(link.FlagResult)
}

// units is the worker's free list of units for calls that do not run in a batch.
type units struct {
	pool sync.Pool // bound: none, the garbage collector empties it
}

func (f *units) take() *unit {
	if u, ok := f.pool.Get().(*unit); ok {
		return u
	}
	return new(unit)
}

func (f *units) put(u *unit) {
	if cap(u.buf) <= unitSize {
		*u = unit{buf: u.buf[:0]}
		f.pool.Put(u)
	}
}
