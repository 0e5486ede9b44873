package gateway

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// command carries out a worker's command that has been checked, here or on the loop it is for.
func (l *loop) command(o origin, f *link.Frame) {
	if f.Type == link.Send && f.Code == uint16(l.index) { // the most frequent by far
		l.send(o, f)
		return
	}
	switch f.Type {
	case link.Relay:
		l.relay(o, f)
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
		s.reject(f.Payload) // though it may have gone: its messages are not to be handled
		l.status(o, f, link.OK)
		return
	}
	if s == nil || s.phase != phaseOpen {
		l.stats.StaleTargets++
		l.status(o, f, link.Gone)
		return
	}
	if f.Type == link.Set {
		l.set(o, f, s)
		return
	}
	l.status(o, f, l.clientCommand(o, f, s))
}

// send sends a message to one client of this loop.
func (l *loop) send(o origin, f *link.Frame) {
	status := link.OK
	if s := l.session(f.Slot, f.Token); s == nil || s.phase != phaseOpen {
		l.stats.StaleTargets++
		status = link.Gone
	} else if class, message := l.g.sendOptionsOf(f.Flags, f.Payload); !s.deliver(message, f.Flags, class) {
		status = link.Refused
	}
	l.status(o, f, status)
}

// clientCommand carries out a command about one client of this loop, but Send.
func (l *loop) clientCommand(o origin, f *link.Frame, s *session) link.Status {
	switch f.Type {
	case link.Kick:
		s.kick(f)
	case link.Bind, link.Unbind:
		l.changeUID(o, f, s)
	case link.Join:
		if !l.members.Join(&s.member, string(f.Payload)) {
			l.stats.JoinsRejected++
			return link.Refused
		}
	case link.Leave:
		l.members.Leave(&s.member, string(f.Payload))
	}
	return link.OK
}

// kick closes a client, with a last message where there is one.
func (s *session) kick(f *link.Frame) {
	if f.Has(link.FlagNow) {
		s.closeNow(link.ReasonKicked)
		return
	}
	if f.Has(link.FlagLast) {
		s.deliver(f.Payload, f.Flags&link.FlagText, engine.SendOptions{})
	}
	s.end(link.ReasonKicked)
}

// changeUID binds a client to a uid, or takes it away. Where only one client may have it, all loops of all gateways hear of the claim: whichever of two they hear of first, the
// same one wins.
func (l *loop) changeUID(o origin, f *link.Frame, s *session) {
	claim := link.Claim{Client: s.member.ID}
	if f.Type == link.Bind {
		claim.Time = l.bindTime()
	}
	tell := l.members.ChangeUID(&s.member, f, l.fromOwn(o, f, s), claim.Time)
	if f.Has(link.FlagExclusive) {
		e := link.Frame{Type: link.Evict, Payload: link.AppendEvict(nil, s.member.UID(), claim)}
		l.relayToAll(o, &e)
		here := origin{loop: l.index}
		if o.loop == l.index {
			here.serial = o.serial // which is not read while an inbox is full
		}
		l.everywhere(here, &e)
	}
	if tell && s.link != nil {
		s.link.refresh(s)
	}
}

// bindTime is the time of a binding, after all that the loop has heard of: a hybrid logical clock (Kulkarni and others, 2014), so that of two bindings of which one saw the other
// that one is later on every gateway, and else the clock decides.
func (l *loop) bindTime() uint64 {
	l.bound = max(l.bound+1, l.now())
	return l.bound
}

// now is the time by the clock of bindings, in nanoseconds since 1970.
func (l *loop) now() uint64 { return uint64(time.Now().UnixNano()) + l.ahead }

// advanceClock goes by another gateway's clock where that is ahead: a binding there that nobody has told of, since it evicts nobody, must not be later than one which comes after it here.
func (l *loop) advanceClock(t uint64) {
	if now := l.now(); t > now {
		l.ahead += t - now
	}
}

// set changes a client's attributes. A worker checks their size by its copy before it sends a SET;
// one that is too big all the same, for somebody else has changed them meanwhile, has no effect.
// The answer to one that compared with a version that is not the present one has what stands.
func (l *loop) set(o origin, f *link.Frame, s *session) {
	status, tell := l.members.ChangeAttrs(&s.member, f, l.fromOwn(o, f, s))
	if status == link.Refused {
		l.stats.AttrsRejected++
	}
	if tell && s.link != nil {
		s.link.refresh(s)
	}
	if status != link.Conflict {
		l.status(o, f, status)
	} else if f.Has(link.FlagResult) {
		l.rows = s.member.AppendAttrs(l.rows[:0])
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(status), Payload: l.rows})
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
	if !l.pass(to, o, f, serial) {
		l.pauseLink(serial)
	}
}

// pauseLink stops reading the link with the serial, which fills another loop's inbox faster than that is emptied.
func (l *loop) pauseLink(serial uint32) {
	if k := l.links[serial]; k != nil {
		k.pressing = true
		k.conn.Pause()
	} else if k := l.comers[serial]; k != nil {
		k.pressing = true
		k.conn.Pause()
	} else {
		return
	}
	l.stats.InboxBackpressure++
}

// resumeLink reads the link with the serial again, unless something else forbids it.
func (l *loop) resumeLink(serial uint32) {
	if k := l.links[serial]; k != nil {
		k.pressing = false
		k.readOn()
	} else if k := l.comers[serial]; k != nil {
		k.pressing = false
		k.conn.Resume()
	}
}
