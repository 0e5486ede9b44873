package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// workerLink is the link between one worker, or publisher, and one loop. It is the handler of the
// link's connection. The loop owns everything in it.
type workerLink struct {
	// Static after the hello.
	loop  *loop
	hello link.WorkerHello

	liveness
	conn         *engine.Conn
	serial       uint32
	delivery     *delivery.Link
	ack          func(s *session, n uint32, left bool) // acknowledge
	flushed      []engine.Flushed                      // scratch
	peers        []uint32                              // gateways that the worker knows; bound: gateways that a loop knows
	timer        engine.Timer
	backlogged   bool // the worker gets no more clients until half of its output is written
	inboxPaused  bool // the link has filled another loop's inbox, and is not read until that is empty
	parkingFull  bool // the link has filled what is parked, and is not read until half of that is free
	fullOutboxes int  // outboxes that the link has filled; it is not read while there are any
	asked        int  // questions about clients that it has not answered
	// authenticates: its worker answers such questions.
	authenticates bool
	ended         bool // the link is removed: further input is ignored, because its clients have other workers
}

func newWorkerLink(l *loop, hello link.WorkerHello) *workerLink {
	k := &workerLink{loop: l, hello: hello, delivery: new(delivery.Link)}
	k.delivery.Init(k, hello.ID, hello.Window)
	k.ack = k.acknowledge
	k.timer.Target = k
	return k
}

// linkOf is the link that a delivery.Link belongs to. It is nil for nil.
func linkOf(d *delivery.Link) *workerLink {
	if d == nil {
		return nil
	}
	return d.Owner.(*workerLink)
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
	if publishes(k) {
		l.g.log.Info("link open", "publisher", k.hello.Name, "loop", l.index, "remote", c.RemoteAddr().String())
		return
	}
	l.pool.add(k)
	l.noteWorkers()
	l.book.WorkerReady(k.delivery)
	l.rebalance.begin(l, l.g.cfg.Rebalance)
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
	b := &k.loop.book
	b.Credit(k.delivery)
	b.CatchUp(k.delivery)
	if k.backlogged && k.conn.Buffered() <= k.delivery.Window()/2 {
		k.backlogged = false
		b.WorkerReady(nil)
	}
	return taken
}

// OnClose implements engine.Handler.
func (k *workerLink) OnClose(c *engine.Conn, err error) {
	k.remove(delivery.Broken)
	k.loop.linked--
	lost, _ := k.delivery.InFlight()
	k.loop.stats.UnackedAtLinkLoss += uint64(lost)
	k.loop.g.log.Info("link closed", "worker", k.hello.Name, "loop", k.loop.index, "remote", c.RemoteAddr().String(),
		"unacknowledged", lost, "err", err)
}

// remove takes the link out of the loop as soon as the link accepts no more frames. Its clients
// stay and go to other workers: at once if they have unacknowledged or queued messages, the others
// at the pace of Config.AdoptRate or with their next event.
func (k *workerLink) remove(how delivery.End) {
	l := k.loop
	if k.ended {
		return
	}
	k.ended = true
	l.el.Cancel(&k.timer)
	l.pool.remove(k)
	l.noteWorkers()
	delete(l.links, k.serial)
	if l.narrow != nil {
		l.narrow.permits.Closed(k.serial)
	}
	if publishes(k) {
		return
	}
	l.questions.lost(k)
	k.trim()
	l.book.Lost(k.delivery, k.conn.Unflushed())
	for _, s := range l.sessions {
		if s != nil && s.delivery.Link() == k.delivery {
			l.book.Orphan(&s.delivery, how)
			s.throttle()
		}
	}
	l.book.WorkerReady(nil)
}

// frame handles one frame of the worker.
func (k *workerLink) frame(f *link.Frame) error {
	if err := mayPublish(k, f); err != nil {
		return err
	}
	if f.Type == link.Send && f.Has(link.FlagHandled) {
		return k.answer(f)
	}
	if isCommand(f.Type) {
		if err := k.loop.g.check(f); err != nil {
			return err
		}
		k.plain(f)
		return nil
	}
	if err := wellFormed(f); err != nil {
		return err
	}
	switch f.Type {
	case link.Unit:
		return k.unit(f)
	case link.Blocked:
		k.delivery.Block(k.loop.session(f.Slot, f.Token).client())
	case link.Ping:
		k.send(&link.Frame{Type: link.Pong, ID: f.ID})
	case link.Pong:
		k.pingSent = false
	case link.Peers:
		return k.learnPeers(f)
	case link.Authenticates:
		k.authenticates = true
		k.loop.g.workersAuthenticate.Store(true)
		k.loop.questions.retry()
	case link.Identity:
		return k.loop.questions.answered(k, f)
	case link.Invoke:
		k.loop.invocations.start(k, f)
	case link.Ask, link.Forgotten, link.Locate:
		return k.narrowing(f)
	case link.Report:
		k.loop.reports.start(k, f)
	case link.Drain:
		k.drain()
	case link.GoAway:
		k.workerGoaway(f)
	default:
		return fmt.Errorf("%w: a worker must not send %v", link.ErrFrame, f.Type)
	}
	return nil
}

