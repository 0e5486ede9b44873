package gateway

import (
	"net/netip"
	"slices"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// simPeering is the link of one loop to another gateway in a schedule: bytes come late and split,
// and the link breaks.
type simPeering struct {
	w        *world
	p        *peer
	out, in  *enginetest.Peer
	up, down []byte // in transit

	here, there gate
	loop        int // at the other gateway
}

// meet makes all loops of all gateways know the other gateways.
func (w *world) meet() {
	for from, g := range w.gates {
		for _, l := range g.g.loops {
			for to, other := range w.gates {
				if from == to {
					continue
				}
				p := newPeer(l, link.Peer{ID: other.g.cfg.ID, Addr: "simulated"}, func() {})
				l.peers[p.id] = p
				w.peerings = append(w.peerings, &simPeering{w: w, p: p, here: g, there: other})
			}
		}
	}
}

// dial opens the link, unless it is open.
func (x *simPeering) dial() {
	x.p.lastListed = x.p.loop.seconds // by a worker
	if x.out != nil && !x.out.Closed() && !x.in.Closed() {
		return
	}
	x.cut()
	hello := link.WorkerHello{Role: link.RolePeer, ID: x.p.helloID()}
	_, l, err := x.there.g.acceptWorker(hello)
	if err != nil {
		x.w.fail("%v", err)
	}
	k := &outLink{peer: x.p, epoch: x.there.g.epoch, done: make(chan struct{})}
	x.loop = int(l.index)
	x.out = x.here.sim.Open(int(x.p.loop.index), netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead})
	x.in = x.there.sim.Open(x.loop, netip.AddrPort{}, newInLink(l, hello),
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})
}

// cut breaks the link: what is in transit is lost, sometimes only the confirmation of what was
// applied.
func (x *simPeering) cut() {
	if x.out == nil {
		return
	}
	for _, l := range x.w.links { // something arrives, if anything is in transit
		if l.k.loop == x.p.loop {
			l.handle()
			l.seal()
			l.flush(len(l.out))
			l.peer.Read(64 << 10)
		}
	}
	if x.w.rng.IntN(2) == 0 {
		x.here.sim.Turn(int(x.p.loop.index))
		x.carry(1 << 20)
		x.in.Read(1 << 20)
	}
	x.out.Reset()
	x.in.Reset()
	x.out, x.in, x.up, x.down = nil, nil, nil, nil

	x.w.seen.PeerCuts++
	x.w.seen.Resent += x.p.out.next - x.p.out.first
}

// carry moves up to n bytes each way.
func (x *simPeering) carry(n int) {
	if x.out == nil {
		return
	}
	x.up = append(x.up, x.out.Take()...)
	x.down = append(x.down, x.in.Take()...)
	x.w.note(x.up[:min(n, len(x.up))])
	x.in.Send(x.up[:min(n, len(x.up))])
	x.out.Send(x.down[:min(n, len(x.down))])
	x.up, x.down = slices.Clone(x.up[min(n, len(x.up)):]), slices.Clone(x.down[min(n, len(x.down)):])
}

// tend moves something, either way.
func (x *simPeering) tend(n int) {
	x.dial()
	x.there.sim.Turn(x.loop)
	x.carry(n)
	x.out.Read(n)
	x.here.sim.Turn(int(x.p.loop.index))
	x.carry(n)
	x.in.Read(n)
}

// rests reports whether everything for the other gateway is applied and confirmed.
func (x *simPeering) rests() bool { return x.p.out.size() == 0 && len(x.up)+len(x.down) == 0 }

func (w *world) somePeering(f func(*simPeering)) {
	if n := len(w.peerings); n > 0 {
		f(w.peerings[w.rng.IntN(n)])
	}
}
