package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// workerLink is the link between one worker and one loop. It is the handler of the link's
// connection. The loop owns everything in it.
type workerLink struct {
	// Static after the hello.
	loop  *loop
	hello link.WorkerHello

	liveness
	conn            *engine.Conn
	serial          uint32
	sent            link.AckWindow
	kept            unackedLog
	ack             func(link.Acked) // the method acknowledged, bound once so that a call does not allocate
	clients         int
	peers           []uint32 // other gateways that the worker knows; bound: gateways that a loop knows
	unackedDetaches int      // clients that have gone and whose DETACH is not acknowledged
	behind          bool     // unackedDetaches is over its limit: the worker gets no more clients
	window          int      // bytes
	// share is the part of the window, in bytes, that one client may use. It leaves credit for
	// others when one client's handler blocks.
	share        int
	waiting      lanes // clients that wait for credit
	creditFull   bool  // a full window waits for credit: large messages are not inflated
	stalls       bool  // clients of the link may have stalled since it last had credit
	timer        engine.Timer
	backlogged   bool // the worker gets no more clients until half of its output is written
	inboxPaused  bool // the link has filled another loop's inbox, and is not read until that is empty
	fullOutboxes int  // outboxes that the link has filled; it is not read while there are any
	draining     bool
	replaced     bool // by a newer link of the same worker
	ended        bool // the link is removed: further input is ignored, because its clients have other workers
}

func newWorkerLink(l *loop, hello link.WorkerHello) *workerLink {
	k := &workerLink{loop: l, hello: hello, window: int(hello.Window)}
	k.share = max(k.window/64, 16<<10)
	k.sent.Init(hello.Window)
	k.ack = k.acknowledged
	k.timer.Target = k
	return k
}

// OnOpen implements engine.Handler.
func (k *workerLink) OnOpen(c *engine.Conn) {
	l := k.loop
	k.conn = c
	l.linked++
	l.serials++
	k.serial = l.serials
	for _, old := range l.links {
		if old.hello.ID == k.hello.ID {
			old.replaced = true
			old.goAway(link.Replaced, "the worker has opened a new link")
		}
	}
	l.links[k.serial] = k
	l.el.Schedule(&k.timer, l.g.cfg.LinkHeartbeat)
	if l.draining {
		k.send(predecessor{l.g.cfg.ID, l.drainPort}.drain())
	}
	if l.predecessor.port != 0 {
		k.send(l.predecessor.drain())
	}
	l.pool.add(k)
	l.noteWorkers()
	l.pumpWaiting()
	l.g.log.Info("link open", "worker", k.hello.Name, "build", k.hello.Build, "loop", l.index,
		"remote", c.RemoteAddr().String())
}

// OnData implements engine.Handler. It handles all frames that have come, and then sends the
// messages that waited for the credit which the frames returned.
func (k *workerLink) OnData(_ *engine.Conn, in []byte) int {
	taken := 0
	for !k.ended {
		var f link.Frame
		n, err := link.Next(in[taken:], link.MaxFrame, &f)
		if n == 0 && err == nil {
			break
		}
		if err == nil {
			err = k.frame(&f)
		}
		if err != nil {
			k.goAway(link.Protocol, err.Error())
			break
		}
		taken += n
	}
	k.noteRead(len(in), taken)
	if k.ended {
		return len(in)
	}
	k.trim()
	k.pumpWaiting()
	k.catchUp()
	if k.backlogged && k.conn.Buffered() <= k.window/2 {
		k.backlogged = false
		k.loop.pumpWaiting()
	}
	return taken
}

// OnClose implements engine.Handler.
func (k *workerLink) OnClose(c *engine.Conn, err error) {
	k.remove()
	k.loop.linked--
	lost, _ := k.sent.Outstanding()
	k.loop.stats.UnackedAtLinkLoss += uint64(lost)
	k.loop.g.log.Info("link closed", "worker", k.hello.Name, "loop", k.loop.index, "remote", c.RemoteAddr().String(),
		"unacknowledged", lost, "err", err)
}

// remove takes the link out of the loop as soon as the link accepts no more frames. Its clients
// stay and go to other workers: at once if they have unacknowledged or queued messages, else with
// their next event.
func (k *workerLink) remove() {
	l := k.loop
	if k.ended {
		return
	}
	k.ended = true
	l.el.Cancel(&k.timer)
	l.pool.remove(k)
	l.noteWorkers()
	delete(l.links, k.serial)
	k.waiting.clear()
	k.requeueUnacked()
	for _, s := range l.sessions {
		if s != nil && s.link == k {
			s.orphan(!k.replaced)
		}
	}
	l.pumpWaiting()
	l.trials.OnTimer(nil)
}

