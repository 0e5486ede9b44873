package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// workerLink is the link of one worker to one loop: the handler of its connection. Everything in it is owned by the loop.
type workerLink struct {
	// Static after the hello.
	loop  *loop
	hello link.WorkerHello

	liveness
	conn       *engine.Conn
	serial     uint32
	sent       link.AckWindow
	kept       unackedLog
	ack        func(link.Acked) // acknowledged, made once
	clients    int
	peers      []uint32 // other gateways that the worker knows; bound: gateways that a loop knows
	gone       int      // clients that are gone, and it has not acknowledged it
	behind     bool     // those are so many that it gets no more clients
	window     int      // bytes
	share      int      // of the window, in bytes, that one client may have: a handler that hangs must not leave the others without credit
	waiting    lanes    // those who wait for credit
	ahead      bool     // a window waits for credit: nothing large is inflated for it
	stalls     bool     // clients of it may have stalled since it had credit last
	timer      engine.Timer
	backlogged bool // takes no more clients before half of what waits for it has gone
	pressing   bool // it has filled another loop's inbox, and is not read until that is empty
	crams      int  // outboxes that it has filled, and is not read until they have room
	draining   bool
	replaced   bool // by its own worker
	over       bool // has left: what still comes is of no effect, for others have its clients
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
	if l.ending {
		k.send(predecessor{l.g.cfg.ID, l.port}.drain())
	}
	if l.before.port != 0 {
		k.send(l.before.drain())
	}
	l.pool.add(k)
	l.noteWorkers()
	l.pumpWaiting()
	l.g.log.Info("link open", "worker", k.hello.Name, "build", k.hello.Build, "loop", l.index, "remote", c.RemoteAddr().String())
}

