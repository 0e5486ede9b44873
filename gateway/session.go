package gateway

import (
	"math/rand/v2"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// phase is the state of a session.
type phase uint8

const (
	phaseHandshake phase = iota // a WebSocket before its upgrade
	phaseUpgrading              // a WebSocket whose OnUpgrade has not returned
	phaseOpen
	phaseEnding // the last bytes are being written; further input is not read
	phaseGone   // the connection has ended
)

// session is one client. It is the handler of its connection. The loop owns everything in it.
type session struct {
	// Static after the session opened.
	loop  *loop
	conn  *engine.Conn
	codec messageCodec

	// The fields that each message uses stand together, because the sessions of a loop do not fit
	// into the processor's caches.
	delivery delivery.Client // its messages, its worker and its slot; Note: the loop's uptime when bytes last came
	pace     *pace           // nil: no rate limit
	// partial is how many bytes of an incomplete message are held. While the client is not read it
	// counts only those in the codec.
	partial uint32
	// begun is the second of the loop in which the incomplete message began, or in which the wait
	// for the first message began. 0: no deadline runs.
	begun       uint32
	phase       phase
	pauses      pauses // why the client is not read; 0: it is read
	misses      uint8
	pulse       pulse
	awaitsFirst bool            // the first message has not come and has a deadline
	turn        turn            // whether the session has yielded or stalled, and the cost of its last input
	reason      link.Reason     // why the session ended
	member      registry.Member // id, uid, groups, attributes

	timer      engine.Timer
	lis        *listener // static
	request    string    // static; WebSocket: request target and header fields, encoded as in an attachment
	deadlineAt uint32    // 1 + its index in loop.deadlines; 0: it is not in the list
	since      uint32    // static; the loop's uptime when the client opened
}

// token is the number that, together with the slot, identifies the client in frames.
func (s *session) token() uint64 { return s.member.ID.Token() }

// link is the link of the client's worker, or nil.
func (s *session) link() *workerLink { return linkOf(s.delivery.Link()) }

// OnOpen implements engine.Handler.
func (s *session) OnOpen(c *engine.Conn) {
	s.conn = c
	s.loop = s.lis.g.loops[c.Loop().Index()]
	s.timer.Target = s
	s.loop.stats.Accepted++
	s.loop.access.begin(s)
	if s.loop.slotsFull() {
		s.loop.stats.SlotsExhausted++
		s.phase = phaseEnding
		c.Close(closing(link.ReasonLimit))
		return
	}
	if s.lis.upgrades() {
		s.loop.el.Schedule(&s.timer, s.lis.HandshakeTimeout)
		return
	}
	s.codec = s.lis.codec
	switch {
	case s.loop.draining:
		s.refuseNew(farewellMessage(link.ReasonDraining, 0, ""), link.ReasonDraining)
	case s.loop.overloaded():
		s.refuseNew(overloadedMessage, link.ReasonLimit)
	default:
		s.open(nil)
	}
}

// open makes the session a client and assigns it to a worker. id is what OnUpgrade returned. It is
// nil if OnUpgrade returned nil or was not called.
func (s *session) open(id *identity) {
	l := s.loop
	s.phase = phaseOpen
	l.open(s)
	l.members.Add(&s.member)
	if id != nil && id.uid != "" {
		l.members.Bind(&s.member, id.uid, l.bindTime())
		if l.narrow != nil {
			l.narrow.opened(s)
		}
	}
	if id != nil && len(id.attrs) > 0 {
		l.members.Set(&s.member, id.attrs, false) // the size was checked
	}
	l.known.keep(s, id)
	l.stats.Opened++
	l.access.opened(s)
	s.limit()
	if s.lis.Heartbeat > 0 {
		// The first heartbeat comes at a random time, so that clients which connect together are
		// not pinged together. Opening counts as activity.
		s.pulse = active | written
		l.el.Schedule(&s.timer, rand.N(s.lis.Heartbeat))
	} else {
		s.loop.el.Cancel(&s.timer)
	}
	l.book.Open(&s.delivery)
}

// OnData implements engine.Handler. It decodes all input that has come.
func (s *session) OnData(_ *engine.Conn, in []byte) int {
	s.pulse, s.delivery.Note = s.pulse|alive, s.loop.uptime
	taken := 0
	if s.phase == phaseHandshake {
		if taken = s.handshake(in); taken == 0 {
			s.startDeadline(len(in), 0)
			return 0
		}
	}
	if s.phase == phaseUpgrading {
		s.startDeadline(len(in)-taken, s.upgradeBytes())
		return taken
	}
	t := &s.loop.turns
	if !t.begin(s) {
		return taken
	}
	mark, whole := s.skipMark(in)
	if !whole {
		s.heldInput(len(in))
		return 0
	}
	taken += mark
	work, more := 0, false
	for taken < len(in) && s.phase == phaseOpen && s.pauses == 0 {
		if more = t.due(s, in[taken:], work); more {
			break
		}
		if !s.mayDecode(in[taken:], work) {
			s.stall()
			break
		}
		ev, payload, n, reply, err := s.codec.Decode(in[taken:], s.loop.out[:0])
		taken += n
		if err != nil {
			return s.fail(err, reply, taken, len(in))
		}
		if len(reply) > 0 {
			s.writeControl(reply)
		}
		if n == 0 {
			break
		}
		done := s.inputCost(n, payload)
		work += done
		if s.pace != nil {
			s.pace.spend(ev, n, done-messageWork)
		}
		if s.event(ev, payload) {
			return len(in)
		}
	}
	t.end(s, work, more)
	if s.phase > phaseOpen && s.member.ID.IsZero() { // refused: it never becomes a client
		return len(in)
	}
	s.heldInput(len(in) - taken)
	return taken
}

// event handles a decoded event. It reports whether the event ends the connection.
func (s *session) event(ev codec.Event, payload []byte) (closed bool) {
	switch ev {
	case codec.MessageText:
		if s.lis.OnRefresh == nil || !s.loop.known.refresh(s, payload) {
			s.forward(payload, link.FlagText)
		}
	case codec.MessageBinary:
		s.forward(payload, 0)
	case codec.Closed:
		s.noteProtocolBlame(payload)
		s.end(link.ReasonPeer)
	}
	return ev == codec.Closed
}

// OnClose implements engine.Handler.
func (s *session) OnClose(_ *engine.Conn, reason error) {
	s.loop.el.Cancel(&s.timer)
	s.clearDeadline()
	if ws := s.webSocket(); ws != nil && ws.ClientTakeover() {
		s.loop.takeoverBytes -= codec.WindowSize
	}
	if s.reason == 0 {
		s.reason = reasonOf(reason)
	}
	l := s.loop
	l.closes[s.reason]++
	l.access.end(s)
	if s.codec == nil || s.member.ID.IsZero() {
		return // it was never a client
	}
	s.phase = phaseGone
	l.stats.Closed++
	l.members.Remove(&s.member)
	l.book.Close(&s.delivery)
}

// remote is the client's host:port. It is not stored, because it is needed only when the client
// connects and when its worker is lost.
func (s *session) remote() string { return s.conn.RemoteAddr().String() }

// forward sends a message to the client's worker, or queues it.
func (s *session) forward(payload []byte, flags uint8) {
	b := &s.loop.book
	s.loop.stats.MessagesIn++
	s.begun, s.awaitsFirst = 0, false
	s.pulse |= active
	if b.Accept(&s.delivery, len(payload)) {
		serial := s.link().message(s, s.delivery.Last()+1, payload, flags)
		b.Sent(&s.delivery, serial, len(payload))
	} else {
		b.Enqueue(&s.delivery, payload, flags)
	}
	if s.loop.stats.MessagesIn%sampleEvery == 0 {
		queued, _ := s.delivery.Queued()
		s.loop.sampler.begin(s, s.delivery.Last(), queued)
	}
	s.throttle()
}

// throttle pauses the client's reads while more than MaxUnacked of its bytes are unhandled, and
// resumes them at half of that. A client that is to be closed, is closed here as soon as all its
// messages are handled.
func (s *session) throttle() {
	if s.phase != phaseOpen {
		return
	}
	if s.pauses&(pausedToClose|halfClosed) != 0 {
		switch {
		case !s.delivery.IsHandled():
		case s.reason != 0: // it has violated its protocol
			s.end(s.reason)
		case s.pauses&halfClosed != 0:
			s.end(link.ReasonPeer)
		default:
			s.end(link.ReasonDraining)
		}
		return
	}
	switch limit, pending := s.loop.g.cfg.MaxUnacked, s.delivery.Unhandled(); {
	case s.pauses&pausedByWorker == 0 && pending > limit:
		s.loop.stats.ReadPauses++
		s.pause(pausedByWorker)
	case s.pauses&pausedByWorker != 0 && pending <= limit/2:
		s.resume(pausedByWorker)
	}
}

// OnTimer implements engine.TimerHandler: the handshake has timed out, or a heartbeat is due.
func (s *session) OnTimer(*engine.Timer) {
	switch s.phase {
	case phaseHandshake:
		s.loop.stats.HandshakeTimeouts++
		s.phase = phaseEnding
		s.conn.Close(closing(link.ReasonHandshake))
	case phaseUpgrading:
		s.upgradeTimedOut()
	case phaseOpen:
		if s.pauses&halfClosed != 0 || s.reason != 0 {
			s.closeUnanswered()
		} else {
			s.heartbeat()
		}
	case phaseEnding: // the page was not ready in time
		s.loop.stats.PageTimeouts++
		s.conn.Close(closing(link.ReasonHandshake))
	}
}
