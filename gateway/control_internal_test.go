package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A walk looks at no more than its portion of clients in one turn of a loop, however few of them
// fit. It takes at most as many as it may, and goes on where it stopped.
func TestWalksPause(t *testing.T) {
	t.Parallel()
	g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	l := g.g.loops[0]
	const clients = 2*scanSlots + 100
	for range clients {
		g.sim.Open(0, netip.MustParseAddrPort("192.0.2.7:99"), &session{lis: g.lis}, engine.ConnOptions{})
	}
	g.sim.Settle()
	if n := l.members.Len(); n != clients {
		t.Fatalf("%d clients", n)
	}
	last := &l.sessions[clients-1].member
	l.members.Bind(last, "rare", 1)
	for i := range 2000 {
		l.members.Join(&l.sessions[0].member, fmt.Sprint(i))
	}
	walk := func(f ClientFilter, most int) (turns, taken, worst int) {
		for p := (scanned{}); !p.done; turns++ {
			before := p.next
			p = scan(l, p.next, newFilter(f), most, func(*session) { taken++ })
			worst = max(worst, int(p.next-before))
		}
		return turns, taken, worst
	}
	for _, c := range []struct {
		filter             ClientFilter
		most, turns, taken int
	}{
		{ClientFilter{}, math.MaxInt, 3, clients},
		{ClientFilter{}, 100, (clients + 99) / 100, clients},
		{ClientFilter{UID: "rare"}, 100, 3, 1},
		{ClientFilter{UID: "nobody"}, 100, 1, 0},
		{ClientFilter{Group: "1999"}, 100, 3, 1},
		{ClientFilter{Addr: netip.MustParsePrefix("192.0.2.9/24")}, math.MaxInt, 3, clients},
		{ClientFilter{Addr: netip.MustParsePrefix("192.0.2.9/32")}, math.MaxInt, 3, 0},
		{ClientFilter{Port: 98}, math.MaxInt, 3, 0},
	} {
		turns, taken, worst := walk(c.filter, c.most)
		if turns != c.turns || taken != c.taken || worst > scanSlots {
			t.Errorf("%+v: %d turns, %d taken, at most %d in a turn", c.filter, turns, taken, worst)
		}
	}
	turns, names := 0, 0
	for next, done := uint32(0), false; !done; turns++ {
		next, done = scanNames(l, next, func(string) { names++ })
	}
	if names != 2000 || turns < clients*4/scanGroups {
		t.Errorf("%d names in %d turns", names, turns)
	}
}

// A list of names keeps the first ones after a name, in order, and each once.
func TestGroupNames(t *testing.T) {
	t.Parallel()
	n := groupNames{after: "b", prefix: "", most: 3}
	for _, some := range []string{"c d e", "a b c", "d bb z", "f bc"} {
		var fit []string
		for name := range strings.FieldsSeq(some) {
			if n.fits(name, n.last()) {
				fit = append(fit, name)
			}
		}
		n.add(fit)
	}
	if got := fmt.Sprint(n.list); got != "[bb bc c]" {
		t.Error(got)
	}
}

// A target names exactly one thing.
func TestTarget(t *testing.T) {
	t.Parallel()
	id := link.MakeClientID(1, 2, 3, 4)
	for _, c := range []struct {
		target Target
		ok     bool
	}{
		{Target{}, false}, {Target{All: true}, true}, {Target{UID: "a"}, true}, {Target{Group: "a"}, true},
		{Target{Client: id.String()}, true}, {Target{Client: "x"}, false}, {Target{UID: "a", Group: "a"}, false},
		{Target{UID: strings.Repeat("u", link.MaxKey)}, true}, {Target{UID: strings.Repeat("u", link.MaxKey+1)}, false},
	} {
		got, err := c.target.check()
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrTarget) || c.ok && c.target.Client != "" && got != id {
			t.Errorf("%+v: %v, %v", c.target, got, err)
		}
	}
}

// A cursor is the position that it was made of. Others are refused.
func TestCursor(t *testing.T) {
	t.Parallel()
	for _, want := range []position{{}, {1, 1}, {255, math.MaxUint32}} {
		if got, err := parseCursor(want.String()); got != want || err != nil {
			t.Errorf("%v: %v, %v", want, got, err)
		}
	}
	for _, s := range []string{"x", "AAAA", "AAAAAAAA", "AAAAA A"} {
		if _, err := parseCursor(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

// Before Run nothing can be asked.
func TestControlBeforeRun(t *testing.T) {
	t.Parallel()
	g, err := New(Config{Listeners: []ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, id := g.Control(), link.MakeClientID(g.cfg.ID, 0, 0, 1).String()
	var all [7]error
	_, all[0] = c.Clients(t.Context(), ClientFilter{}, 0, "")
	_, all[1] = c.Client(t.Context(), id)
	_, _, all[2] = c.Groups(t.Context(), "", "", 0)
	_, all[3] = c.Workers(t.Context())
	_, all[4] = c.Kick(t.Context(), Target{UID: "a"}, 0, "")
	_, all[5] = c.Publish(t.Context(), Target{All: true}, Announcement{})
	all[6] = g.Readiness()
	for i, err := range all {
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("%d: %v", i, err)
		}
	}
}
