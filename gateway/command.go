package gateway

import (
	"encoding/binary"

	"sluice/engine"
	"sluice/internal/link"
)

// command carries out a worker's command that has been checked, here or on the loop it is for.
func (l *loop) command(o origin, f *link.Frame) {
	switch f.Type {
	case link.Once:
		l.once(o, f)
		return
	case link.Publish, link.Dissolve, link.Evict, link.Count:
		l.everywhere(o, f)
		return
	case link.Select:
		l.selectRows(o, f)
		return
	}
	if f.Code != uint16(l.index) {
		l.passOrPause(uint8(f.Code), o, f, o.serial)
		return
	}
	s := l.session(f.Slot, f.Token)
	if s != nil && f.Type == link.Kick && f.Has(link.FlagRefused) {
		s.reject() // though it may have gone: its messages are not to be handled
		l.status(o, f, link.OK)
		return
	}
	if s == nil || s.phase != phaseOpen {
		l.stats.Gone++
		l.status(o, f, link.Gone)
		return
	}
	if f.Type == link.Set {
		l.set(o, f, s)
		return
	}
	l.status(o, f, l.clientCommand(o, f, s))
}

// clientCommand carries out a command about one client of this loop.
func (l *loop) clientCommand(o origin, f *link.Frame, s *session) link.Status {
	switch f.Type {
	case link.Send:
		class, message := l.g.classOf(f.Flags, f.Payload)
		if !s.deliver(message, f.Flags, class) {
			return link.Refused
		}
	case link.Kick:
		s.kick(f)
	case link.Bind:
		if !isName(f.Payload) {
			return link.BadRequest
		}
		l.bind(s, f)
		l.changed(o, f, s)
	case link.Unbind:
		l.members.Unbind(&s.member)
		l.changed(o, f, s)
	case link.Join:
		if !isName(f.Payload) {
			return link.BadRequest
		}
		l.members.Join(&s.member, string(f.Payload))
	case link.Leave:
		l.members.Leave(&s.member, string(f.Payload))
	}
	return link.OK
}

// isName reports whether a payload can be a uid or a group: the protocol has room for 65,535 bytes of it.
func isName(b []byte) bool { return len(b) > 0 && len(b) < 1<<16 }

// kick closes a client, with a last message where there is one.
func (s *session) kick(f *link.Frame) {
	if f.Has(link.FlagNow) {
		s.destroy(link.ReasonKicked)
		return
	}
	if f.Has(link.FlagLast) {
		s.deliver(f.Payload, f.Flags&link.FlagText, engine.Class{})
	}
	s.end(link.ReasonKicked)
}

// bind gives a client its uid.
func (l *loop) bind(s *session, f *link.Frame) {
	l.members.Bind(&s.member, string(f.Payload))
	if f.Has(link.FlagExclusive) {
		e := link.Frame{Type: link.Evict, Payload: append(link.AppendBytes(nil, f.Payload), s.member.ID[:]...)}
		l.everywhere(origin{loop: l.index}, &e)
	}
}

// set changes a client's attributes. A worker checks their size by its copy before it sends a SET;
// one that is too big all the same, for somebody else has changed them meanwhile, has no effect.
func (l *loop) set(o origin, f *link.Frame, s *session) {
	c := link.Read(f.Payload)
	version := c.U32()
	attrs := c.Attributes()
	stale := version != s.member.Version()
	if stale && f.Has(link.FlagCompare) {
		l.conflict(o, f, s)
		return
	}
	if !l.members.Set(&s.member, attrs, f.Has(link.FlagMerge)) {
		l.stats.AttrsRefused++
		if l.fromOwn(o, f, s) {
			s.link.refresh(s) // it has changed its copy already
		}
		l.status(o, f, link.Refused)
		return
	}
	if s.link != nil && (stale || !l.fromOwn(o, f, s)) {
		s.link.refresh(s)
	}
	l.status(o, f, link.OK)
}

// conflict answers a Set that compared with a version that is not the present one, which goes with the answer.
func (l *loop) conflict(o origin, f *link.Frame, s *session) {
	if !f.Has(link.FlagResult) {
		return
	}
	l.rows = binary.BigEndian.AppendUint32(l.rows[:0], s.member.Version())
	l.rows = link.AppendAttributes(l.rows, s.member.Attrs())
	l.answer(o, &link.Frame{ID: f.ID, Code: uint16(link.Conflict), Payload: l.rows})
}

// changed tells a client's worker of a change that somebody else made.
func (l *loop) changed(o origin, f *link.Frame, s *session) {
	if s.link != nil && !l.fromOwn(o, f, s) {
		s.link.refresh(s)
	}
}

// fromOwn reports whether the client's own worker sent a command, and knows what it changes already.
func (l *loop) fromOwn(o origin, f *link.Frame, s *session) bool {
	return f.Has(link.FlagOwn) && s.link != nil && o.kind == noteCommand && o.loop == l.index && o.serial == s.link.serial
}

// passOrPause hands a command to another loop; where that is behind, the link with the serial, by which the command came, is not read until it has
// caught up. A command that a sibling passed on has been paid for there.
func (l *loop) passOrPause(to uint8, o origin, f *link.Frame, serial uint32) {
	if o.loop != l.index {
		serial = 0
	}
	if l.pass(to, o, f, serial) {
		return
	}
	if k := l.links[serial]; k != nil {
		l.stats.Pressed++
		k.pressing = true
		k.conn.Pause()
	}
}
