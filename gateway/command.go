package gateway

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// command executes a worker's command that has been checked, where its rule says.
func (l *loop) command(o origin, f *link.Frame) {
	if f.Type == link.Send && f.Code == uint16(l.index) { // by far the most frequent
		l.send(o, f)
		return
	}
	switch rules[f.Type].where {
	case atGateway:
		l.relay(o, f)
	case atAll:
		l.everywhere(o, f)
	case atCursor:
		l.selectRows(o, f)
	case atClient:
		if f.Code != uint16(l.index) {
			l.passOrPause(uint8(f.Code), l.narrow.pass(o, f), f, o.serial)
			return
		}
		l.clientCommand(o, f, l.session(f.Slot, f.Token))
	}
}

// send sends a message to one client of this loop.
func (l *loop) send(o origin, f *link.Frame) {
	l.status(o, f, l.sendTo(l.session(f.Slot, f.Token), f))
}

// sendTo sends the message of a SEND to a client. s is nil if the client is unknown.
func (l *loop) sendTo(s *session, f *link.Frame) link.Status {
	if s == nil || s.phase != phaseOpen {
		l.stats.StaleTargets++
		return link.Gone
	}
	if class, message := l.g.sendOptionsOf(f.Flags, f.Payload); !s.deliver(message, f.Flags, class) {
		return link.Refused
	}
	return link.OK
}

// clientCommand executes a command about one client of this loop, except SEND. s is nil if the
// client is unknown.
func (l *loop) clientCommand(o origin, f *link.Frame, s *session) {
	status := link.OK
	switch {
	case s != nil && f.Type == link.Kick && f.Has(link.FlagRefused):
		l.book.Reject(&s.delivery)
		s.refuseAdmission(f.Payload) // also if the client has gone: its messages must not be handled
	case s == nil || s.phase != phaseOpen:
		l.stats.StaleTargets++
		status = link.Gone
	case f.Type == link.Set:
		l.set(o, f, s) // it sends the result
		return
	case f.Type == link.Kick:
		s.kick(f)
	case f.Type == link.Bind, f.Type == link.Unbind:
		l.changeUID(o, f, s)
	case f.Type == link.Leave:
		l.members.Leave(&s.member, string(f.Payload))
	case !l.members.Join(&s.member, string(f.Payload)):
		l.stats.JoinsRejected++
		status = link.Refused
	}
	l.status(o, f, status)
}

// kick closes a client, with a last message if the frame has one.
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

// changeUID binds a client to a uid, or unbinds it. An exclusive binding is a claim that all loops
// of all gateways receive. They all keep the same one of two claims, in whichever order they
// receive them.
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
			here.serial = o.serial // this link is not read while an inbox is full
		}
		l.everywhere(here, &e)
		if l.contender != nil {
			l.contender.claimed(s.member.UID(), claim)
		}
	}
	if k := s.link(); tell && k != nil {
		k.refresh(s)
	}
}

// bindTime is the time of a new binding, later than all bindings that the loop knows. It is a
// hybrid logical clock (Kulkarni and others, 2014): if one of two bindings was made with knowledge
// of the other, it is later on every gateway. Otherwise the clocks decide.
func (l *loop) bindTime() uint64 {
	l.lastBind = max(l.lastBind+1, l.now())
	return l.lastBind
}

// now is the clock of bindings, in nanoseconds since 1970.
func (l *loop) now() uint64 { return uint64(time.Now().UnixNano()) + l.clockOffset }

// advanceClock follows the clock of another gateway if that is ahead. A binding there that evicts
// no client is not sent to other gateways. It must still not be later than a binding made here
// afterwards.
func (l *loop) advanceClock(t uint64) {
	if now := l.now(); t > now {
		l.clockOffset += t - now
	}
}

// set changes a client's attributes. A worker checks their size with its copy before it sends a
// SET. If they are too large nevertheless, because another worker has changed them, the command is
// refused. The reply to a compare-and-set whose version is not the current one has the current
// attributes.
func (l *loop) set(o origin, f *link.Frame, s *session) {
	status, tell := l.members.ChangeAttrs(&s.member, f, l.fromOwn(o, f, s))
	if status == link.Refused {
		l.stats.AttrsRejected++
	}
	if k := s.link(); tell && k != nil {
		k.refresh(s)
	}
	if status != link.Conflict {
		l.status(o, f, status)
	} else if f.Has(link.FlagResult) {
		l.rows = s.member.AppendAttrs(l.rows[:0])
		l.answer(o, &link.Frame{ID: f.ID, Code: uint16(status), Payload: l.rows})
	}
}

// fromOwn reports whether the command came from the client's own worker, which knows the change
// already.
func (l *loop) fromOwn(o origin, f *link.Frame, s *session) bool {
	k := s.link()
	return f.Has(link.FlagOwn) && k != nil && o.kind == noteCommand && o.loop == l.index && o.serial == k.serial
}

// passOrPause hands a command to another loop. If the inbox there is full, the link with the
// serial, by which the command came, is not read until the inbox is empty. A command from another
// loop does not pause a link here; it has done so there.
func (l *loop) passOrPause(to uint8, o origin, f *link.Frame, serial uint32) {
	if o.loop != l.index {
		serial = 0
	}
	if !l.pass(to, o, f, serial) {
		l.pauseLink(serial)
	}
}

// pauseLink stops reading the link with the serial, because it fills another loop's inbox.
func (l *loop) pauseLink(serial uint32) {
	if k := l.links[serial]; k != nil {
		k.inboxPaused = true
		k.conn.Pause()
	} else if k := l.inLinks[serial]; k != nil {
		k.inboxPaused = true
		k.conn.Pause()
	} else {
		return
	}
	l.stats.InboxBackpressure++
}

// resumeLink reads the link with the serial again, unless another full queue forbids it.
func (l *loop) resumeLink(serial uint32) {
	if k := l.links[serial]; k != nil {
		k.inboxPaused = false
		k.resumeReads()
	} else if k := l.inLinks[serial]; k != nil {
		k.inboxPaused = false
		k.resumeReads()
	}
}
