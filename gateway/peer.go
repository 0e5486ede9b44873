package gateway

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Effects of a handler on clients of other gateways come in the unit of the handler's own client,
// and so to the loop of that client. This loop is the one place that orders everything done for a
// client. It applies the effects for its own gateway, and relays the others. It has a link of its
// own to each other gateway (peerlink.go), and an outbox for each. The outbox outlives the link, so
// that the loss of a worker or of a link neither loses nor repeats an effect.
//
// Gateways learn of each other from their workers, which serve all of them (PEERS in SPEC.md).

// peer is another gateway, as one loop sees it.
type peer struct {
	// Static.
	loop   *loop
	id     uint32
	stream uint64                 // identifies this outbox to the other gateway
	addr   atomic.Pointer[string] // address to dial; the loop changes it
	cancel context.CancelFunc     // ends the goroutine that keeps the link

	// Owned by the loop.
	out        outbox
	dialled    *outLink // the newest link
	link       *outLink // nil: none, or its first CONFIRM has not come
	epoch      uint64   // epoch of the other gateway that the outbox is for; 0: never connected
	down       time.Time
	lastListed uint32 // the loop's second in which a worker last listed it
	// paused are the serials of workers' links that are not read until half of the outbox is free.
	paused  []uint32 // bound: links that have proved
	lost    bool     // disconnected for peerGrace: nothing is kept for it
	stopped bool     // no worker lists it
	claims  resending
}

const (
	// maxOutbox is how many bytes are kept for another gateway. While it is connected, the links
	// that go over the bound pause. While it is not, commands over the bound are lost.
	maxOutbox  = 4 << 20
	maxUnheld  = 64 << 20 // the same, for bindings that did not come by a worker's link of the loop
	aheadOfAck = 1 << 20  // bytes written to the link and not sent
	maxPeers   = 4096     // gateways that a loop knows
	// peerGrace is how long a gateway may be disconnected, or listed by no worker, before its
	// outbox is dropped.
	peerGrace = 10 * time.Second
)

// learnPeers adds the other gateways that a worker lists.
func (k *workerLink) learnPeers(f *link.Frame) error {
	c := link.Read(f.Payload)
	peers := c.Peers()
	if !c.End() || len(peers) > maxPeers {
		return link.ErrFrame
	}
	k.peers = k.peers[:0]
	for _, p := range peers {
		if p.ID != k.loop.g.cfg.ID {
			k.peers = append(k.peers, p.ID)
			k.loop.addPeer(p)
		}
	}
	return nil
}

// addPeer stores the address of another gateway.
func (l *loop) addPeer(at link.Peer) {
	p := l.peers[at.ID]
	if p == nil {
		if len(l.peers) >= maxPeers {
			return // effects for it are lost and counted
		}
		ctx, cancel := context.WithCancel(l.g.peerCtx)
		p = newPeer(l, at, cancel)
		l.peers[at.ID] = p
		if l.narrow != nil {
			l.narrow.sender.AddGateway(at.ID)
		}
		l.g.peersWG.Go(func() { p.keep(ctx) })
	}
	if *p.addr.Load() != at.Addr {
		p.addr.Store(&at.Addr)
	}
	p.lastListed = l.seconds
}

func newPeer(l *loop, at link.Peer, forget context.CancelFunc) *peer {
	p := &peer{loop: l, id: at.ID, stream: l.tokens.Uint64(), cancel: forget, out: newOutbox(), down: l.el.Now()}
	p.claims.due = true // those from before it was known
	p.addr.Store(&at.Addr)
	return p
}

// tickPeers is called once a second. It drops the outboxes of gateways that are disconnected for
// too long, and forgets gateways that no worker lists.
func (l *loop) tickPeers() {
	for _, k := range l.links {
		for _, id := range k.peers {
			if p := l.peers[id]; p != nil {
				p.lastListed = l.seconds
			}
		}
	}
	for id, p := range l.peers {
		if p.link == nil && !p.lost && l.el.Now().Sub(p.down) > peerGrace {
			p.lost = true
			p.giveUp()
		}
		if l.seconds-p.lastListed > uint32(peerGrace/tickEvery) && p.out.size() == 0 {
			p.stop()
			delete(l.peers, id)
			if l.narrow != nil {
				l.narrow.sender.RemoveGateway(id)
			}
		}
	}
}

// relay passes a command on to the gateway that it is for.
func (l *loop) relay(o origin, f *link.Frame) {
	p := l.peers[f.Slot]
	if p == nil {
		l.stats.CommandsDropped++
		return
	}
	var inner link.Frame
	_, _ = link.Next(f.Payload, link.MaxFrame, &inner) // the caller has checked it
	p.push(o, &inner)
	if l.narrow != nil {
		l.narrow.relayed(p, &inner)
	}
}

