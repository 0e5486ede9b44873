package gateway

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// narrowLoop is a loop with a directory and links to other gateways, 1 to n, all of which permit to
// be left out.
func narrowLoop(tb testing.TB, n int) *loop {
	tb.Helper()
	d, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	g := newGate(tb, Config{ID: 1 << 20, Loops: 1, Directory: d, Logger: slog.New(slog.DiscardHandler)}).g
	l := g.loops[0]
	for id := range uint32(n) {
		l.peers[id+1] = newPeer(l, link.Peer{ID: id + 1, Addr: "simulated"}, func() {})
		l.narrow.sender.AddGateway(id + 1)
		l.narrow.sender.Permit(l.narrow.now(), id+1, 1, l.narrow.now())
	}
	return l
}

// learnHolders has a loop learn that gateways 1 to n hold a group.
func (l *loop) learnHolders(group string, n int) {
	s := l.narrow.sender
	s.Narrow(l.narrow.now(), directory.Group, [][]byte{[]byte(group)})
	var ids []uint32
	for id := range uint32(n) {
		ids = append(ids, id+1)
	}
	for _, set := range s.TakeWanted(l.narrow.now()) {
		s.Located(l.narrow.now(), set, ids, narrow.Token(1))
	}
}

func toGroup(group string, size int) *link.Frame {
	return &link.Frame{Type: link.Publish, Flags: link.FlagText | link.FlagFar, Code: link.TargetGroups,
		Payload: append(link.AppendIDs[link.ClientID](link.AppendList(nil, []string{group}), nil), make([]byte, size)...)}
}

// A message to a group that 3 of 100 other gateways hold is passed on three times. One to clients
// goes to their gateways. One to everybody, and an eviction, go to all.
func TestThreeOfAHundredGateways(t *testing.T) {
	t.Parallel()
	l := narrowLoop(t, 100)
	l.learnHolders("g", 3)
	ids := []string{}
	for _, gateway := range []uint32{7, 9, 7} {
		id := link.MakeClientID(gateway, 0, 1, 1)
		ids = append(ids, string(id[:]))
	}
	clients := append(link.AppendIDs[link.ClientID](link.AppendList(nil, ids), nil), "text"...)
	for name, c := range map[string]struct {
		f    *link.Frame
		want uint64
	}{
		"a group":            {toGroup("g", 128), 3},
		"an unknown group":   {toGroup("unknown", 128), 100},
		"clients":            {&link.Frame{Type: link.Publish, Code: link.TargetClients, Payload: clients}, 2},
		"the end of a group": {&link.Frame{Type: link.Dissolve, Payload: []byte("g")}, 3},
		"everybody":          {toAllClients(), 100},
		"an eviction":        {&link.Frame{Type: link.Evict, Payload: []byte("u")}, 100},
	} {
		before := l.stats.Relayed
		if l.relayToAll(origin{}, c.f); l.stats.Relayed-before != c.want {
			t.Errorf("%s: passed on to %d gateways, want %d", name, l.stats.Relayed-before, c.want)
		}
	}
	if s := l.snapshot(); s.SendsNarrowed != 2 || s.GatewaysSpared != 2*97 || s.SendsWidenedUnknown != 2 {
		t.Errorf("%+v", s.NarrowStats)
	}
	l.narrow = nil
	for f, want := range map[*link.Frame]uint64{
		{Type: link.Publish, Code: link.TargetClients, Payload: clients}: 2, toGroup("g", 128): 100,
	} {
		before := l.stats.Relayed
		if l.relayToAll(origin{}, f); l.stats.Relayed-before != want {
			t.Errorf("without a directory: passed on to %d gateways, want %d", l.stats.Relayed-before, want)
		}
	}
}

func toAllClients() *link.Frame {
	return &link.Frame{Type: link.Publish, Payload: append(link.AppendIDs[link.ClientID](link.AppendList[string](nil, nil),
		nil), "text"...)}
}

// What the loop of a client does for a message to a group that some of the other gateways hold:
// choose them and copy it to their outboxes.
func BenchmarkRelayToGroup(b *testing.B) {
	for _, gateways := range []int{10, 100, 1000} {
		for _, holders := range []int{1, 3, 10, 100, 1000} {
			if holders > gateways {
				continue
			}
			b.Run(fmt.Sprintf("gateways=%d/holders=%d", gateways, holders), func(b *testing.B) {
				l := narrowLoop(b, gateways)
				l.learnHolders("group", holders)
				f := toGroup("group", 128)
				l.relayToAll(origin{}, f)
				frames := l.stats.Relayed
				bytes := 0
				for _, p := range l.peers {
					bytes += p.out.size()
				}
				n := 0
				for b.Loop() {
					if n++; n%256 == 0 { // the permits and the set stay valid
						for id, p := range l.peers {
							p.out = outbox{buf: p.out.buf[:0], first: 1, next: 1}
							l.narrow.sender.Permit(l.narrow.now(), id, 1, l.narrow.now())
						}
					}
					l.relayToAll(origin{}, f)
				}
				b.ReportMetric(float64(frames), "frames/op")
				b.ReportMetric(float64(bytes), "wire-B/op")
			})
		}
	}
}

