package gateway

import (
	"encoding/binary"

	"sluice/internal/link"
	"sluice/internal/roster"
)

// gather is a question put to all loops, on the loop that was asked. Each loop answers with as many numbers, which are added up.
type gather struct {
	serial uint32 // of the link that asked
	id     uint32 // of its request
	left   int    // loops that have not answered
	sums   []uint32
}

// everywhere carries out a command that concerns all loops: here, and passed on to the others when it came by a link of this loop. Of a Publish or Dissolve the slot may name the one
// loop that is to do its share: a worker's plain commands go to each loop by itself, in order with what else it sends there.
func (l *loop) everywhere(o origin, f *link.Frame) {
	if only := uint8(f.Slot - 1); f.Slot > 0 && only != l.index {
		l.passOrPause(only, o, f, o.serial)
		return
	}
	if f.Slot > 0 || o.kind == notePart || o.loop != l.index {
		l.share(o, f)
		return
	}
	if f.Has(link.FlagFar) {
		l.spread(o, f)
	}
	part := origin{loop: l.index, kind: noteCommand, serial: o.serial}
	if f.Has(link.FlagResult) || f.Type == link.Count {
		l.serials++
		part = origin{loop: l.index, kind: notePart, serial: l.serials}
		l.gathers[part.serial] = &gather{serial: o.serial, id: f.ID, left: len(l.g.loops)}
	}
	for i := range l.g.loops {
		if to := uint8(i); to != l.index {
			l.passOrPause(to, part, f, o.serial)
		}
	}
	l.share(part, f)
}

// share carries out this loop's share of a command that concerns all.
func (l *loop) share(o origin, f *link.Frame) {
	l.rows = l.rows[:0]
	switch f.Type {
	case link.Publish:
		l.rows = binary.BigEndian.AppendUint32(l.rows, l.publish(f))
	case link.Dissolve:
		l.rows = binary.BigEndian.AppendUint32(l.rows, uint32(l.members.Dissolve(string(f.Payload))))
	case link.Evict:
		l.evict(link.Read(f.Payload))
	case link.Count:
		c := link.Read(f.Payload)
		l.rows = l.members.Count(f.Code, readList(&c), l.rows)
	}
	if o.kind == notePart || f.Slot > 0 && f.Has(link.FlagResult) {
		l.answer(o, &link.Frame{ID: f.ID, Payload: l.rows})
	}
}

// evict closes the clients of a uid that had it before a claim.
func (l *loop) evict(c link.Cursor) {
	uid, claim := c.Evict()
	l.clock = max(l.clock, claim.Time)
	l.members.Older(uid, claim, func(m *roster.Member) {
		l.sessions[m.ID.Slot()].end(link.ReasonReplaced)
	})
}

// gathered adds one loop's answer; with the last one the asker is told.
func (l *loop) gathered(serial uint32, f *link.Frame) {
	g := l.gathers[serial]
	if g == nil {
		return
	}
	c := link.Read(f.Payload)
	for i := 0; len(c.Rest()) >= 4; i++ {
		if i == len(g.sums) {
			g.sums = append(g.sums, 0)
		}
		g.sums[i] += c.U32()
	}
	if g.left--; g.left > 0 {
		return
	}
	delete(l.gathers, serial)
	l.rows = l.rows[:0]
	for _, n := range g.sums {
		l.rows = binary.BigEndian.AppendUint32(l.rows, n)
	}
	l.reply(g.serial, &link.Frame{Type: link.Reply, ID: g.id, Payload: l.rows})
}

// cursorBits is the part of a Select's cursor that is a place within one loop; above it stands the loop.
const cursorBits = 56

// selectRows answers with one page of clients. A page holds the rows of one loop; the cursor leads through the loops one after the other.
func (l *loop) selectRows(o origin, f *link.Frame) {
	c := link.Read(f.Payload)
	fields, limit, cursor := c.U8(), c.U32(), c.U64()
	keys := readList(&c)
	at := cursor >> cursorBits
	if uint8(at) != l.index {
		l.passOrPause(uint8(at), o, f, o.serial)
		return
	}
	l.rows = append(l.rows[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	rows, next, partial := l.members.Select(fields, f.Code, keys, int(limit), cursor&(1<<cursorBits-1), l.rows)
	switch {
	case next != 0:
		next |= at << cursorBits
	case int(at)+1 < len(l.g.loops):
		next = (at + 1) << cursorBits
	}
	binary.BigEndian.PutUint64(rows, next)
	l.rows = rows
	var flags uint8
	if partial {
		flags = link.FlagPartial
	}
	l.answer(o, &link.Frame{Flags: flags, ID: f.ID, Payload: rows})
}

// readList reads a list of names; they are views.
func readList(c *link.Cursor) [][]byte {
	list := make([][]byte, c.U16())
	for i := range list {
		list[i] = c.Bytes()
	}
	return list
}
