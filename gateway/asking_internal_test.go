package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// manyGates is a gateway among many with a worker, a client in group "g", and another client.
type manyGates struct {
	narrowGate
	worker *enginetest.Peer
	client [2]*enginetest.Peer
	of     [2]*session
}

func newManyGates(t *testing.T, others int) *manyGates {
	t.Helper()
	x := &manyGates{narrowGate: newNarrowGate(t, 1)}
	l := x.loop
	options := engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true}
	hello := link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}}
	x.worker = x.sim.Open(0, netip.AddrPort{}, newWorkerLink(l, hello), options)
	for i := range x.of {
		x.of[i] = &session{lis: x.lis}
		x.client[i] = x.sim.Open(0, netip.AddrPort{}, x.of[i], options)
	}
	x.sim.Settle()
	l.members.Join(&x.of[0].member, "g")
	x.narrows() // not in doubt any more
	for id := range uint32(others) {
		l.peers[id+1] = newPeer(l, link.Peer{ID: id + 1, Addr: "simulated"}, func() {})
		l.narrow.sender.AddGateway(id + 1)
		x.permit(id + 1)
	}
	group := []directory.Set{{Kind: link.SetGroup, Name: "g"}}
	if _, err := l.g.cfg.Directory.Enter(t.Context(), directory.Member{Gateway: 3}, group); err != nil {
		t.Fatal(err)
	}
	return x
}

// permit has another gateway permit to be left out.
func (x *manyGates) permit(id uint32) {
	now := x.loop.narrow.now()
	x.loop.narrow.sender.Permit(now, id, x.g.interest.token(), now)
}

// unit applies the effects of a call of a client.
func (x *manyGates) unit(client int, effects ...link.Frame) {
	s := x.of[client]
	u := link.Frame{Type: link.Unit, Flags: link.FlagEarly, Slot: s.delivery.Slot, Token: s.token()}
	for i := range effects {
		u.Payload = link.Append(u.Payload, &effects[i])
	}
	x.worker.Send(link.Append(nil, &u))
	for x.worker.Read(1 << 20) {
	}
	x.sim.Turn(0)
}

// text is a message to a client.
func (x *manyGates) text(client int, text string) link.Frame {
	s := x.of[client]
	return link.Frame{Type: link.Send, Slot: s.delivery.Slot, Token: s.token(), Payload: []byte(text)}
}

// received is what a client has received: texts, and "-" for a message to the group.
func (x *manyGates) received(client int) (all string) {
	x.sim.Turn(0)
	for in := x.client[client].Take(); len(in) > 0; in = in[binary.BigEndian.Uint32(in):] {
		all += string(in[4:binary.BigEndian.Uint32(in)])
	}
	return strings.ReplaceAll(all, "\x00", "-")
}

// relayed returns the gateways to which something was passed on.
func (x *manyGates) relayed() (to []uint32) {
	for id, p := range x.loop.peers {
		if p.out.size() > 0 {
			to = append(to, id)
			p.out.drop()
		}
	}
	slices.Sort(to)
	return to
}

// answer makes the next call about sets, and passes the answer to the loop.
func (x *manyGates) answer() {
	n := x.g.interest
	for i := range n.lookups {
		n.lookup(x.t.Context(), &n.lookups[i])
	}
	n.lookups = nil
	x.sim.Turn(0)
}

// wait lets time pass, of a synctest.
func (x *manyGates) wait(d time.Duration) {
	time.Sleep(d)
	x.sim.Turn(0)
}

// With many gateways the first message of a call to a group waits until the directory has said
// which ones hold it. What follows of the same client waits behind it, and is asked for meanwhile;
// others go on. Then each goes to the gateways that hold its group.
func TestTheFirstEffectIsNarrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newManyGates(t, narrow.LookupGateways+1)
		x.unit(0, *toGroup("g", 1), x.text(0, "1"))
		x.unit(0, x.text(0, "2"))
		x.unit(0, *toGroup("nobody", 1), x.text(0, "3"))
		x.unit(1, x.text(1, "other"))
		if got := x.received(0); got != "" || x.received(1) == "" || x.relayed() != nil {
			t.Fatalf("the call does not wait, or others do: %q", got)
		}
		if lookups := x.g.interest.lookups; len(lookups) != 1 || len(lookups[0].sets) != 2 {
			t.Errorf("asked for %v", lookups)
		}
		x.answer()
		if to := x.relayed(); !slices.Equal(to, []uint32{3}) {
			t.Errorf("passed on to gateways %d", to)
		}
		if got := x.received(0); got != "-123" {
			t.Errorf("received %q", got)
		}
		x.unit(0, *toGroup("g", 1))
		if to := x.relayed(); !slices.Equal(to, []uint32{3}) {
			t.Errorf("the next one is passed on to gateways %d", to)
		}
		if s := x.loop.snapshot(); s.UnitsParked != 1 || s.ParkedBytes != 0 || s.SendsWidenedUnknown != 0 ||
			len(x.loop.narrow.parking.client) > 0 {
			t.Errorf("%+v", s.NarrowStats)
		}
	})
}

