package gateway

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
)

// The order in which clients are closed: by address, by bytes held, by age; and as many at once as
// one pass closes.
func TestClientsThatHoldMostAreClosedFirst(t *testing.T) {
	t.Parallel()
	type client struct {
		from  string
		holds int
		begun uint32
	}
	many := func(n int, c client) []client { return slices.Repeat([]client{c}, n) }
	for name, c := range map[string]struct {
		clients []client
		want    []int // in order
	}{
		"one address: most": {[]client{{"192.0.2.1:1", 300, 1}, {"192.0.2.1:2", 500, 9}, {"192.0.2.1:3", 400, 2}},
			[]int{1}},
		"equals: longest": {[]client{{"192.0.2.1:1", 400, 3}, {"192.0.2.1:2", 400, 2}, {"192.0.2.1:3", 400, 4}},
			[]int{1}},
		"many small ones of one": {append(many(30, client{"192.0.2.1:1", 30, 5}), client{"192.0.2.2:1", 400, 1}), nil},
		"one /64 is one address": {append(append(many(2, client{"[2001:db8::1]:1", 300, 5}),
			many(2, client{"[2001:db8::ffff:2]:1", 100, 5})...), client{"[2001:db8:0:1::1]:1", 301, 1}), []int{0}},
		"addresses by turns": {append(many(10, client{"192.0.2.1:1", 100, 5}),
			many(9, client{"192.0.2.2:1", 110, 5})...), nil},
		"within the bound":            {many(10, client{"192.0.2.1:1", 100, 5}), []int{}},
		"one alone may hold any much": {[]client{{"192.0.2.1:1", 5000, 1}}, []int{}},
		"the last one stays, too":     {[]client{{"192.0.2.1:1", 5000, 1}, {"192.0.2.1:2", 900, 1}}, []int{0}},
		"one that holds nothing stays": {[]client{{"192.0.2.1:1", 0, 1}, {"192.0.2.2:1", 600, 1}, {"192.0.2.2:2", 500, 1}},
			[]int{1}},
	} {
		g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
		l := g.g.loops[0]
		var all []*session
		for _, k := range c.clients {
			s := &session{lis: g.lis}
			g.sim.Open(0, netip.MustParseAddrPort(k.from), s, engine.ConnOptions{})
			l.seconds = k.begun
			s.startDeadline(k.holds, 0)
			all = append(all, s)
		}
		g.g.cfg.MaxPartialBytes = 1000
		l.trimPartial()
		var cut []int
		for i, s := range all {
			if s.phase == phaseEnding {
				cut = append(cut, i)
			}
		}
		if l.partial > 1000 && len(all)-len(cut) > 1 || l.stats.PartialEvictions != uint64(len(cut)) {
			t.Errorf("%s: %d bytes held, %d cut, %d counted", name, l.partial, len(cut), l.stats.PartialEvictions)
		}
		if c.want != nil && fmt.Sprint(cut) != fmt.Sprint(c.want) {
			t.Errorf("%s: cut %v, want %v", name, cut, c.want)
		}
		if name == "many small ones of one" && (slices.Contains(cut, 30) || l.partial > 875) {
			t.Errorf("%s: cut %v, %d held", name, cut, l.partial)
		}
	}
}

// BenchmarkTrimPartial is one pass over clients with incomplete messages.
func BenchmarkTrimPartial(b *testing.B) {
	for _, clients := range []int{1_000, 30_000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			g := newGate(b, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
			l := g.g.loops[0]
			for i := range clients {
				s := &session{lis: g.lis}
				from := netip.AddrFrom4([4]byte{10, byte(i >> 12), byte(i >> 4), 0})
				g.sim.Open(0, netip.AddrPortFrom(from, 1), s, engine.ConnOptions{})
				s.startDeadline(1000+i, 0)
			}
			b.ResetTimer()
			for b.Loop() {
				l.holders()
			}
		})
	}
}
