package gateway

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// gather is a question put to all loops, on the loop that was asked: each answers with as many numbers, which are added up. Or it is put to another loop, for a page of its clients.
type gather struct {
	serial uint32 // of the link that asked
	id     uint32 // of its request
	left   int    // loops that have not answered
	born   uint32 // the loop's second in which it began
	size   int    // what it counts in the loop's pending
	page   bool
	sums   []uint32 // bound: questions that wait for another loop
}

const (
	gatherFor    = 3        // seconds, at least, until a loop that has not answered is not waited for. A worker waits for 5 by default
	maxGathering = 64 << 20 // what the gathers of a loop may take, in bytes
	gatherCost   = 256      // of one without its numbers
	pageCost     = 64 << 10 // of one for a page, which has four times that at most and mostly less
)

// gather begins one, whose answers come to the origin that it returns. It reports false, and has told the asker, when too much is being gathered.
func (l *loop) gather(o origin, f *link.Frame, loops, size int) (origin, bool) {
	if l.pending+size > maxGathering {
		l.stats.QueriesRejected++
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(link.Refused)})
		return o, false
	}
	l.pending += size
	l.serials++
	l.gathers[l.serials] = &gather{serial: o.serial, id: f.ID, left: loops, born: l.seconds, size: size, page: f.Type == link.Select}
	return origin{loop: l.index, kind: notePart, serial: l.serials}, true
}

// numbers is how many each loop answers a command with.
func numbers(f *link.Frame) int {
	if f.Type == link.Count && f.Code != link.TargetAll {
		c := link.Read(f.Payload)
		return int(c.U16())
	}
	return 1
}

// everywhere carries out a command that concerns all loops: here, and passed on to the others when it came by a link of this loop. Of a Publish or Dissolve the slot may name the one
// loop that is to do its share: a worker's plain commands go to each loop by itself, in order with what else it sends there.
func (l *loop) everywhere(o origin, f *link.Frame) {
	only, one := onlyLoop(f)
	if one && only != l.index {
		l.passOrPause(only, o, f, o.serial)
		return
	}
	if one || o.kind == notePart || o.loop != l.index {
		l.executeShare(o, f)
		return
	}
	if f.Has(link.FlagFar) {
		l.relayToAll(o, f)
	}
	part := origin{loop: l.index, kind: noteCommand, serial: o.serial}
	if f.Has(link.FlagResult) || f.Type == link.Count {
		var ok bool
		if part, ok = l.gather(o, f, len(l.g.loops), gatherCost+4*numbers(f)); !ok {
			return
		}
	}
	for i := range l.g.loops {
		if to := uint8(i); to != l.index {
			l.passOrPause(to, part, f, o.serial)
		}
	}
	l.executeShare(part, f)
}

// onlyLoop is the one loop that a command is for, where it is not for all.
func onlyLoop(f *link.Frame) (loop uint8, one bool) {
	one = f.Slot > 0 && (f.Type == link.Publish || f.Type == link.Dissolve)
	return uint8(f.Slot - 1), one
}

// executeShare carries out this loop's share of a command that concerns all.
func (l *loop) executeShare(o origin, f *link.Frame) {
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
		l.rows = l.members.Count(f.Code, c.List(), l.rows)
	}
	if _, one := onlyLoop(f); o.kind == notePart || one && f.Has(link.FlagResult) {
		l.answer(o, &link.Frame{ID: f.ID, Payload: l.rows})
	}
}

// evict closes the clients of a uid that had it before a claim.
func (l *loop) evict(c link.Cursor) {
	uid, claim := c.Evict()
	l.bound = max(l.bound, claim.Time)
	l.members.Older(uid, claim, func(m *registry.Member) {
		l.sessions[m.ID.Slot()].end(link.ReasonReplaced)
	})
}

// gathered adds one loop's answer; with the last one the asker is told.
func (l *loop) gathered(serial uint32, f *link.Frame) {
	g := l.gathers[serial]
	if g == nil {
		return // not waited for any more
	}
	if g.page {
		l.gatherEnds(serial, g)
		l.reply(g.serial, &link.Frame{Type: link.Reply, Flags: f.Flags, Code: f.Code, ID: g.id, Payload: f.Payload})
		return
	}
	c := link.Read(f.Payload)
	for i := 0; len(c.Rest()) >= 4; i++ {
		if i == len(g.sums) {
			g.sums = append(g.sums, 0)
		}
		g.sums[i] += c.U32()
	}
	if g.left--; g.left == 0 {
		l.tellSums(serial, g, 0)
	}
}

// tellSums tells the asker what has been gathered.
func (l *loop) tellSums(serial uint32, g *gather, flags uint8) {
	l.gatherEnds(serial, g)
	l.rows = l.rows[:0]
	for _, n := range g.sums {
		l.rows = binary.BigEndian.AppendUint32(l.rows, n)
	}
	l.reply(g.serial, &link.Frame{Type: link.Reply, Flags: flags, ID: g.id, Payload: l.rows})
}

func (l *loop) gatherEnds(serial uint32, g *gather) {
	delete(l.gathers, serial)
	l.pending -= g.size
}

// expireGathers ends those that a loop has not answered in time: with what the others have said, or without a page.
func (l *loop) expireGathers() {
	for serial, g := range l.gathers {
		if l.seconds-g.born <= gatherFor {
			continue
		}
		l.stats.QueriesPartial++
		if g.page {
			l.gatherEnds(serial, g)
			l.reply(g.serial, &link.Frame{Type: link.Reply, ID: g.id, Code: uint16(link.Timeout)})
			continue
		}
		l.tellSums(serial, g, link.FlagPartial)
	}
}

// cursorBits is the part of a Select's cursor that is a place within one loop; above it stands the loop.
const cursorBits = 56

// selectRows answers with one page of clients. A page holds the rows of one loop; the cursor leads through the loops one after the other.
func (l *loop) selectRows(o origin, f *link.Frame) {
	c := link.Read(f.Payload)
	fields, limit, cursor := c.U8(), c.U32(), c.U64()
	keys := c.List()
	at := cursor >> cursorBits
	if uint8(at) != l.index {
		part := o
		if o.loop == l.index && o.kind == noteCommand {
			var ok bool
			if part, ok = l.gather(o, f, 1, pageCost); !ok {
				return
			}
		}
		l.passOrPause(uint8(at), part, f, o.serial)
		return
	}
	l.rows = append(l.rows[:0], 0, 0, 0, 0, 0, 0, 0, 0)
	rows, next := l.members.Select(fields, f.Code, keys, int(limit), cursor&(1<<cursorBits-1), l.rows)
	switch {
	case next != 0:
		next |= at << cursorBits
	case int(at)+1 < len(l.g.loops):
		next = (at + 1) << cursorBits
	}
	binary.BigEndian.PutUint64(rows, next)
	l.rows = rows
	l.answer(o, &link.Frame{ID: f.ID, Payload: rows})
}