// frame handles one frame of the worker.
func (k *workerLink) frame(f *link.Frame) error {
	if isCommand(f.Type) {
		if err := k.loop.g.check(f); err != nil {
			return err
		}
		k.loop.command(k.origin(), f)
		return nil
	}
	if err := wellFormed(f); err != nil {
		return err
	}
	switch f.Type {
	case link.Unit:
		return k.unit(f)
	case link.Ping:
		k.send(&link.Frame{Type: link.Pong, ID: f.ID})
	case link.Pong:
		k.pingSent = false
	case link.Peers:
		return k.learnPeers(f)
	case link.Invoke:
		k.loop.invocations.start(k, f)
	case link.Drain:
		k.drain()
	case link.GoAway:
		k.workerGoaway(f)
	default:
		return fmt.Errorf("%w: a worker must not send %v", link.ErrFrame, f.Type)
	}
	return nil
}

// unit applies the effects of the messages f.ID to f.Slot, and then acknowledges them. It checks
// all frames before it applies the first one, so that a malformed unit has no effect.
func (k *workerLink) unit(f *link.Frame) error {
	if err := k.sent.Check(f.ID, f.Slot); err != nil {
		return err
	}
	if err := k.loop.g.checkUnit(f.Payload); err != nil {
		return err
	}
	o := k.origin()
	for in := f.Payload; len(in) > 0; {
		var inner link.Frame
		n, _ := link.Next(in, link.MaxFrame, &inner)
		in = in[n:]
		k.loop.command(o, &inner)
	}
	return k.sent.Ack(f.ID, f.Slot, k.ack)
}

// resumeReads reads the link again if no inbox or outbox that it has filled is still full.
func (k *workerLink) resumeReads() {
	if !k.inboxPaused && k.fullOutboxes == 0 {
		k.conn.Resume()
	}
}

// origin names the link as the destination of a command's reply.
func (k *workerLink) origin() origin { return origin{k.loop.index, noteCommand, k.serial} }

// allows reports whether the client's share of the window has space for a message of n bytes.
func (k *workerLink) allows(s *session, n int) bool {
	return s.out == 0 || int(s.unacked)+link.HeaderSize+n <= k.share
}

// message sends a client's message. The caller has checked that it fits.
func (k *workerLink) message(s *session, payload []byte, flags uint8) {
	s.unackedFrames++
	s.out++
	s.unacked += int32(link.HeaderSize + len(payload))
	token := s.token()
	seq := k.sent.Push(link.Message, s.slot, token, link.HeaderSize+len(payload))
	k.conn.SetMark(seq)
	f := &link.Frame{
		Type: link.Message, Flags: flags, Code: uint16(s.member.Version()),
		ID: seq, Slot: s.slot, Token: token,
	}
	b := link.AppendHeader(k.conn.Begin(len(payload)), f, len(payload))
	_ = k.conn.Commit(append(b, payload...)) // the window is the link's bound: an overflow ends the link
}

// isBacklogged reports whether so much output waits that the worker gets no more clients until half
// of it is written. Attachments need no credit, unlike messages. There may be many at once, and
// each may be large, so they could overflow the link.
func (k *workerLink) isBacklogged() bool {
	k.backlogged = k.backlogged || k.conn.Buffered() > k.window
	return k.backlogged
}

// attach sends the client's attachment to the worker.
func (k *workerLink) attach(s *session) {
	f := link.Frame{Type: link.Attach, Code: uint16(s.member.Version()), Slot: s.slot, Token: s.token()}
	if s.entry == entryPending {
		f.Flags = link.FlagNew
	}
	a := link.Attachment{
		Version: s.member.Version(), UIDVersion: s.member.UIDVersion(), Handled: s.handled,
		Remote: s.remote(), Listener: s.lis.URL, UID: s.member.UID(),
		Request: s.request, Attrs: s.member.Attrs(),
	}
	if s.entry != entryPending {
		a.Cause = link.CauseDied
	}
	b := k.conn.Begin(0)
	start := len(b)
	b = link.AppendAttachment(link.Begin(b, &f), &a)
	link.Finish(b, start)
	link.SetID(b[start:], k.sent.Push(link.Attach, s.slot, s.token(), len(b)-start))
	s.unackedFrames++
	_ = k.conn.Commit(b)
}

