package gateway

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

const (
	claimGates = 3
	claimLoops = 2
	claimNames = 3
)

// claimWorld is gateways whose clients log in with uids that only one client may have. Links
// between the gateways break for any time, gateways start again, their clocks differ, and workers
// do not list all of them.
type claimWorld struct {
	t      *testing.T
	rng    *rand.Rand
	gates  []gate
	epochs uint64
	cut    [claimGates][claimGates]bool
	listed [claimGates][claimGates]bool
	wires  map[claimWire]*claimLink
	logins []*login
	shared *sharedDirectory // nil: none
}

// claimWire is a loop of a gateway, and another gateway.
type claimWire struct{ gate, loop, to int }

// claimLink is the link of a claimWire.
type claimLink struct {
	of      *peer
	out, in *enginetest.Peer
}

// login is a client that has claimed a uid.
type login struct {
	gate, loop int
	m          *registry.Member
	uid        string
	claim      link.Claim
	left       bool // by itself, or with its gateway
}

func newClaimWorld(t *testing.T, seed uint64, shared *sharedDirectory) *claimWorld {
	w := &claimWorld{
		t: t, rng: rand.New(rand.NewPCG(seed, 21)), wires: map[claimWire]*claimLink{}, shared: shared,
	}
	for i := range claimGates {
		w.gates = append(w.gates, w.newGate(i))
	}
	return w
}

func (w *claimWorld) newGate(i int) gate {
	cfg := Config{ID: uint32(i + 1), Loops: claimLoops, Logger: slog.New(slog.DiscardHandler)}
	if w.shared != nil {
		cfg.Directory = w.shared.views[i]
	}
	g := newGate(w.t, cfg)
	if w.shared != nil {
		w.shared.views[i].use(w.t, g.g)
	}
	w.epochs++
	g.g.epoch = w.epochs
	for _, l := range g.g.loops {
		l.clockOffset = w.rng.Uint64N(uint64(time.Minute))
	}
	return g
}

// restart replaces a gateway by a new process, at which clients log in before it has links.
func (w *claimWorld) restart(i int) {
	for at, k := range w.wires {
		if at.gate == i || at.to == i {
			k.reset()
			delete(w.wires, at)
		}
	}
	for _, c := range w.logins {
		c.left = c.left || c.gate == i
	}
	if w.shared != nil {
		w.shared.views[i].leave()
	}
	w.gates[i] = w.newGate(i)
	for range w.rng.IntN(3) {
		w.login(i)
	}
}

func (k *claimLink) reset() {
	k.out.Reset()
	k.in.Reset()
}

// login connects a client and binds it.
func (w *claimWorld) login(i int) {
	n := w.rng.IntN(claimLoops)
	g := w.gates[i]
	l := g.g.loops[n]
	s := &session{lis: g.lis}
	g.sim.Open(n, netip.MustParseAddrPort("192.0.2.7:99"), s, engine.ConnOptions{})
	c := &login{gate: i, loop: n, m: &s.member, uid: fmt.Sprint("u", w.rng.IntN(claimNames))}
	w.bind(l, s, c.uid, link.FlagExclusive)
	c.claim = link.Claim{Time: l.lastBind, Client: s.member.ID}
	w.logins = append(w.logins, c)
	if w.rng.IntN(8) == 0 {
		w.bind(l, s, c.uid, 0) // which changes nothing
	}
}

func (w *claimWorld) bind(l *loop, s *session, uid string, flags uint8) {
	f := &link.Frame{Type: link.Bind, Flags: flags, Code: uint16(l.index), Slot: s.delivery.Slot, Token: s.token(),
		Payload: append(binary.BigEndian.AppendUint32(nil, s.member.UIDVersion()), uid...)}
	l.command(origin{l.index, noteCommand, 0}, f)
}

// here reports whether the client is connected.
func (w *claimWorld) here(c *login) bool {
	return !c.left && w.gates[c.gate].g.loops[c.loop].members.Find(c.m.ID) != nil
}

func (w *claimWorld) leave() {
	if len(w.logins) == 0 {
		return
	}
	c := w.logins[w.rng.IntN(len(w.logins))]
	if w.here(c) {
		c.left = true
		w.gates[c.gate].g.loops[c.loop].sessions[c.m.ID.Slot()].end(link.ReasonKicked)
	}
}

