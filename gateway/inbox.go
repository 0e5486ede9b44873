package gateway

import (
	"encoding/binary"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// inboxLimit is how many bytes may wait in an inbox before the links that fill it are paused.
const inboxLimit = 1 << 20

// origin says who is to hear the answer to a frame: a link, or a gather, of a loop.
type origin struct {
	loop   uint8
	kind   noteKind
	serial uint32
}

type noteKind uint8

const (
	noteCommand noteKind = iota // a frame to be carried out here; answers go to the link with the serial
	notePart                    // a frame to be carried out here; answers go to the gather with the serial
	noteAnswer                  // a Reply for the link with the serial
	noteSum                     // a Reply for the gather with the serial
	noteRelease                 // no frame: the link with the serial may be read again
)

// inbox is how a loop hears from its siblings: frames, in the order each sibling wrote them. A record is
//
//	origin's loop u8 · kind u8 · serial u32 · frame
//
// It never drops: past inboxLimit the writing loop stops reading the link that the frame came by, until the inbox has been emptied.
// What one link's turn may still add is bounded by the link's input buffer.
type inbox struct {
	mu      sync.Mutex
	records []byte       // guarded by mu; bound: a loop's inbox
	blocked []pausedLink // guarded by mu: links to release; bound: links that have proved
	armed   bool         // guarded by mu: a drain is on its way

	// Owned by the loop.
	spare []byte
	most  int // bytes that were drained at once since the last trim
}

const noteHeader = 6

// keptInbox is the largest buffer of an inbox that is kept when a flood is over, in bytes.
const keptInbox = 1 << 20

// trim gives up a buffer that a flood needed, when that is over. Called on the loop, once in a while.
func (b *inbox) trim() {
	if cap(b.spare) > keptInbox && b.most <= keptInbox {
		b.spare = nil
	}
	b.most = 0
}

// pausedLink names a link of a loop that is not read until an inbox has been emptied.
type pausedLink struct {
	loop   uint8
	serial uint32
}

// pass hands a frame to another loop. It reports false when the inbox is over its limit and the frame came by a link of this loop, the one with
// the serial (0: it came otherwise): the caller then pauses that link.
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
		b.armed = false // the next record, or the loop's tick, tries again
		b.mu.Unlock()
	}
	return free
}

// drainInbox runs on the loop.
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
		n, _ := link.Next(in[noteHeader:], link.MaxFrame, &f) // our own writing: always whole
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

// note acts on one record.
func (l *loop) note(o origin, f *link.Frame) {
	switch o.kind {
	case noteCommand, notePart:
		l.command(o, f)
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
