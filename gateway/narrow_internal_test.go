package gateway

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

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
	g.started, g.interest = time.Now(), newInterest(g, 1)
	l := g.loops[0]
	l.narrow = newNarrowing(l, g.interest)
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