// A call that also joins waits for both.
func TestACallThatJoinsAndAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newManyGates(t, narrow.LookupGateways+1)
		s := x.of[1]
		join := link.Frame{Type: link.Join, Slot: s.delivery.Slot, Token: s.token(), Payload: []byte("g2")}
		x.unit(1, join, *toGroup("g", 1), x.text(1, "x"))
		x.narrows()
		x.sim.Turn(0)
		if x.loop.members.HasGroup("g2") {
			t.Fatal("the call waits for the join only")
		}
		x.answer()
		if to := x.relayed(); !slices.Equal(to, []uint32{3}) || !x.loop.members.HasGroup("g2") {
			t.Errorf("passed on to gateways %d", to)
		}
		x.loop.members.Leave(&s.member, "g2")
		x.g.started = x.g.started.Add(-lingers)
		x.narrows()
		if held := x.g.interest.stats().SetsHeld; held != 1 {
			t.Errorf("%d sets are held", held)
		}
	})
}

// No call waits if few gateways would be spared, if none may be, or while much is parked.
func TestCallsThatDoNotWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		others int
		change func(*manyGates)
	}{
		"few gateways":   {narrow.LookupGateways, func(*manyGates) {}},
		"much is parked": {narrow.LookupGateways + 1, func(x *manyGates) { x.loop.narrow.parking.bytes += maxWaiting + 1 }},
		"nobody permits it": {narrow.LookupGateways + 1, func(x *manyGates) {
			for id := range x.loop.peers {
				x.loop.narrow.sender.Revoke(id)
			}
		}},
		"a join of it is on its way": {narrow.LookupGateways + 1, func(x *manyGates) {
			x.loop.narrow.relayed(x.loop.peers[1], &link.Frame{Type: link.Join, Payload: []byte("g")})
		}},
	} {
		x := newManyGates(t, c.others)
		c.change(x)
		x.unit(0, *toGroup("g", 1))
		if to := x.relayed(); len(to) != c.others {
			t.Errorf("%s: passed on to %d gateways", name, len(to))
		}
	}
}

// A directory that does not answer delays a client for a moment, once: its messages go to all
// gateways, in order, and so do later ones of others at once, until it answers again.
func TestASlowDirectoryIsNotAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const others = narrow.LookupGateways + 1
		x := newManyGates(t, others)
		x.unit(0, *toGroup("g", 1), x.text(0, "1"))
		for i := range 5 {
			x.unit(0, *toGroup(fmt.Sprint(i), 1), x.text(0, "2"))
		}
		x.wait(narrow.LookupTime * 9 / 10)
		if x.relayed() != nil {
			t.Error("it does not wait")
		}
		x.wait(narrow.LookupTime / 5)
		if to := x.relayed(); len(to) != others {
			t.Errorf("passed on to %d gateways", len(to))
		}
		if got := x.received(0); got != "-122222" {
			t.Errorf("received %q", got)
		}
		x.unit(1, *toGroup("another", 1))
		if to := x.relayed(); len(to) != others {
			t.Errorf("the next one is passed on to %d gateways", len(to))
		}
		s := x.loop.snapshot()
		if s.LookupTimeouts != 1 || s.SendsWidenedUnknown != 7 || s.ParkedBytes != 0 {
			t.Errorf("%+v", s.NarrowStats)
		}
		x.answer()
		if x.unit(1, *toGroup("one more", 1)); x.relayed() != nil {
			t.Error("it does not wait, although the directory answers")
		}
		x.answer()
	})
}
