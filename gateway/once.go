package gateway

import (
	"encoding/binary"

	"sluice/internal/link"
)

// once carries out a command that a worker gave while it handled an event of another gateway's client, unless that has been done already: the event may have been
// redelivered. All commands for one such client are looked at by one loop, which remembers.
func (l *loop) once(o origin, f *link.Frame) {
	if home := uint8(f.Token % uint64(len(l.g.loops))); home != l.index {
		l.passOrPause(home, o, f, o.serial)
		return
	}
	who := remote{gateway: binary.BigEndian.Uint32(f.Payload), slot: f.Slot, token: f.Token}
	if !l.done.first(who, f.ID, f.Code) {
		l.stats.Repeated++
		return
	}
	var inner link.Frame
	_, _ = link.Next(f.Payload[onceHeader:], link.MaxFrame, &inner) // checked
	l.command(o, &inner)
}

// onceHeader is the gateway's id before the frame within.
const onceHeader = 4

// remote names a client of another gateway.
type remote struct {
	gateway, slot uint32
	token         uint64
}

// done is what has been carried out for clients of other gateways. Owned by the loop.
type done struct {
	of     map[remote]marks
	order  []remote // in which they came, as a ring
	oldest int
}

// marks are the newest events of a client of which something has been carried out here, and the last index of each. They are several, for what one worker sent may
// be overtaken by what the client's next one sends, on a link of its own.
type marks struct {
	events  [maxMarks]uint32
	indexes [maxMarks]uint16
	count   uint8
}

const (
	maxRemotes = 1 << 16 // clients that are remembered; the one that came first is forgotten first
	maxMarks   = 8       // events of each; those before them count as carried out
)

// first enters a command and reports whether it has not been carried out yet.
func (d *done) first(who remote, event uint32, index uint16) bool {
	m, known := d.of[who]
	switch {
	case known:
	case len(d.order) < maxRemotes:
		d.order = append(d.order, who)
	default:
		delete(d.of, d.order[d.oldest])
		d.order[d.oldest] = who
		d.oldest = (d.oldest + 1) % maxRemotes
	}
	if d.of == nil {
		d.of = make(map[remote]marks)
	}
	first := m.first(event, index)
	d.of[who] = m
	return first
}

func (m *marks) first(event uint32, index uint16) bool {
	oldest := 0
	for i := range int(m.count) {
		if m.events[i] == event {
			newer := index > m.indexes[i]
			m.indexes[i] = max(m.indexes[i], index)
			return newer
		}
		if m.events[i] < m.events[oldest] {
			oldest = i
		}
	}
	switch {
	case m.count < maxMarks:
		oldest = int(m.count)
		m.count++
	case event < m.events[oldest]:
		return false // too late to tell
	}
	m.events[oldest], m.indexes[oldest] = event, index
	return true
}
