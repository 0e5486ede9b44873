package gateway

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// notLost are the counters that do not count losses: clients and messages that came and went, what
// waits, and what is logged elsewhere.
var notLost = []string{
	"Accepted", "Opened", "Closed", "MessagesIn", "MessagesOut", "QueuedTotal", "ReadPauses", "QueueFull",
	"InboxBackpressure", "RateLimited", "Pages", "Probes", "OverloadEvents", "Invocations", "Reports",
	"Redelivered", "Relayed", "ClaimsResent", "UnackedAtLinkLoss", // they come, or have come, nevertheless
	"WorkersBehind",               // its clients go to other workers
	"ClientsMoved",                // they go to other workers
	"StaleTargets",                // a message may cross its receiver's end at any time
	"HalfClosed", "CloseTimeouts", // they were told
	"LoadShed",       // included in HandshakesRejected
	"UpgradesQueued", // they had their turn, or are included in UpgradeTimeouts
	"Refreshed",
	"SendsNarrowed", "GatewaysSpared", "SendsWidenedUnknown", "SendsWidenedUnavailable", "SendsWidenedJoining",
	"SendsWidenedDoubt", "SetsLocated", "SetsForgotten", "UnitsParked", "LookupTimeouts", "SetEntries", "SetInformings",
	"ClaimsCompared", "ClaimsPosted", "ClaimsFetched",
	"Doubts",                               // each message goes to all gateways meanwhile
	"ForwardedIgnored", "ForwardedInvalid", // they are served with another address
	"TakeoversRejected", // they compress without context takeover
}

// counters calls f for each counter of the figures.
func counters(figures reflect.Value, f func(name string, n reflect.Value)) {
	for i := range figures.NumField() {
		switch field, n := figures.Type().Field(i), figures.Field(i); {
		case field.Anonymous:
			counters(n, f)
		case n.Kind() == reflect.Uint64 || n.Kind() == reflect.Int:
			f(field.Name, n)
		}
	}
}

// Every counter of rejected, dropped or closed things is in the log.
func TestEveryLossIsLogged(t *testing.T) {
	t.Parallel()
	var stats Stats
	counters(reflect.ValueOf(&stats).Elem(), func(name string, n reflect.Value) {
		if n.Kind() != reflect.Uint64 {
			return
		}
		n.SetUint(1)
		told := slices.ContainsFunc(losses, func(l loss) bool { return l.of(&stats) > 0 })
		n.SetUint(0)
		if no := slices.Contains(notLost, name); told == no {
			t.Errorf("%s: is no loss: %v, is told as one: %v", name, no, told)
		}
	})
}

// Every figure of the loops is in the sums.
func TestSumsHaveAllFigures(t *testing.T) {
	t.Parallel()
	one := LoopStats{ClosesByReason: map[string]uint64{"peer": 1}}
	counters(reflect.ValueOf(&one).Elem(), func(_ string, n reflect.Value) {
		if n.Kind() == reflect.Uint64 {
			n.SetUint(1)
		} else {
			n.SetInt(1)
		}
	})
	var sum LoopStats
	sum.add(one)
	sum.add(one)
	counters(reflect.ValueOf(sum), func(name string, n reflect.Value) {
		if n.CanUint() && n.Uint() != 2 || n.CanInt() && n.Int() != 2 {
			t.Errorf("the sum of %s is %v", name, n)
		}
	})
	if sum.ClosesByReason["peer"] != 2 {
		t.Errorf("the sum of Ends is %v", sum.ClosesByReason)
	}
}

// A link whose worker does not read is not a slow client, and has its own counter.
func TestALinkThatOverflowsIsNoClient(t *testing.T) {
	t.Parallel()
	g := newGate(t, Config{Loops: 1, Logger: slog.New(slog.DiscardHandler)})
	l := g.g.loops[0]
	k := newWorkerLink(l, link.WorkerHello{Role: link.RoleWorker, Window: 1 << 16, ID: [16]byte{1}})
	peer := g.sim.Open(0, netip.AddrPort{}, k, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 1 << 10,
		Retain: true, ExcludeFromBudget: true})
	peer.Limit(0)
	g.sim.Settle()
	for range 1 << 20 / link.HeaderSize {
		peer.Send(link.Append(nil, &link.Frame{Type: link.Ping, ID: 1}))
	}
	for peer.Read(64 << 10) {
		g.sim.Turn(0)
	}
	g.sim.Settle()
	if s := l.snapshot(); s.LinkOverflows != 1 || s.SlowConsumerCloses != 0 || s.Links != 0 {
		t.Errorf("%+v", s.LoopStats)
	}
}
