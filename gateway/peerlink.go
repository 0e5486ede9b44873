package gateway

import (
	"encoding/binary"
	"fmt"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// peerLink is common to both ends of a link between gateways. The loop owns it.
type peerLink struct {
	liveness
	loop  *loop
	conn  *engine.Conn
	timer engine.Timer
	ended bool // further input is ignored

	inboxPaused bool // the link has filled another loop's inbox, and is not read until that is empty
	parkingFull bool // the link has filled what is parked, and is not read until half of that is free
}

// resumeReads reads the link again if nothing that it has filled is still full.
func (k *peerLink) resumeReads() {
	if !k.inboxPaused && !k.parkingFull {
		k.conn.Resume()
	}
}

// open starts the link. OnOpen calls it first.
func (k *peerLink) open(l *loop, c *engine.Conn) {
	k.loop, k.conn = l, c
	l.linked++
	k.timer.Target = k
	l.el.Schedule(&k.timer, l.g.cfg.LinkHeartbeat)
}

// closed ends the link. OnClose calls it first.
func (k *peerLink) closed() {
	k.ended = true
	k.loop.linked--
	k.loop.el.Cancel(&k.timer)
}

// frames passes each whole frame to take, except heartbeats and GOAWAY, which it handles.
func (k *peerLink) frames(in []byte, take func(*link.Frame) error) (taken int) {
	for !k.ended {
		var f link.Frame
		n, err := link.Next(in[taken:], link.MaxFrame, &f)
		if n == 0 && err == nil {
			break
		}
		switch {
		case err != nil:
		case f.Type == link.Ping:
			k.loop.advanceClock(f.Token)
			k.sendControl(link.Pong, f.ID)
		case f.Type == link.Pong:
			k.loop.advanceClock(f.Token)
		case f.Type == link.GoAway:
			k.close(link.ReasonPeer)
		default:
			err = take(&f)
		}
		if err != nil {
			k.loop.g.log.Warn("link to another gateway ended", "loop", k.loop.index,
				"remote", k.conn.RemoteAddr().String(), "err", err)
			k.close(link.ReasonProtocol)
		}
		taken += n
	}
	k.noteRead(len(in), taken)
	if k.ended {
		return len(in)
	}
	return taken
}

func (k *peerLink) send(f *link.Frame) {
	_ = k.conn.Commit(link.Append(k.conn.Begin(len(f.Payload)), f)) // an overflow ends the link
}

// sendControl sends a heartbeat frame, which carries the time.
func (k *peerLink) sendControl(t link.Type, id uint32) {
	k.send(&link.Frame{Type: t, ID: id, Token: k.loop.now()})
}

func (k *peerLink) close(reason link.Reason) {
	k.ended = true
	k.conn.Close(closing(reason))
}

// OnTimer implements engine.TimerHandler. It is the link's heartbeat.
func (k *peerLink) OnTimer(*engine.Timer) {
	if k.ended {
		return
	}
	send, alive := k.tick(k.inboxPaused || k.parkingFull || k.pingSent && k.conn.Arrived())
	if !alive {
		k.close(link.ReasonIdle)
		return
	}
	k.sendControl(send, 0)
	k.loop.el.Schedule(&k.timer, k.loop.g.cfg.LinkHeartbeat)
}

// outLink is the dialling end of a link. It carries the effects of its loop's clients.
type outLink struct {
	peerLink
	peer  *peer
	epoch uint64 // epoch of the other gateway
	// narrows: the other gateway answers questions for permits.
	narrows bool
	done    chan struct{} // closed when the connection has ended
}

// OnOpen implements engine.Handler.
func (k *outLink) OnOpen(c *engine.Conn) {
	k.open(k.peer.loop, c)
	if k.peer.dialled = k; k.peer.stopped {
		k.close(link.ReasonPeer)
	}
}

// OnData implements engine.Handler.
func (k *outLink) OnData(_ *engine.Conn, in []byte) int {
	return k.frames(in, func(f *link.Frame) error {
		switch {
		case f.Type != link.Confirm:
			return k.narrowing(f)
		case k.peer.link == k:
			return k.peer.confirmed(f.Token)
		}
		k.loop.g.log.Info("link to another gateway open", "gateway", k.peer.id, "loop", k.loop.index,
			"remote", k.conn.RemoteAddr().String())
		return k.peer.connected(k, f.Token)
	})
}

// narrowing handles a frame of narrow sends.
func (k *outLink) narrowing(f *link.Frame) error {
	x := k.loop.narrow
	if x == nil || k.peer.link != k {
		return link.ErrFrame
	}
	switch f.Type {
	case link.Permit:
		x.permitted(k.peer, f)
		return nil
	case link.Forget:
		answer, err := forget(x.sender, k.peer.id, f)
		if err == nil {
			k.send(&answer)
		}
		return err
	}
	return link.ErrFrame
}

// OnClose implements engine.Handler.
func (k *outLink) OnClose(*engine.Conn, error) {
	k.closed()
	k.peer.disconnected(k)
	close(k.done)
}

// loopKey identifies one loop of another gateway.
type loopKey struct{ gateway, loop uint32 }

// arrival is what a loop has applied for one loop of another gateway. It outlives their link.
type arrival struct {
	stream uint64 // identifies the outbox there
	last   uint64 // sequence of the newest command applied
	link   *inLink
	gone   uint32 // the loop's second in which the link ended
}

// arrivalTTL is how long an arrival is kept after its link has ended, in seconds. This is much
// longer than the other gateway keeps its outbox.
const arrivalTTL = 3600

// forgetArrivals is called once a second.
func (l *loop) forgetArrivals() {
	for who, a := range l.arrivals {
		if a.link == nil && l.seconds-a.gone > arrivalTTL {
			delete(l.arrivals, who)
		}
	}
}

// inLink is the accepting end of a link.
type inLink struct {
	peerLink
	hello  link.WorkerHello
	serial uint32
	of     *arrival
	parked *parked // what waits until a join is visible; nil: nothing
}

func newInLink(l *loop, hello link.WorkerHello) *inLink {
	return &inLink{peerLink: peerLink{loop: l}, hello: hello}
}

// OnOpen implements engine.Handler.
func (k *inLink) OnOpen(c *engine.Conn) {
	l := k.loop
	k.open(l, c)
	l.serials++
	k.serial = l.serials
	l.inLinks[k.serial] = k
	id := k.hello.ID
	who := loopKey{binary.BigEndian.Uint32(id[:]), binary.BigEndian.Uint32(id[4:])}
	a := l.arrivals[who]
	if stream := binary.BigEndian.Uint64(id[8:]); a == nil || a.stream != stream {
		if a != nil && a.link != nil {
			a.link.close(link.ReasonPeer)
		}
		a = &arrival{stream: stream}
		l.arrivals[who] = a
	}
	if a.link != nil {
		a.link.close(link.ReasonPeer) // the old link is broken, and that was not noticed
	}
	a.link, k.of = k, a
	k.sendControl(link.Pong, 0)
	k.send(&link.Frame{Type: link.Confirm, Token: a.last})
}

// OnData implements engine.Handler.
func (k *inLink) OnData(_ *engine.Conn, in []byte) int {
	before := k.of.last
	taken := k.frames(in, k.frame)
	if k.of.last != before {
		k.confirm()
	}
	return taken
}

// confirm confirms what was applied.
func (k *inLink) confirm() {
	if !k.ended {
		k.send(&link.Frame{Type: link.Confirm, Token: k.of.last})
	}
}

// frame handles a frame.
func (k *inLink) frame(f *link.Frame) error {
	x := k.loop.narrow
	if x == nil || f.Type == link.Relay {
		return k.execute(f)
	}
	switch f.Type {
	case link.Ask:
		id := k.hello.ID
		r := directory.Reader{Gateway: binary.BigEndian.Uint32(id[:]), Loop: uint16(binary.BigEndian.Uint32(id[4:]))}
		answer := x.ask(k.serial, r, f)
		k.send(&answer)
		return nil
	case link.Forgotten:
		return x.forgotten(k.serial, f)
	}
	return link.ErrFrame
}

// execute applies a command. No command comes twice, because the other gateway continues after the
// sequence that OnOpen has confirmed.
func (k *inLink) execute(f *link.Frame) error {
	l := k.loop
	inner, err := within(f)
	if err != nil {
		return err
	}
	x := l.narrow
	if x == nil {
		return k.apply(f, &inner)
	}
	waits, sets := x.arrived(k, f, &inner)
	if waits {
		return nil
	}
	err = k.apply(f, &inner)
	x.releaseAll(sets)
	return err
}

// applyParked applies a command that was parked.
func (k *inLink) applyParked(f *link.Frame) error {
	inner, err := within(f)
	if err != nil {
		return err
	}
	return k.apply(f, &inner)
}

// apply applies a command, which is within f.
func (k *inLink) apply(f, inner *link.Frame) error {
	l := k.loop
	if f.Token <= k.of.last {
		return fmt.Errorf("%w: sequence %d does not follow %d", link.ErrFrame, f.Token, k.of.last)
	}
	k.of.last = f.Token
	if err := l.g.checkArrival(inner); err != nil { // skipped: an error would make it come again on the next link
		l.stats.CommandsDropped++
		if l.g.strangerLogs.Allow() {
			l.g.log.Warn("invalid command from another gateway",
				"gateway", binary.BigEndian.Uint32(k.hello.ID[:]), "err", err)
		}
		return nil
	}
	l.command(origin{l.index, noteCommand, k.serial}, inner)
	return nil
}

// OnClose implements engine.Handler.
func (k *inLink) OnClose(*engine.Conn, error) {
	k.closed()
	delete(k.loop.inLinks, k.serial)
	if x := k.loop.narrow; x != nil {
		x.permits.Closed(k.serial)
	}
	if k.of.link == k {
		k.of.link, k.of.gone = nil, k.loop.seconds
	}
}