// The first unit of a client that has connected with a uid waits until the uid is visible, and then
// until the groups that it joins are.
func TestAUnitWaitsForTheUIDAndItsGroups(t *testing.T) {
	t.Parallel()
	x := newNarrowGate(t, 1)
	l := x.loop
	x.narrows() // not in doubt any more
	s := &session{lis: x.lis}
	client := x.sim.Open(0, netip.AddrPort{}, s, engine.ConnOptions{MaxInput: 1 << 10, MaxOutput: 1 << 10})
	k := newWorkerLink(l, link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}})
	worker := x.sim.Open(0, netip.AddrPort{}, k,
		engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true})
	x.sim.Turn(0)
	l.members.Bind(&s.member, "u", 1)
	l.narrow.opened(s)
	slot, token := s.delivery.Slot, s.token()
	effects := link.Append(nil, &link.Frame{Type: link.Join, Slot: slot, Token: token, Payload: []byte("g")})
	effects = link.Append(effects, &link.Frame{Type: link.Send, Slot: slot, Token: token, Payload: []byte("hi")})
	worker.Send(link.Append(nil, &link.Frame{Type: link.Unit, Slot: slot, Token: token, Payload: effects}))
	for worker.Read(1 << 20) {
	}
	for _, waitsFor := range []string{"the uid", "the group"} {
		if x.sim.Turn(0); l.members.HasGroup("g") || len(client.Take()) > 0 || l.narrow.parking.bytes == 0 {
			t.Fatalf("the unit does not wait for %s", waitsFor)
		}
		x.narrows()
		l.narrow.takeNotices()
	}
	x.sim.Turn(0)
	if !l.members.HasGroup("g") || len(client.Take()) == 0 || s.delivery.Entry() != delivery.Admitted ||
		l.narrow.parking.bytes != 0 || len(l.narrow.parking.of)+len(l.narrow.parking.client) > 0 {
		t.Errorf("in the group: %v; %+v", l.members.HasGroup("g"), l.narrow.parking)
	}
}

// A command that makes a client of another loop a member needs the set until it is done. The set is
// visible then, although the doubt has ended meanwhile, or the set would have left the directory.
func TestAJoinOnItsWayHoldsItsSet(t *testing.T) {
	t.Parallel()
	set := directory.Set{Kind: link.SetGroup, Name: "g"}
	doubt := func(x narrowGate) func() { return x.narrows }
	lingering := func(x narrowGate) func() {
		x.narrows()
		x.g.interest.hold(set)
		x.narrows()
		x.g.interest.release(set)
		return func() {
			x.g.started = x.g.started.Add(-lingers)
			x.narrows()
		}
	}
	for name, state := range map[string]func(narrowGate) func(){"in doubt": doubt, "without members": lingering} {
		for _, way := range []string{"plain", "unit", "relay"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				x := newNarrowGate(t, 2)
				options := engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 20, Retain: true}
				client := &session{lis: x.lis}
				x.sim.Open(1, netip.AddrPort{}, client, options)
				hello := link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: window, ID: [16]byte{1}}
				worker := x.sim.Open(0, netip.AddrPort{}, newWorkerLink(x.loop, hello), options)
				other := x.sim.Open(0, netip.AddrPort{}, newInLink(x.loop, link.WorkerHello{Role: link.RolePeer}), options)
				x.sim.Settle()
				join := link.Frame{
					Type: link.Join, Code: 1, Slot: client.delivery.Slot, Token: client.token(), Payload: []byte("g"),
				}
				meanwhile := state(x)
				switch way {
				case "plain":
					join.Flags, join.ID = link.FlagResult, 1
					worker.Send(link.Append(nil, &join))
				case "unit":
					unit := link.Frame{Type: link.Unit, Flags: link.FlagEarly, Payload: link.Append(nil, &join)}
					worker.Send(link.Append(nil, &unit))
				case "relay":
					other.Send(link.Append(nil, &link.Frame{Type: link.Relay, Token: 1, Payload: link.Append(nil, &join)}))
				}
				for _, p := range []*enginetest.Peer{worker, other} {
					for p.Read(1 << 20) {
					}
				}
				x.sim.Turn(0)
				if meanwhile(); x.g.interest.token() == 0 || x.g.loops[1].members.HasGroup("g") {
					t.Fatal("in doubt, or the join is not on its way")
				}
				x.sim.Turn(1)
				if !x.g.loops[1].members.HasGroup("g") || !x.g.interest.hold(set) {
					t.Errorf("in the group: %v, which is not visible", x.g.loops[1].members.HasGroup("g"))
				}
			})
		}
	}
}

