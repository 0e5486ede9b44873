package worker

import (
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// unit is what handler calls did, as frames, and the acknowledgement of the messages they were for: one or more UNIT frames, the last one open.
// It belongs to the session whose call is running (under its mu), else to the goroutine that runs sessions.
type unit struct {
	buf       []byte // bound: a handler call's outputs
	start     int    // of the open UNIT in buf
	callStart int    // where the running call's frames begin
	first     uint32 // sequence that the open UNIT begins with
	next      uint32 // sequence that would carry it on
	open      bool
}

// unitSize is where a UNIT frame ends and the next one begins, in bytes: a gateway applies it when it is whole.
const unitSize = 32 << 10

// begin prepares for the call of a message.
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

// done acknowledges the message.
func (u *unit) done(seq uint32) { u.next = seq + 1 }

// discard forgets what the running call did.
func (u *unit) discard() { u.buf = u.buf[:u.callStart] }

// cut takes out what the running call did so far, as frames.
func (u *unit) cut() []byte {
	b := append([]byte(nil), u.buf[u.callStart:]...)
	u.discard()
	return b
}

// split moves the running call and what it did so far into own, which is empty.
func (u *unit) split(own *unit) *unit {
	own.begin(u.next)
	own.buf = append(own.buf, u.buf[u.callStart:]...)
	u.discard()
	return own
}

// seal ends the open UNIT. One without a finished message vanishes.
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

// add appends a frame of the running call.
func (u *unit) add(f *link.Frame, head, body []byte) error {
	if done := len(u.buf) - u.callStart; done > 0 && done+link.HeaderSize+len(head)+len(body) > maxUnit {
		return ErrUnitTooLarge
	}
	u.buf = appendFrame(u.buf, f, head, body)
	return nil
}

// units is the worker's free list of units for calls that do not run in a batch.
type units struct {
	pool sync.Pool // bound: none, the collector empties it
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