// list has the workers of the loops list the gateways.
func (w *claimWorld) list() {
	for i, g := range w.gates {
		for _, l := range g.g.loops {
			for j, other := range w.gates {
				p := l.peers[uint32(j+1)]
				if i == j || !w.listed[i][j] {
					continue
				}
				if p == nil {
					p = newPeer(l, link.Peer{ID: other.g.cfg.ID, Addr: "simulated"}, func() {})
					l.peers[p.id] = p
				}
				p.lastListed = l.seconds
			}
		}
	}
}

// dial opens the links that are closed and can be opened.
func (w *claimWorld) dial() {
	for i, g := range w.gates {
		for n, l := range g.g.loops {
			for j, other := range w.gates {
				p := l.peers[uint32(j+1)]
				at := claimWire{i, n, j}
				k := w.wires[at]
				if k != nil && (k.of != p || w.cut[i][j] || k.out.Closed() || k.in.Closed()) {
					k.reset()
					delete(w.wires, at)
					k = nil
				}
				if k != nil || p == nil || w.cut[i][j] {
					continue
				}
				hello := link.WorkerHello{Role: link.RolePeer, ID: p.helloID()}
				_, to, err := other.g.acceptWorker(hello)
				if err != nil {
					w.t.Fatal(err)
				}
				out := &outLink{peer: p, epoch: other.g.epoch, done: make(chan struct{})}
				w.wires[at] = &claimLink{of: p,
					out: g.sim.Open(n, netip.AddrPort{}, out, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead}),
					in: other.sim.Open(int(to.index), netip.AddrPort{}, newInLink(to, hello),
						engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10})}
			}
		}
	}
}

// pass lets everything that is on its way arrive, at some of the links.
func (w *claimWorld) pass(share int) {
	for _, g := range w.gates {
		g.sim.Settle()
	}
	for i := range claimGates {
		for n := range claimLoops {
			for j := range claimGates {
				if k := w.wires[claimWire{i, n, j}]; k != nil && w.rng.IntN(share) == 0 {
					k.in.Send(k.out.Take())
					k.out.Send(k.in.Take())
				}
			}
		}
	}
	for _, g := range w.gates {
		g.sim.Settle()
	}
}

// rest lets time pass.
func (w *claimWorld) rest(d time.Duration) {
	for ; d > 0; d -= 200 * time.Millisecond {
		time.Sleep(min(d, 200*time.Millisecond))
		w.list()
		w.dial()
		w.pass(1)
	}
}

func (w *claimWorld) step() {
	i, j := w.rng.IntN(claimGates), w.rng.IntN(claimGates)
	switch n := w.rng.IntN(100); {
	case n < 25:
		w.login(i)
	case n < 30:
		w.leave()
	case n < 45:
		bad := w.rng.IntN(2) == 0
		w.cut[i][j], w.cut[j][i] = bad, bad
	case n < 50:
		w.listed[i][j] = w.rng.IntN(3) > 0
	case n < 53:
		w.restart(i)
	case n < 58:
		w.rest(time.Duration(w.rng.IntN(25)) * time.Second)
	case n < 70:
		w.rest(time.Duration(w.rng.IntN(1000)) * time.Millisecond)
	case n < 72 && w.shared != nil:
		w.shared.fail(w.rng)
	case n < 75:
		if k := w.wires[claimWire{i, w.rng.IntN(claimLoops), j}]; k != nil {
			k.reset()
		}
	default:
		w.list()
		w.dial()
		w.pass(1 + w.rng.IntN(3))
	}
}

// check compares with the claims that were made.
func (w *claimWorld) check() {
	w.t.Helper()
	for u := range claimNames {
		uid := fmt.Sprint("u", u)
		of := slices.DeleteFunc(slices.Clone(w.logins), func(c *login) bool { return c.uid != uid })
		if len(of) == 0 {
			continue
		}
		newest := slices.MaxFunc(of, func(a, b *login) int {
			if a.claim.Before(b.claim) {
				return -1
			}
			return 1
		})
		here := 0
		for _, c := range of {
			if w.here(c) {
				here++
			} else if !c.left && c == newest {
				w.t.Errorf("%s: the newest of %d has lost it", uid, len(of))
			}
		}
		if here > 1 || here == 0 && !newest.left {
			w.t.Errorf("%s: %d clients have it", uid, here)
		}
	}
}