// A join that is lost with the outbox does not keep messages to its group wide for ever.
func TestALostJoinIsNotAwaited(t *testing.T) {
	t.Parallel()
	l := narrowLoop(t, 2)
	l.learnHolders("g", 1)
	p := l.peers[2]
	join := link.Frame{Type: link.Join, Payload: []byte("g")}
	p.push(origin{}, &join)
	l.narrow.relayed(p, &join)
	l.learnHolders("g", 1)
	widened := func() bool {
		before := l.narrow.sender.WidenedJoining
		l.relayToAll(origin{}, toGroup("g", 1))
		return l.narrow.sender.WidenedJoining > before
	}
	if !widened() {
		t.Error("a message overtakes a join")
	}
	p.giveUp()
	if widened() {
		t.Error("messages still wait for a join that is lost")
	}
}

// narrowGate is a gateway with a directory that it calls when the test says so.
type narrowGate struct {
	gate
	t    *testing.T
	loop *loop
}

func newNarrowGate(t *testing.T, loops int) narrowGate {
	t.Helper()
	d, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	x := newGate(t, Config{ID: 1 << 20, Loops: loops, Directory: d, Logger: slog.New(slog.DiscardHandler)})
	return narrowGate{x, t, x.g.loops[0]}
}

// narrows makes the next call of the directory.
func (x narrowGate) narrows() {
	x.t.Helper()
	if _, ok := x.g.interest.update(x.t.Context()); !ok {
		x.t.Fatal("the directory has not answered")
	}
}

// While the directory is down, for however long, sets without members go: what the gateway keeps
// is bounded by its clients, and not by how many have come and gone.
func TestSetsGoDuringAnOutage(t *testing.T) {
	t.Parallel()
	x := newNarrowGate(t, 1)
	x.g.cfg.Directory.Close()
	n := x.g.interest
	n.hold(directory.Set{Kind: directory.Group, Name: "stays"})
	for i := range 300_000 {
		set := directory.Set{Kind: directory.UID, Name: fmt.Sprint("guest", i)}
		n.hold(set)
		n.release(set)
		if i%5_000 == 0 {
			_, _ = n.update(t.Context())
		}
	}
	const most = 65_536 + 10_000 + 1 // as the table of bounds says, and what came since the last call
	if held, queued := n.holder.Len(), n.holder.Queued(); held > most || queued > most {
		t.Errorf("holds %d sets, and %d wait; want at most %d", held, queued, most)
	}
	x.g.started = x.g.started.Add(-lingers)
	for range 200 {
		_, _ = n.update(t.Context())
	}
	if held, queued := n.holder.Len(), n.holder.Queued(); held != 1 || queued != 1 {
		t.Errorf("holds %d sets, and %d wait; want the one that has a member", held, queued)
	}
}

// lingers is a time after which a set without members has left.
const lingers = 11 * time.Second

// Joins that never pause do not keep sets without members in memory and in the directory.
func TestSetsGoWhileOthersCome(t *testing.T) {
	t.Parallel()
	x := newNarrowGate(t, 1)
	x.narrows() // not in doubt any more
	n := x.g.interest
	const came = 100_000
	for i := range came {
		set := directory.Set{Kind: directory.UID, Name: fmt.Sprint("guest", i)}
		n.hold(set)
		n.release(set)
	}
	const calls = 400
	for i := range calls {
		n.hold(directory.Set{Kind: directory.UID, Name: fmt.Sprint("comes", i)})
		x.narrows()
	}
	if held, most := n.holder.Len(), 65_536+calls; held > most {
		t.Errorf("holds %d sets, want at most %d", held, most)
	}
	if got := n.holder.Entries; got < calls/2 {
		t.Errorf("%d of %d sets were entered", got, calls)
	}
}

// What a loop asks the directory for while a call runs is one call, also if each message was to
// another group.
func TestLookupsShareACall(t *testing.T) {
	t.Parallel()
	l := narrowLoop(t, 2)
	n := l.g.interest
	const groups = 2 * maxEntries
	for i := range groups {
		l.relayToAll(origin{}, toGroup(fmt.Sprint("g", i), 1))
	}
	if len(n.lookups) != 1 || len(n.lookups[0].sets) != groups {
		t.Fatalf("%d lookups for %d groups", len(n.lookups), groups)
	}
	n.lookup(t.Context(), &n.lookups[0])
	l.narrow.takeNotices()
	if known := l.narrow.sender.Len(); known != groups {
		t.Errorf("%d of %d groups are known", known, groups)
	}
}
