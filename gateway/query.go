package gateway

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// gather collects the replies to a query on the loop that received it. A count is sent to all
// loops; each replies with the same number of figures, which are summed. A query for a page of
// clients is sent to one other loop.
type gather struct {
	serial uint32 // of the link that sent the query
	id     uint32 // of the request
	left   int    // loops that have not replied
	born   uint32 // the loop's second in which it began
	size   int    // what it counts in the loop's gatherBytes
	page   bool
	sums   []uint32 // bound: questions that wait for another loop
}

const (
	gatherTimeout = 3        // in seconds: how long a loop may take to reply; a worker waits 5 s by default
	maxGathering  = 64 << 20 // memory for the gathers of a loop, in bytes
	gatherCost    = 256      // bytes of one without its figures
	pageCost      = 64 << 10 // bytes of one for a page; a page has at most four times that, and mostly less
)

// gather begins to collect the replies to f. It returns the origin that they go to. If too many
// bytes are being collected, it refuses the query, and reports false.
func (l *loop) gather(o origin, f *link.Frame, loops, size int) (origin, bool) {
	if l.gatherBytes+size > maxGathering {
		l.stats.QueriesRejected++
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(link.Refused)})
		return o, false
	}
	l.gatherBytes += size
	l.serials++
	l.gathers[l.serials] = &gather{
		serial: o.serial, id: f.ID, left: loops, born: l.seconds, size: size, page: f.Type == link.Select,
	}
	return origin{loop: l.index, kind: notePart, serial: l.serials}, true
}

// numbers is how many figures each loop replies with.
func numbers(f *link.Frame) int {
	if f.Type == link.Count && f.Code != link.TargetAll {
		c := link.Read(f.Payload)
		return int(c.U16())
	}
	return 1
}

// everywhere executes a command that concerns all loops: here, and on the others if it came by a
// link of this loop. The slot of a PUBLISH or DISSOLVE may name a single loop. A worker sends such
// a command to each loop by itself, in order with its other commands to that loop.
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

// onlyLoop is the single loop that a command is for, if it is not for all.
func onlyLoop(f *link.Frame) (loop uint8, one bool) {
	one = f.Slot > 0 && (f.Type == link.Publish || f.Type == link.Dissolve)
	return uint8(f.Slot - 1), one
}

// executeShare executes a command that concerns all loops, on this one.
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

// evict closes the clients that were bound to a uid before the claim.
func (l *loop) evict(c link.Cursor) {
	uid, claim := c.Evict()
	l.lastBind = max(l.lastBind, claim.Time)
	l.members.Older(uid, claim, func(m *registry.Member) {
		l.sessions[m.ID.Slot()].end(link.ReasonReplaced)
	})
	if l.contender != nil {
		l.contender.answer(uid, claim)
	}
}

// gathered adds the reply of one loop. After the last one it sends the reply to the worker.
func (l *loop) gathered(serial uint32, f *link.Frame) {
	g := l.gathers[serial]
	if g == nil {
		return // it has timed out
	}
	if g.page {
		l.removeGather(serial, g)
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
		l.answerSums(serial, g, 0)
	}
}

// answerSums sends the sums to the link that sent the query.
func (l *loop) answerSums(serial uint32, g *gather, flags uint8) {
	l.removeGather(serial, g)
	l.rows = l.rows[:0]
	for _, n := range g.sums {
		l.rows = binary.BigEndian.AppendUint32(l.rows, n)
	}
	l.reply(g.serial, &link.Frame{Type: link.Reply, Flags: flags, ID: g.id, Payload: l.rows})
}

func (l *loop) removeGather(serial uint32, g *gather) {
	delete(l.gathers, serial)
	l.gatherBytes -= g.size
}

// expireGathers ends the gathers that have timed out: a count with the figures that have come, a
// page with status Timeout.
func (l *loop) expireGathers() {
	for serial, g := range l.gathers {
		if l.seconds-g.born <= gatherTimeout {
			continue
		}
		l.stats.QueriesPartial++
		if g.page {
			l.removeGather(serial, g)
			l.reply(g.serial, &link.Frame{Type: link.Reply, ID: g.id, Code: uint16(link.Timeout)})
			continue
		}
		l.answerSums(serial, g, link.FlagPartial)
	}
}

// cursorBits is the size of the part of a Select's cursor that is a position within one loop. The
// bits above it are the loop.
const cursorBits = 56

// selectRows replies with one page of clients. A page has rows of one loop. The cursor leads
// through the loops one after the other.
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
