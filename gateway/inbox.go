package gateway

import (
	"encoding/binary"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// inboxLimit is the size of an inbox, in bytes, from which on the links that fill it are paused.
const inboxLimit = 1 << 20

// origin is the destination of the reply to a frame: a link or a gather of a loop.
type origin struct {
	loop   uint8
	kind   noteKind
	serial uint32
}

type noteKind uint8

const (
	noteCommand noteKind = iota // a frame to execute here; the reply goes to the link with the serial
	noteJoin                    // the same, and a reference to the set that it needs is released then
	notePart                    // a frame to execute here; the reply goes to the gather with the serial
	noteAnswer                  // a Reply for the link with the serial
	noteSum                     // a Reply for the gather with the serial
	noteRelease                 // no frame: the link with the serial may be read again
)

// inbox is the queue of frames from the other loops of the gateway. The frames of each loop stay in
// order. A record is
//
//	origin's loop u8 | kind u8 | serial u32 | frame
//
// An inbox drops nothing. At inboxLimit the writing loop stops reading the link that the frame came
// by, until the inbox is empty. What the same turn of that link may still add is bounded by the
// link's input buffer.
type inbox struct {
	mu      sync.Mutex
	records []byte       // guarded by mu; bound: a loop's inbox
	blocked []pausedLink // guarded by mu: links to read again; bound: links that have proved
	armed   bool         // guarded by mu: drainInbox is posted

	// Owned by the loop.
	spare []byte
	most  int // bytes drained at once since the last trim, at most
}

const noteHeader = 6

// keptInbox is the largest buffer that an idle inbox keeps, in bytes.
const keptInbox = 1 << 20

// trim releases a large buffer that is no longer needed. The loop calls it once a second.
func (b *inbox) trim() {
	if cap(b.spare) > keptInbox && b.most <= keptInbox {
		b.spare = nil
	}
	b.most = 0
}

// pausedLink identifies a link of a loop that is not read until an inbox is empty.
type pausedLink struct {
	loop   uint8
	serial uint32
}

// pass hands a frame to another loop. serial is the link of this loop that the frame came by, 0 if
// there is none. It reports false if the inbox is over its limit and there is such a link; the
// caller then pauses the link.
func (l *loop) pass(to uint8, o origin, f *link.Frame, serial uint32) bool {
	t := l.g.loops[to]
	b := &t.inbox
	b.mu.Lock()
	b.records = append(b.records, o.loop, byte(o.kind))
	b.records = binary.BigEndian.AppendUint32(b.records, o.serial)
	b.records = link.Append(b.records, f)
	free := serial == 0 || len(b.records) < inboxLimit
	if by := (pausedLink{l.index, serial}); !free && (len(b.blocked) == 0 || b.blocked[len(b.blocked)-1] != by) {
		b.blocked = append(b.blocked, by)
	}
	arm := !b.armed
	b.armed = true
	b.mu.Unlock()
	if arm && t.el.Post(t.drain) != nil {
		b.mu.Lock()
		b.armed = false // the next record or the loop's tick tries again
		b.mu.Unlock()
	}
	return free
}

// drainInbox handles all records. It runs on the loop.
func (l *loop) drainInbox() {
	b := &l.inbox
	b.mu.Lock()
	records, blocked := b.records, b.blocked
	b.records, b.blocked, b.armed = b.spare[:0], nil, false
	b.mu.Unlock()

	b.most = max(b.most, len(records))
	for in := records; len(in) > 0; {
		o := origin{loop: in[0], kind: noteKind(in[1]), serial: binary.BigEndian.Uint32(in[2:])}
		var f link.Frame
		n, _ := link.Next(in[noteHeader:], link.MaxFrame, &f) // written by pass, so it is whole
		in = in[noteHeader+n:]
		l.note(o, &f)
	}
	if b.spare = records; cap(records) > 2*inboxLimit {
		b.spare = nil
	}
	for _, p := range blocked {
		l.release(p)
	}
}

// note handles one record.
func (l *loop) note(o origin, f *link.Frame) {
	switch o.kind {
	case noteCommand, notePart:
		l.command(o, f)
	case noteJoin:
		o.kind = noteCommand
		l.command(o, f)
		set, _ := joined(f)
		l.narrow.interest.release(set)
	case noteAnswer:
		l.reply(o.serial, f)
	case noteSum:
		l.gathered(o.serial, f)
	case noteRelease:
		l.resumeLink(o.serial)
	}
}

func (l *loop) release(p pausedLink) {
	l.pass(p.loop, origin{p.loop, noteRelease, p.serial}, &link.Frame{Type: link.Pong}, 0)
}
