package gateway

import (
	"encoding/binary"
	"fmt"

	"sluice/internal/link"
)

// isCommand reports whether a worker may ask for a frame of this type.
func isCommand(t link.Type) bool {
	switch t {
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set,
		link.Publish, link.Dissolve, link.Evict, link.Count, link.Select:
		return true
	}
	return false
}

// command carries a worker's command out, here or on the loop it is for. An error ends the worker's link.
func (l *loop) command(o origin, f *link.Frame) error {
	switch f.Type {
	case link.Publish, link.Dissolve, link.Evict, link.Count:
		return l.everywhere(o, f)
	case link.Select:
		return l.selectRows(o, f)
	}
	if f.Code != uint16(l.index) {
		if int(f.Code) >= len(l.g.loops) {
			return fmt.Errorf("%w: no loop %d", link.ErrFrame, f.Code)
		}
		l.passOrPause(uint8(f.Code), o, f)
		return nil
	}
	s := l.session(f.Slot, f.Token)
	if s == nil || s.phase != phaseOpen {
		l.stats.Gone++
		l.status(o, f, link.Gone)
		return nil
	}
	return l.clientCommand(o, f, s)
}

// clientCommand carries out a command about one client of this loop.
func (l *loop) clientCommand(o origin, f *link.Frame, s *session) error {
	done := link.OK
	switch f.Type {
	case link.Send:
		if !s.deliver(f.Payload, f.Flags) {
			done = link.Refused
		}
	case link.Kick:
		s.kick(f)
	case link.Bind, link.Unbind:
		if !l.bind(s, f) {
			done = link.BadRequest
		}
		l.changed(o, s)
	case link.Join:
		if len(f.Payload) == 0 || len(f.Payload) > maxName {
			done = link.BadRequest
		} else {
			l.members.Join(&s.member, string(f.Payload))
		}
	case link.Leave:
		l.members.Leave(&s.member, string(f.Payload))
	case link.Set:
		return l.set(o, f, s)
	}
	l.status(o, f, done)
	return nil
}

// kick closes a client, with a last message where there is one.
func (s *session) kick(f *link.Frame) {
	if f.Has(link.FlagNow) {
		s.destroy(link.ReasonKicked)
		return
	}
	if f.Has(link.FlagLast) {
		s.deliver(f.Payload, f.Flags&link.FlagText)
	}
	s.end(link.ReasonKicked)
}

// bind gives a client its uid, or takes it away.
func (l *loop) bind(s *session, f *link.Frame) bool {
	if f.Type == link.Unbind {
		l.members.Unbind(&s.member)
		return true
	}
	if len(f.Payload) == 0 || len(f.Payload) > maxName {
		return false
	}
	l.members.Bind(&s.member, string(f.Payload))
	if f.Has(link.FlagExclusive) {
		e := link.Frame{Type: link.Evict, Payload: append(link.AppendBytes(nil, f.Payload), s.member.ID[:]...)}
		_ = l.everywhere(origin{loop: l.index}, &e) // well formed by making
	}
	return true
}

const (
	// maxName is the longest uid and group, in bytes: what the protocol has room for.
	maxName = 1<<16 - 1
	// maxAttributes bounds what a client has together with what is to be set, in bytes: every attachment carries it.
	maxAttributes = 1 << 20
)

// attributesSize is what attributes take on a link, but for their count, which 1 MiB of them keeps within its bounds too.
func attributesSize(attrs []link.Attribute) int {
	n := 0
	for _, a := range attrs {
		n += minAttribute + len(a.Key) + len(a.Value)
	}
	return n
}

// minAttribute makes 65,535 attributes take maxAttributes.
const minAttribute = 16

// set changes a client's attributes.
func (l *loop) set(o origin, f *link.Frame, s *session) error {
	c := link.Read(f.Payload)
	version := c.U32()
	attrs := c.Attributes()
	if c.Bad() {
		return link.ErrFrame
	}
	stale := version != s.member.Version()
	if stale && f.Has(link.FlagCompare) {
		if !f.Has(link.FlagResult) {
			return nil
		}
		l.rows = binary.BigEndian.AppendUint32(l.rows[:0], s.member.Version())
		l.rows = link.AppendAttributes(l.rows, s.member.Attrs())
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(link.Conflict), Payload: l.rows})
		return nil
	}
	if attributesSize(attrs)+attributesSize(s.member.Attrs()) > maxAttributes {
		l.status(o, f, link.Refused)
		return nil
	}
	l.members.Set(&s.member, attrs, f.Has(link.FlagMerge))
	if stale && l.fromOwn(o, s) {
		s.link.refresh(s)
	} else {
		l.changed(o, s)
	}
	l.status(o, f, link.OK)
	return nil
}

// changed tells a client's worker of a change that somebody else made.
func (l *loop) changed(o origin, s *session) {
	if s.link != nil && !l.fromOwn(o, s) {
		s.link.refresh(s)
	}
}

// fromOwn reports whether a command came down the link of the client's own worker, which knows already.
func (l *loop) fromOwn(o origin, s *session) bool {
	return s.link != nil && o.kind == noteCommand && o.loop == l.index && o.serial == s.link.serial
}

// passOrPause hands a command to another loop; where that is behind, the link that the command came by is not read until it has caught up.
func (l *loop) passOrPause(to uint8, o origin, f *link.Frame) {
	if l.pass(to, o, f) || o.kind != noteCommand || o.loop != l.index {
		return
	}
	if k := l.links[o.serial]; k != nil {
		l.stats.Pressed++
		k.conn.Pause()
	}
}