// Of the clients that claim a uid at any gateways, the newest one keeps it, and no other, whatever
// has happened to the gateways and their links: within seconds after all of them are connected.
func TestOneClientOfEachUIDIsLeft(t *testing.T) {
	t.Parallel()
	for seed := range uint64(suite.Of(t, 300, 1000, "schedules")) {
		synctest.Test(t, func(t *testing.T) {
			w := newClaimWorld(t, seed, nil)
			for range 100 {
				w.step()
			}
			w.cut = [claimGates][claimGates]bool{}
			for i := range w.listed {
				w.listed[i] = [claimGates]bool{true, true, true}
			}
			w.rest(3 * time.Second)
			if w.check(); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// LinkedPeers returns with how many gateways the loops have a link, in all.
func LinkedPeers(g *Gateway) (n int) {
	for _, of := range ask(g, func(l *loop) (linked int) {
		for _, p := range l.peers {
			if p.link != nil && !p.claims.due && p.out.size() == 0 {
				linked++
			}
		}
		return linked
	}) {
		n += of
	}
	return n
}

// GiveUpPeers does what a loop does when it had no link to a gateway for peerGrace.
func GiveUpPeers(g *Gateway) {
	ask(g, func(l *loop) bool {
		for _, p := range l.peers {
			if p.link == nil && !p.lost {
				p.lost = true
				p.giveUp()
			}
		}
		return true
	})
}

// Claims are sent again in portions, which leave room for effects in the outbox, and each of
// them once. Those of clients that have gone meanwhile are not sent.
func TestClaimsAreSentAgainInPortions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newPassing(t, 1)
		const clients = claimsPortion + 1
		long := strings.Repeat("u", 800)
		for i := range clients {
			s := &session{lis: x.g.lis}
			x.g.sim.Open(0, netip.MustParseAddrPort("192.0.2.7:99"), s, engine.ConnOptions{})
			if i%3 > 0 {
				(&claimWorld{}).bind(x.l, s, fmt.Sprint(long, i), link.FlagExclusive)
			}
		}
		if n := x.p.out.drop(); n != clients*2/3 {
			t.Fatalf("%d claims of %d clients were passed on", n, clients)
		}
		x.last = x.p.out.first - 1
		x.dial(64 << 20)
		sent := func() uint64 { x.g.sim.Turn(0); return x.l.stats.ClaimsResent }
		for last := sent(); ; last = sent() {
			time.Sleep(2 * claimsEvery)
			if n := sent(); n-last > claimsPortion || x.p.out.size() > claimsAhead+claimsStep*1000 {
				t.Fatalf("%d claims at once, %d bytes in the outbox", n-last, x.p.out.size())
			} else if n == last {
				break
			}
		}
		if n := sent(); n < claimsAhead/1000 || n >= clients*2/3 {
			t.Fatalf("%d claims are sent before any is confirmed", n)
		}
		x.l.sessions[clients-1].end(link.ReasonKicked)
		got := map[string]int{}
		for range 100 {
			time.Sleep(claimsEvery)
			commands, _ := x.receive()
			for _, b := range commands {
				c := link.Read(b)
				uid, _ := c.Evict()
				got[string(uid)]++
			}
		}
		if len(got) != clients*2/3-1 || x.l.stats.ClaimsResent != uint64(len(got)) {
			t.Errorf("%d claims have come, %d were sent", len(got), x.l.stats.ClaimsResent)
		}
		if x.p.claims.due || len(x.l.resends) > 0 || x.p.out.size() > 0 {
			t.Error("it does not end")
		}
	})
}

func BenchmarkClaimsAreSentAgain(b *testing.B) {
	g := newGate(b, Config{ID: 1, Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	l := g.g.loops[0]
	p := newPeer(l, link.Peer{ID: 2, Addr: "simulated"}, func() {})
	l.peers[2] = p
	for i := range claimsPortion {
		s := &session{lis: g.lis}
		g.sim.Open(0, netip.MustParseAddrPort("192.0.2.7:99"), s, engine.ConnOptions{})
		(&claimWorld{}).bind(l, s, fmt.Sprint("user", i), link.FlagExclusive)
	}
	k := &outLink{peer: p, epoch: 1, done: make(chan struct{})}
	far := g.sim.Open(0, netip.AddrPort{}, k, engine.ConnOptions{MaxInput: 64 << 10, MaxOutput: maxAhead})
	far.Limit(64 << 20)
	far.Send(link.Append(nil, &link.Frame{Type: link.Confirm}))
	far.Read(64 << 10)
	for b.Loop() {
		p.claims.due, p.claims.next = true, 0
		p.sendClaims(claimsPortion)
		g.sim.Turn(0)
		far.Take()
		if err := p.out.confirm(p.out.next - 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*claimsPortion), "ns/claim")
}