// acknowledge notes that the worker has handled the client's messages up to number n, and with left
// also its DETACH. s is nil if the client is unknown.
func (k *workerLink) acknowledge(s *session, n uint32, left bool) {
	k.loop.book.Acknowledge(k.delivery, s.client(), n, left)
	if s == nil {
		return
	}
	k.loop.sampler.check(s, s.delivery.Handled())
	if s.pauses != 0 {
		s.throttle()
	}
}

// resumeReads reads the link again if no inbox or outbox that it has filled is still full.
func (k *workerLink) resumeReads() {
	if !k.inboxPaused && k.fullOutboxes == 0 && !k.parkingFull {
		k.conn.Resume()
	}
}

// origin names the link as the destination of a command's reply.
func (k *workerLink) origin() origin { return origin{k.loop.index, noteCommand, k.serial} }

// message writes a client's message, which the book has allowed, and returns the serial of its
// buffer.
func (k *workerLink) message(s *session, number uint32, payload []byte, flags uint8) (serial uint32) {
	serial = k.conn.Serial()
	f := &link.Frame{
		Type: link.Message, Flags: flags, Code: uint16(s.member.Version()),
		ID: number, Slot: s.delivery.Slot, Token: s.token(),
	}
	b := link.AppendHeader(k.conn.Begin(len(payload)), f, len(payload))
	_ = k.conn.Commit(append(b, payload...)) // the window is the link's bound: an overflow ends the link
	return serial
}

// isBacklogged reports whether so much output waits that the worker gets no more clients until half
// of it is written. Attachments need no credit, unlike messages. There may be many at once, and
// each may be large, so they could overflow the link.
func (k *workerLink) isBacklogged() bool {
	k.backlogged = k.backlogged || k.conn.Buffered() > k.delivery.Window()
	return k.backlogged
}

// attach writes the client's attachment, and returns the serial of its buffer and its size.
func (k *workerLink) attach(s *session, of delivery.Attachment) (serial uint32, size int) {
	f := link.Frame{
		Type: link.Attach, Code: uint16(s.member.Version()), ID: of.Handled, Slot: s.delivery.Slot, Token: s.token(),
	}
	if of.New {
		f.Flags = link.FlagNew
	}
	a := link.Attachment{
		Version: s.member.Version(), UIDVersion: s.member.UIDVersion(),
		Redelivered: uint32(of.Redelivered), Cause: link.Cause(of.Cause),
		Remote: s.remote(), Listener: s.lis.URL, UID: s.member.UID(),
		Request: s.request, Attrs: s.member.Attrs(),
	}
	serial = k.conn.Serial()
	b := k.conn.Begin(0)
	start := len(b)
	b = link.AppendAttachment(link.Begin(b, &f), &a)
	link.Finish(b, start)
	size = len(b) - start
	_ = k.conn.Commit(b)
	return serial, size
}

// detach tells the worker that the client has gone, or has moved to another worker. It returns the
// serial of the frame's buffer.
func (k *workerLink) detach(s *session, moved bool) (serial uint32) {
	f := link.Frame{
		Type: link.Detach, Code: uint16(s.reason), ID: s.delivery.Last(), Slot: s.delivery.Slot, Token: s.token(),
	}
	if moved {
		f.Code, f.Flags = 0, link.FlagMoved
	}
	serial = k.conn.Serial()
	_ = k.conn.Commit(link.Append(k.conn.Begin(0), &f))
	return serial
}

// trim gives the buffers that were written to the book, and gets back those that it does not need.
func (k *workerLink) trim() {
	k.flushed = k.conn.TakeFlushed(k.flushed[:0])
	for _, b := range k.flushed {
		k.loop.book.Flushed(k.delivery, b.Bytes, b.Serial)
	}
	clear(k.flushed)
}

// refresh sends the worker attributes and a uid that the worker itself did not change.
func (k *workerLink) refresh(s *session) {
	f := link.Frame{Type: link.Attrs, Slot: s.delivery.Slot, Token: s.token()}
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
	l := k.loop
	if k.delivery.IsDraining() {
		return
	}
	l.book.Drain(k.delivery)
	l.pool.remove(k)
	l.noteWorkers()
	for _, s := range l.sessions {
		if s != nil && s.delivery.Link() == k.delivery {
			l.book.Move(&s.delivery, delivery.Drained)
		}
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
	k.remove(delivery.Closed)
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
	how := delivery.Closed
	if status == link.Replaced {
		how = delivery.Replaced
	}
	k.remove(how)
}

// OnTimer implements engine.TimerHandler. It is the link's heartbeat.
func (k *workerLink) OnTimer(*engine.Timer) {
	send, alive := k.tick(k.inboxPaused || k.parkingFull || k.fullOutboxes > 0 || k.pingSent && k.conn.Arrived())
	if !alive {
		k.goAway(link.NoHeartbeat, "no frame received for two heartbeats")
		return
	}
	k.send(&link.Frame{Type: send})
	k.loop.el.Schedule(&k.timer, k.loop.g.cfg.LinkHeartbeat)
	// If much output waits, the worker does not read, and its handlers may wait for that.
	if k.conn.Buffered() <= k.delivery.Share {
		k.delivery.Age()
		k.loop.book.Credit(k.delivery)
	}
}
