package gateway

import (
	"math/rand/v2"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// phase is where a session stands in its life.
type phase uint8

const (
	phaseHandshake phase = iota // a WebSocket that has not been upgraded
	phaseUpgrading              // and whose listener's OnUpgrade has yet to return
	phaseOpen
	phaseEnding // its last bytes are being written; what it still sends is not read
	phaseGone   // the connection has ended; the worker has yet to hear of it
	phaseForgotten
)

// session is one client. It is the handler of its connection, and everything in it is owned by the loop.
type session struct {
	// Static after the session opened.
	loop  *loop
	conn  *engine.Conn
	codec messageCodec

	// What each message touches stands together: a loop has more sessions than the processor's caches have room for.
	link          *workerLink // nil: given to no worker at present
	queue         *queue      // messages that wait for a worker or its credit; nil: there are none
	pace          *pace       // nil: it may send as fast as it likes
	unacked       int32       // bytes of the messages that are out, as frames: a share of the window, or one message
	place         uint32      // its place in its link's creditQueue
	slot          uint32      // static
	unackedFrames int32       // frames about it that its worker has not acknowledged
	out           int32       // messages among them
	handled       uint32      // messages of its that were acknowledged, set aside or refused after they had waited
	partial       uint32      // bytes held of a message that has not come whole; of one that is not read, those in its codec
	begun         uint32      // the loop's second in which that message began, or in which the first one was to begin; 0: its time does not run
	phase         phase
	pauses        pauses // why it is not read; 0: it is
	misses        uint8
	tries         uint8 // links that ended with its oldest event out
	pulse         pulse
	entry         entry           // whether a worker has let it in
	detachSent    bool            // its worker was told that it is gone
	waiting       bool            // stands in a waiting list
	awaitsFirst   bool            // the first message is still to come, and has a deadline
	turn          turn            // whether it has yielded or stalled, and how much its last input was
	reason        link.Reason     // why it ended
	deadlineAt    uint32          // 1 + its place in the loop's list of those that owe something; 0: it is not there
	member        registry.Member // id, uid, groups, attributes

	timer   engine.Timer
	lis     *listener // static
	request string    // static; WebSocket: request target and headers, as an attachment carries them
}

// token is what frames name the client by, beside its slot.
func (s *session) token() uint64 { return s.member.ID.Token() }

// OnOpen implements engine.Handler.
func (s *session) OnOpen(c *engine.Conn) {
	s.conn = c
	s.loop = s.lis.g.loops[c.Loop().Index()]
	s.timer.Target = s
	s.loop.stats.Accepted++
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

// refuseNew tells a client that has come when nobody is to come, and closes it.
func (s *session) refuseNew(text string, why link.Reason) {
	s.loop.stats.HandshakesRejected++
	s.phase = phaseEnding
	_ = s.conn.Write(s.codec.Append(nil, []byte(text), true))
	s.conn.CloseAfterFlush(closing(why), flushTimeout)
}

// open makes the client known: from here on its worker hears of it, with what OnUpgrade has said of
// it; nil: nothing.
func (s *session) open(id *Identity) {
	l := s.loop
	s.phase = phaseOpen
	l.open(s)
	l.members.Add(&s.member)
	if id != nil && id.UID != "" {
		l.members.Bind(&s.member, id.UID, l.bindTime())
	}
	if id != nil && len(id.Attrs) > 0 {
		l.members.Set(&s.member, id.attributes(), false) // their size was checked
	}
	l.stats.Opened++
	l.pendingClients++
	s.limit()
	if s.lis.Heartbeat > 0 {
		// Clients that came together are not pinged together: the first heartbeat is over at any time, and opening counts as activity in it.
		s.pulse = active | written
		l.el.Schedule(&s.timer, rand.N(s.lis.Heartbeat))
	} else {
		s.loop.el.Cancel(&s.timer)
	}
	if !s.attach() {
		s.wait()
	}
}

// OnData implements engine.Handler: it decodes all that is there.
func (s *session) OnData(c *engine.Conn, in []byte) int {
	s.pulse |= alive
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
			s.loop.out = reply
			s.noteWrite()
			_ = c.Write(reply) // an overflow ends the client by itself
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
	if s.phase > phaseOpen && s.member.ID.IsZero() { // no client, and never to be one
		return len(in)
	}
	s.heldInput(len(in) - taken)
	return taken
}

// event acts on what has been decoded. It reports whether that was the client's last.
func (s *session) event(ev codec.Event, payload []byte) (closed bool) {
	switch ev {
	case codec.MessageText:
		s.forward(payload, link.FlagText)
	case codec.MessageBinary:
		s.forward(payload, 0)
	case codec.Closed:
		s.noteProtocolBlame(payload)
		s.end(link.ReasonPeer)
	}
	return ev == codec.Closed
}

// heldInput notes that left bytes of input are held.
func (s *session) heldInput(left int) {
	assembled := 0
	if ws, ok := s.codec.(*codec.WebSocket); ok {
		ws.Release() // the next message may be long in coming
		assembled = ws.Unfinished()
	}
	if left+assembled > 0 || s.partial > 0 {
		s.startDeadline(left, assembled)
	}
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
	if s.codec == nil || s.member.ID.IsZero() {
		return // never became a client
	}
	s.notPending()
	s.phase = phaseGone
	l.stats.Closed++
	l.members.Remove(&s.member)
	l.departed++
	if s.link != nil {
		s.link.clientGone()
	}
	if s.queue == nil && s.entry == entryPending && s.link == nil && s.tries == 0 {
		l.forget(s) // no worker has heard of it
		return
	}
	if !s.pump() || s.waiting {
		s.wait()
	}
	if l.departed > l.maxDeparted && s.phase == phaseGone {
		s.giveUp()
	}
}

// attach gives the client to a worker, if one is there and takes more clients now. It reports whether the client has one.
func (s *session) attach() bool {
	if s.link != nil {
		return true
	}
	k := s.loop.pool.pick(RouteRequest{Remote: s.remote(), Listener: s.lis.URL, Target: s.target(), UID: s.member.UID()})
	if k == nil || k.isBacklogged() {
		return false
	}
	s.link, s.place = k, uint32(k.waiting.small.now/placeUnit)
	k.clients++
	k.attach(s)
	if s.phase == phaseGone {
		k.clientGone()
	}
	return true
}

// remote is the client's host:port. It is asked for when the client comes and when its worker has gone, so it is not kept.
func (s *session) remote() string { return s.conn.RemoteAddr().String() }

// forward passes a message on to the client's worker, or lets it wait.
func (s *session) forward(payload []byte, flags uint8) {
	s.loop.stats.MessagesIn++
	s.begun, s.awaitsFirst = 0, false
	s.pulse |= active
	if s.queue == nil && !s.isSuspect() && s.attach() && s.link.fits(len(payload)) && s.link.allows(s, len(payload)) {
		s.link.message(s, payload, flags)
	} else {
		s.enqueue(payload, flags)
	}
	s.throttle()
}

// throttle pauses the client's reads while too much of it waits, and resumes them when half of that is gone. A client that leaves is done when nothing waits.
func (s *session) throttle() {
	if s.phase != phaseOpen {
		return
	}
	if s.pauses&(pausedToClose|halfClosed) != 0 {
		switch {
		case s.queue != nil || s.out > 0:
		case s.reason != 0: // it has broken its protocol
			s.end(s.reason)
		case s.pauses&halfClosed != 0:
			s.end(link.ReasonPeer)
		default:
			s.end(link.ReasonDraining)
		}
		return
	}
	pending := int(s.unacked) + s.queue.size()
	switch limit := s.loop.g.cfg.MaxUnacked; {
	case s.pauses&pausedByWorker == 0 && pending > limit:
		s.loop.stats.ReadPauses++
		s.pause(pausedByWorker)
	case s.pauses&pausedByWorker != 0 && pending <= limit/2:
		s.resume(pausedByWorker)
	}
}

// pump passes on what waits, in order, as far as a worker is there and has credit. It reports whether nothing waits any more, but for the worker
// to handle what it has of this client.
func (s *session) pump() bool {
	if s.phase == phaseForgotten || s.detachSent {
		return true
	}
	if s.isSuspect() && !s.hasTrialTurn() {
		return false
	}
	if s.isSuspect() && s.eventOut() {
		return true
	}
	if !s.attach() {
		return false
	}
	if s.isSuspect() && s.entry == entryPending {
		return true
	}
	for s.queue != nil {
		payload, flags := s.queue.oldest()
		if !s.link.allows(s, len(payload)) {
			return true
		}
		if !s.link.fits(len(payload)) {
			return false
		}
		s.link.message(s, payload, flags)
		s.dequeue(len(payload))
		if s.isSuspect() {
			return true
		}
	}
	if s.phase == phaseGone {
		s.loop.el.Cancel(&s.timer)
		s.link.detach(s)
	}
	return true
}

// OnTimer implements engine.TimerHandler: the handshake has taken too long, a heartbeat is due, or nobody took the client's last messages.
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
	case phaseEnding: // nobody made the page in time
		s.loop.stats.PageTimeouts++
		s.conn.Close(closing(link.ReasonHandshake))
	case phaseGone:
		if s.link != nil || !s.loop.unassigned() {
			s.loop.el.Schedule(&s.timer, s.loop.g.cfg.QueueTimeout) // its last messages wait for their turn
			return
		}
		s.dropQueued() // no worker came in time to take them
		s.loop.stats.DetachesUndelivered++
		s.loop.forget(s)
	}
}
