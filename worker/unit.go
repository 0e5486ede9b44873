package worker

import (
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// unit holds the effects of calls, as frames, and the acknowledgements of their events. It consists
// of one or more UNIT frames, of which the last one is open. While a call runs the unit belongs to
// the call's session, under its mu. Otherwise it belongs to the goroutine that runs sessions.
type unit struct {
	buf       []byte // bound: a handler call's outputs
	start     int    // offset of the open UNIT in buf
	callStart int    // offset of the running call's frames in buf
	first     uint32 // first sequence number of the open UNIT
	next      uint32 // the sequence number that would continue it
	open      bool
}

// unitSize is the size in bytes after which a UNIT frame is closed and another one begun. A gateway
// applies a UNIT when it has received all of it.
const unitSize = 32 << 10

// begin prepares the unit for the call of an event.
func (u *unit) begin(seq uint32) {
	if u.open && (u.next != seq || len(u.buf)-u.start > unitSize) {
		u.seal()
	}
	if !u.open {
		u.open = true
		u.start = len(u.buf)
		u.first, u.next = seq, seq
		var header [link.HeaderSize]byte // written by seal
		u.buf = append(u.buf, header[:]...)
	}
	u.callStart = len(u.buf)
}

// done acknowledges the event.
func (u *unit) done(seq uint32) { u.next = seq + 1 }

// discard removes the frames of the running call.
func (u *unit) discard() { u.buf = u.buf[:u.callStart] }

// cut removes the frames of the running call and returns them.
func (u *unit) cut() []byte {
	b := append([]byte(nil), u.buf[u.callStart:]...)
	u.discard()
	return b
}

// split moves the running call and its frames into own, which is empty.
func (u *unit) split(own *unit) *unit {
	own.begin(u.next)
	own.buf = append(own.buf, u.buf[u.callStart:]...)
	u.discard()
	return own
}

// seal closes the open UNIT. A UNIT that acknowledges nothing is removed.
func (u *unit) seal() {
	if !u.open {
		return
	}
	u.open = false
	if u.first == u.next {
		u.buf = u.buf[:u.start]
		return
	}
	f := link.Frame{Type: link.Unit, ID: u.first, Slot: u.next - 1}
	link.AppendHeader(u.buf[u.start:u.start], &f, len(u.buf)-u.start-link.HeaderSize) // in place
}

// add appends a frame to those of the running call.
func (u *unit) add(f *link.Frame, head, body []byte) error {
	if size := len(u.buf) - u.callStart; size > 0 && size+link.HeaderSize+len(head)+len(body) > maxUnit {
		return ErrUnitTooLarge
	}
	u.buf = appendFrame(u.buf, f, head, body)
	return nil
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
