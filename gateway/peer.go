package gateway

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// What a handler does to clients of other gateways than its client's comes in the unit, like everything it does, to the loop that has its client. That loop is the one
// place where all that is done for a client is put in order: it carries out what is for its own gateway, and passes on what is for others. It has a link of its own to each
// of them (peerlink.go), and an outbox for each, which outlives the link: so a worker that dies, or a link that breaks, loses and doubles nothing.
//
// Gateways learn of each other from their workers, which serve all of them (PEERS in SPEC.md).

// peer is another gateway, as one loop sees it.
type peer struct {
	// Static.
	loop   *loop
	id     uint32
	stream uint64                 // names this outbox to the other gateway
	addr   atomic.Pointer[string] // where it is dialled; the loop changes it
	cancel context.CancelFunc     // ends its keeper

	// Owned by the loop.
	out        outbox
	dialled    *outLink // the newest
	link       *outLink // nil: none, or the other gateway has not said yet what it has
	epoch      uint64   // its start that the outbox is for; 0: it has never been reached
	down       time.Time
	lastListed uint32   // the loop's second in which a worker knew it last
	paused     []uint32 // serials of workers' links that are not read until half of the outbox is free; bound: links that have proved
	lost       bool     // it has been away for peerGrace: nothing is kept for it
	stopped    bool     // no worker knows it
}

const (
	maxOutbox  = 4 << 20          // bytes kept for another gateway, before those who fill it have to wait, or there is a loss
	maxUnheld  = 64 << 20         // the same, for bindings that came by others than a worker's link of the loop
	aheadOfAck = 1 << 20          // bytes given to its link at a time
	maxPeers   = 4096             // gateways that a loop knows
	peerGrace  = 10 * time.Second // a gateway may be away, or known to no worker, before what was for it is given up
)

// learnPeers takes over what a worker knows of other gateways.
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

// addPeer notes where another gateway is.
func (l *loop) addPeer(at link.Peer) {
	p := l.peers[at.ID]
	if p == nil {
		if len(l.peers) >= maxPeers {
			return // what is for it is lost, and counted
		}
		ctx, cancel := context.WithCancel(l.g.peerCtx)
		p = newPeer(l, at, cancel)
		l.peers[at.ID] = p
		l.g.peersWG.Go(func() { p.keep(ctx) })
	}
	if *p.addr.Load() != at.Addr {
		p.addr.Store(&at.Addr)
	}
	p.lastListed = l.seconds
}

func newPeer(l *loop, at link.Peer, forget context.CancelFunc) *peer {
	p := &peer{loop: l, id: at.ID, stream: l.tokens.Uint64(), cancel: forget, out: newOutbox(), down: l.el.Now()}
	p.addr.Store(&at.Addr)
	return p
}

// tickPeers is called once a second: it gives up what has waited too long, and forgets gateways that no worker knows any more.
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
		}
	}
}

// relay passes a command on to the one gateway that it is for.
func (l *loop) relay(o origin, f *link.Frame) {
	p := l.peers[f.Slot]
	if p == nil {
		l.stats.CommandsDropped++
		return
	}
	var inner link.Frame
	_, _ = link.Next(f.Payload, link.MaxFrame, &inner) // checked
	p.push(o, &inner)
}

// relayToAll passes a command on to all other gateways.
func (l *loop) relayToAll(o origin, f *link.Frame) {
	far := *f
	far.Flags &^= link.FlagFar | link.FlagResult // the answer is of the gateway that is asked
	for _, p := range l.peers {
		p.push(o, &far)
	}
}

// push keeps a command for the gateway, and sends it. Where too much is kept, the worker's link that it came by is not read until there is room; one that cannot be reached does not
// hold up the others: what has no room then is lost, and counted. Links of other gateways are read on in any case, or gateways would wait for each other without end: what comes by
// them and goes on to others are bindings, which are small.
func (p *peer) push(o origin, f *link.Frame) {
	l := p.loop
	from := l.links[o.serial]
	if o.loop != l.index {
		from = nil
	}
	if p.link == nil && (p.lost || p.out.size() > maxOutbox) || from == nil && p.out.size() > maxUnheld {
		l.stats.CommandsDropped++
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

// pump gives the link as much as it may have at a time.
func (p *peer) pump() {
	if p.link == nil {
		return
	}
	for {
		room := aheadOfAck - p.link.conn.Buffered()
		b := p.out.nextFrames(room)
		if len(b) == 0 || p.link.conn.Write(b) != nil {
			return // it goes on with the next confirmation, which there will be, or the next link
		}
	}
}

// confirmed forgets what the gateway has carried out.
func (p *peer) confirmed(last uint64) error {
	if err := p.out.confirm(last); err != nil {
		return err
	}
	p.pump()
	if p.out.size() <= maxOutbox/2 {
		p.release()
	}
	return nil
}

// connected goes on with a new link: the gateway has said what it has carried out.
func (p *peer) connected(k *outLink, last uint64) error {
	if p.epoch != k.epoch && p.epoch != 0 {
		p.loop.stats.CommandsDropped += p.out.dropStale() // its clients were those of another start; but a uid may have a new one there, who came before it was to be evicted
		p.release()
		last = 0
	}
	p.epoch = k.epoch
	if err := p.out.resume(last); err != nil {
		return err
	}
	p.link, p.lost = k, false
	p.pump()
	return nil
}

// disconnected notes that the link has ended.
func (p *peer) disconnected(k *outLink) {
	if p.link != k {
		return
	}
	p.link, p.down = nil, p.loop.el.Now()
	p.release()
}

// giveUp drops what is kept.
func (p *peer) giveUp() {
	p.loop.stats.CommandsDropped += p.out.drop()
	p.release()
}

// release has the links that filled the outbox read again.
func (p *peer) release() {
	for _, serial := range p.paused {
		if k := p.loop.links[serial]; k != nil {
			k.fullOutboxes--
			k.resumeReads()
		}
	}
	p.paused = p.paused[:0]
}

// stop ends the link and its keeper.
func (p *peer) stop() {
	p.stopped = true
	p.cancel()
	if p.dialled != nil && !p.dialled.ended {
		p.dialled.close(link.ReasonPeer)
	}
}

// unconfirmed is how much other gateways that can be reached have not confirmed.
func (l *loop) unconfirmed() (bytes int) {
	for _, p := range l.peers {
		if p.link != nil {
			bytes += p.out.size()
		}
	}
	return bytes
}