// relayToAll passes a command on to all other gateways that it is for.
func (l *loop) relayToAll(o origin, f *link.Frame) {
	far := *f
	far.Flags &^= link.FlagFar | link.FlagResult // the result is that of this gateway
	to, some := []uint32(nil), false
	switch {
	case len(l.peers) == 0:
	case f.Type == link.Publish && f.Code == link.TargetClients:
		l.ids = gatewaysOf(l.ids[:0], f)
		to, some = l.ids, true
	case l.narrow != nil:
		to, some = l.narrow.recipients(f)
	}
	if !some {
		for _, p := range l.peers {
			p.push(o, &far)
		}
	}
	for _, id := range to {
		if p := l.peers[id]; p != nil {
			p.push(o, &far)
		}
	}
}

// gatewaysOf appends the gateways of the clients that a PUBLISH is for, sorted.
func gatewaysOf(ids []uint32, f *link.Frame) []uint32 {
	c := link.Read(f.Payload)
	for range c.U16() {
		if id := c.Bytes(); len(id) == len(link.ClientID{}) {
			ids = append(ids, binary.BigEndian.Uint32(id))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// push adds a command to the outbox, and sends it. If the outbox is full, the worker's link that
// the command came by is not read until there is space. A disconnected gateway does not pause
// links: a command that does not fit is lost and counted. Links of other gateways are never paused
// here, because gateways could then wait for each other in a circle. Only bindings come by them and
// are relayed again, and those are small.
func (p *peer) push(o origin, f *link.Frame) {
	l := p.loop
	from := l.links[o.serial]
	if o.loop != l.index {
		from = nil
	}
	if p.link == nil && (p.lost || p.out.size() > maxOutbox) || from == nil && p.out.size() > maxUnheld {
		l.stats.CommandsDropped++
		if f.Type == link.Evict {
			p.resendClaims()
		}
		return
	}
	p.out.push(f)
	l.stats.Relayed++
	p.pump()
	if p.link != nil && p.out.size() > maxOutbox && from != nil && !slices.Contains(p.paused, o.serial) {
		p.paused = append(p.paused, o.serial)
		from.fullOutboxes++
		from.conn.Pause()
		l.stats.InboxBackpressure++
	}
}

// pump writes as much to the link as it may have at a time.
func (p *peer) pump() {
	if p.link == nil {
		return
	}
	for {
		room := aheadOfAck - p.link.conn.Buffered()
		b := p.out.nextFrames(room)
		if len(b) == 0 || p.link.conn.Write(b) != nil {
			return // the next CONFIRM or the next link continues here
		}
	}
}

// confirmed removes what the other gateway has applied from the outbox.
func (p *peer) confirmed(last uint64) error {
	if err := p.out.confirm(last); err != nil {
		return err
	}
	p.noteConfirmed()
	p.pump()
	if p.out.size() <= maxOutbox/2 {
		p.release()
	}
	return nil
}

// connected continues on a new link, whose first CONFIRM says what the other gateway has applied.
func (p *peer) connected(k *outLink, last uint64) error {
	if p.epoch != k.epoch && p.epoch != 0 {
		// The other gateway has restarted, and its former clients are gone. Evictions are kept,
		// because a client may have connected there since with a uid that it must lose. So are those
		// that the former process had confirmed.
		p.loop.stats.CommandsDropped += p.out.dropStale()
		p.claims.due, p.claims.next = true, 0
		p.release()
		last = 0
	}
	p.epoch = k.epoch
	if err := p.out.resume(last); err != nil {
		return err
	}
	p.link, p.lost = k, false
	p.noteConfirmed()
	if x := p.loop.narrow; x != nil {
		x.sender.Revoke(p.id)
		x.askPermit(p)
	}
	p.pump()
	p.continueClaims()
	return nil
}

// disconnected notes that the link has ended.
func (p *peer) disconnected(k *outLink) {
	if p.link != k {
		return
	}
	p.link, p.down = nil, p.loop.el.Now()
	if x := p.loop.narrow; x != nil {
		x.sender.Revoke(p.id)
	}
	p.release()
}

// giveUp drops the outbox.
func (p *peer) giveUp() {
	if n := p.out.drop(); n > 0 {
		p.loop.stats.CommandsDropped += n
		p.resendClaims()
	}
	p.noteConfirmed()
	p.release()
}

// noteConfirmed tells the loop's sender that joins which are not in the outbox any more are
// confirmed, or lost.
func (p *peer) noteConfirmed() {
	if x := p.loop.narrow; x != nil {
		x.sender.Confirmed(p.id, p.out.first-1)
	}
}

// release reads the links again that filled the outbox.
func (p *peer) release() {
	for _, serial := range p.paused {
		if k := p.loop.links[serial]; k != nil {
			k.fullOutboxes--
			k.resumeReads()
		}
	}
	p.paused = p.paused[:0]
}

// stop ends the link and the goroutine that keeps it.
func (p *peer) stop() {
	p.stopped = true
	p.cancel()
	if p.dialled != nil && !p.dialled.ended {
		p.dialled.close(link.ReasonPeer)
	}
}

// unconfirmed is how many bytes connected gateways have not confirmed.
func (l *loop) unconfirmed() (bytes int) {
	for _, p := range l.peers {
		if p.link != nil {
			bytes += p.out.size()
		}
	}
	return bytes
}