// OnData implements engine.Handler: all frames of one read, then those that waited for the credit they gave back.
func (k *workerLink) OnData(_ *engine.Conn, in []byte) int {
	taken := 0
	for !k.over {
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
	if k.over {
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
func (k *workerLink) OnClose(c *engine.Conn, reason error) {
	k.leave()
	k.loop.linked--
	lost, _ := k.sent.Outstanding()
	k.loop.stats.UnackedAtLinkLoss += uint64(lost)
	k.loop.g.log.Info("link closed", "worker", k.hello.Name, "loop", k.loop.index, "remote", c.RemoteAddr().String(), "unacknowledged", lost, "reason", reason)
}

// leave takes the link out of everything as soon as it takes no more: its clients live on and go to other workers, at once with what is not acknowledged,
// else with their next event.
func (k *workerLink) leave() {
	l := k.loop
	if k.over {
		return
	}
	k.over = true
	l.el.Cancel(&k.timer)
	l.pool.remove(k)
	l.noteWorkers()
	delete(l.links, k.serial)
	k.waiting.clear()
	k.takeBack()
	for _, s := range l.sessions {
		if s != nil && s.link == k {
			s.orphan(!k.replaced)
		}
	}
	l.pumpWaiting()
	l.trials.OnTimer(nil)
}

// frame acts on one frame of the worker.
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
		k.asked = false
	case link.Peers:
		return k.learnPeers(f)
	case link.Drain:
		k.drain()
	case link.GoAway:
		k.workerGoaway(f)
	default:
		return fmt.Errorf("%w: %v from a worker", link.ErrFrame, f.Type)
	}
	return nil
}

// unit applies what a worker did while it handled the messages f.ID … f.Slot, and takes their acknowledgement. All of it is looked through
// before the first frame is applied, so that a broken unit has no effect.
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

// readOn reads the link again, once nothing that it has filled forbids it.
func (k *workerLink) readOn() {
	if !k.pressing && k.crams == 0 {
		k.conn.Resume()
	}
}

// origin makes the link the one that hears the answer to a command.
func (k *workerLink) origin() origin { return origin{k.loop.index, noteCommand, k.serial} }

// allows reports whether a client may have a message of n bytes more out.
func (k *workerLink) allows(s *session, n int) bool {
	return s.out == 0 || int(s.unacked)+link.HeaderSize+n <= k.share
}

// message sends a client's message, which fits.
func (k *workerLink) message(s *session, payload []byte, flags uint8) {
	s.unackedFrames++
	s.out++
	s.unacked += int32(link.HeaderSize + len(payload))
	token := s.token()
	seq := k.sent.Push(link.Message, s.slot, token, link.HeaderSize+len(payload))
	k.conn.SetMark(seq)
	f := &link.Frame{Type: link.Message, Flags: flags, Code: uint16(s.member.Version()), ID: seq, Slot: s.slot, Token: token}
	b := link.AppendHeader(k.conn.Begin(len(payload)), f, len(payload))
	_ = k.conn.Commit(append(b, payload...)) // the link's bound is its window: an overflow ends the link
}

// isBacklogged reports whether so much waits for the worker to take it that it gets no more clients before half of that has gone. Unlike messages, clients wait for no credit: there may be many at
// once, each with much to tell of it, and they must not make the link overflow.
func (k *workerLink) isBacklogged() bool {
	k.backlogged = k.backlogged || k.conn.Buffered() > k.window
	return k.backlogged
}

// attach gives the worker a client.
func (k *workerLink) attach(s *session) {
	f := link.Frame{Type: link.Attach, Code: uint16(s.member.Version()), Slot: s.slot, Token: s.token()}
	if s.entry == asked {
		f.Flags = link.FlagNew
	}
	a := link.Attachment{
		Version: s.member.Version(), UIDVersion: s.member.UIDVersion(), Handled: s.handled, Remote: s.remote(), Listener: s.lis.URL, UID: s.member.UID(),
		Request: s.request, Attrs: s.member.Attrs(),
	}
	b := k.conn.Begin(0)
	start := len(b)
	b = link.AppendAttachment(link.Begin(b, &f), &a)
	link.Finish(b, start)
	link.SetID(b[start:], k.sent.Push(link.Attach, s.slot, s.token(), len(b)-start))
	s.unackedFrames++
	_ = k.conn.Commit(b)
}

// detach tells the worker that a client is gone.
func (k *workerLink) detach(s *session) {
	f := link.Frame{Type: link.Detach, Code: uint16(s.reason), Slot: s.slot, Token: s.token()}
	f.ID = k.sent.Push(link.Detach, s.slot, s.token(), link.HeaderSize)
	k.send(&f)
	if k.loop.departed > k.loop.maxDeparted {
		k.loop.stats.DetachesUndelivered++ // perhaps
		k.loop.forget(s)
		return
	}
	s.unackedFrames++
	s.detachSent = true
}

// refresh tells the worker of attributes and uid that somebody else changed.
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

// drain takes the worker out of the choice and hands its clients over, each as soon as the worker has handled what it was sent of it.
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

// handOver takes a client from a draining worker, in order: nothing of it is unhandled there.
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

// workerGoaway takes the worker's last frame.
func (k *workerLink) workerGoaway(f *link.Frame) {
	if status := link.Status(f.Code); status != link.Draining {
		why := f.Payload[:min(len(f.Payload), maxWhy)]
		k.loop.g.log.Warn("the worker ended the link", "worker", k.hello.Name, "loop", k.loop.index, "status", status.String(), "why", string(why))
	}
	k.conn.Close(closing(link.ReasonPeer))
	k.leave()
}

// maxWhy is how much of a worker's last sentence goes into the log, in bytes.
const maxWhy = 500

// goAway ends a link that has gone wrong.
func (k *workerLink) goAway(status link.Status, text string) {
	k.loop.g.log.Warn("link ended", "worker", k.hello.Name, "loop", k.loop.index, "status", status.String(), "why", text)
	k.end(status, text, link.ReasonProtocol)
}

// end ends the link with a last frame that says why.
func (k *workerLink) end(status link.Status, text string, reason link.Reason) {
	k.send(&link.Frame{Type: link.GoAway, Code: uint16(status), Payload: []byte(text)})
	k.conn.CloseAfterFlush(closing(reason), lastBytes)
	k.leave()
}

// OnTimer implements engine.TimerHandler: the link's heartbeat.
func (k *workerLink) OnTimer(*engine.Timer) {
	send, alive := k.tick(k.pressing || k.crams > 0 || k.asked && k.conn.Arrived())
	if !alive {
		k.goAway(link.NoHeartbeat, "nothing heard for two heartbeats")
		return
	}
	k.send(&link.Frame{Type: send})
	k.loop.el.Schedule(&k.timer, k.loop.g.cfg.LinkHeartbeat)
	if k.conn.Buffered() <= k.share { // else the worker does not read, and there is no telling what its handlers hang in
		k.sent.Age()
		k.pumpWaiting()
	}
}
