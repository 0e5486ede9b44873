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
	if !l.done.first(who, uint64(f.ID)<<16|uint64(f.Code)) {
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

// done is what has been carried out for clients of other gateways: the newest event and index of each. Owned by the loop.
type done struct {
	newest map[remote]uint64
	order  []remote // in which they came, as a ring
	oldest int
}

// maxRemotes bounds the clients that are remembered; the one that came first is forgotten first.
const maxRemotes = 1 << 16

// first enters a mark and reports whether it is newer than all that was entered for the client.
func (d *done) first(who remote, mark uint64) bool {
	last, known := d.newest[who]
	switch {
	case known && mark <= last:
		return false
	case known:
	case len(d.order) < maxRemotes:
		d.order = append(d.order, who)
	default:
		delete(d.newest, d.order[d.oldest])
		d.order[d.oldest] = who
		d.oldest = (d.oldest + 1) % maxRemotes
	}
	if d.newest == nil {
		d.newest = make(map[remote]uint64)
	}
	d.newest[who] = mark
	return true
}