// detach tells the worker that the client has gone.
func (k *workerLink) detach(s *session) {
	f := link.Frame{Type: link.Detach, Code: uint16(s.reason), Slot: s.slot, Token: s.token()}
	f.ID = k.sent.Push(link.Detach, s.slot, s.token(), link.HeaderSize)
	k.send(&f)
	if k.loop.departed > k.loop.maxDeparted {
		k.loop.stats.DetachesUndelivered++ // it may not be delivered
		k.loop.forget(s)
		return
	}
	s.unackedFrames++
	s.detachSent = true
}

// refresh sends the worker attributes and a uid that the worker itself did not change.
func (k *workerLink) refresh(s *session) {
	f := link.Frame{Type: link.Attrs, Slot: s.slot, Token: s.token()}
	b := k.conn.Begin(0)
	start := len(b)
	b = s.member.AppendState(link.Begin(b, &f))
	link.Finish(b, start)
	_ = k.conn.Commit(b)
	k.trim()
}

func (k *workerLink) send(f *link.Frame) {
	_ = k.conn.Commit(link.Append(k.conn.Begin(len(f.Payload)), f))
	k.trim()
}

// drain takes the worker out of the choice and hands its clients over. A client moves as soon as
// the worker has handled all its messages.
func (k *workerLink) drain() {
	if k.draining {
		return
	}
	k.draining = true
	k.loop.pool.remove(k)
	k.loop.noteWorkers()
	for _, s := range k.loop.sessions {
		if s != nil && s.link == k && s.unackedFrames == 0 {
			k.handOver(s)
		}
	}
}

// handOver takes a client away from a draining worker. The worker has handled all messages of the
// client, so their order is kept.
func (k *workerLink) handOver(s *session) {
	f := link.Frame{Type: link.Detach, Flags: link.FlagMoved, Slot: s.slot, Token: s.token()}
	f.ID = k.sent.Push(link.Detach, s.slot, s.token(), link.HeaderSize)
	k.send(&f)
	k.clients--
	s.link = nil
	if s.waiting {
		s.stopWaiting(k)
	}
	if s.queue != nil {
		s.queue.since = k.loop.el.Now()
	}
	s.resume(pausedByQueues) // another worker may have credit
	if (s.queue != nil || s.phase == phaseGone) && !s.pump() {
		s.wait()
	}
}

// workerGoaway handles the worker's GOAWAY frame.
func (k *workerLink) workerGoaway(f *link.Frame) {
	status := link.Status(f.Code)
	if status != link.Draining {
		why := f.Payload[:min(len(f.Payload), maxWhy)]
		k.loop.g.log.Warn("link ended by the worker", "worker", k.hello.Name, "loop", k.loop.index,
			"status", status.String(), "text", string(why))
	}
	k.conn.Close(fmt.Errorf("gateway: the worker ended the link: %v", status))
	k.remove()
}

// maxWhy bounds the text of a worker's GOAWAY frame in the log, in bytes.
const maxWhy = 500

// goAway ends a link because of an error, and logs it.
func (k *workerLink) goAway(status link.Status, text string) {
	k.loop.g.log.Warn("link ended by the gateway", "worker", k.hello.Name, "loop", k.loop.index,
		"status", status.String(), "text", text)
	k.end(status, text, link.ReasonProtocol)
}

// end ends the link with a GOAWAY frame that carries the reason.
func (k *workerLink) end(status link.Status, text string, reason link.Reason) {
	k.send(&link.Frame{Type: link.GoAway, Code: uint16(status), Payload: []byte(text)})
	k.conn.CloseAfterFlush(closing(reason), flushTimeout)
	k.remove()
}

// OnTimer implements engine.TimerHandler. It is the link's heartbeat.
func (k *workerLink) OnTimer(*engine.Timer) {
	send, alive := k.tick(k.inboxPaused || k.fullOutboxes > 0 || k.pingSent && k.conn.Arrived())
	if !alive {
		k.goAway(link.NoHeartbeat, "no frame received for two heartbeats")
		return
	}
	k.send(&link.Frame{Type: send})
	k.loop.el.Schedule(&k.timer, k.loop.g.cfg.LinkHeartbeat)
	// If much output waits, the worker does not read, and its handlers may wait for that.
	if k.conn.Buffered() <= k.share {
		k.sent.Age()
		k.pumpWaiting()
	}
}
