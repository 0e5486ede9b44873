package gateway

import (
	"context"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// lossLogEvery is the interval at which a gateway logs what it has refused, dropped or closed.
const lossLogEvery = 10 * time.Second

// loss is a counter with its key in the log, the counter's name in kebab-case.
type loss struct {
	name string
	of   func(*Stats) uint64
}

// losses are the counters of what was not delivered or not accepted. A test lists the counters of
// Stats that are not among them. Clients closed for a protocol error or as idle are not counted
// here. handshakes-rejected includes origins-rejected, requests-too-large, pages-rejected and
// clients refused by an overloaded loop.
var losses = []loss{
	{"messages-rejected", func(s *Stats) uint64 { return s.MessagesRejected }},
	{"dead-lettered", func(s *Stats) uint64 { return s.DeadLettered }},
	{"encode-errors", func(s *Stats) uint64 { return s.EncodeErrors }},
	{"invalid-texts", func(s *Stats) uint64 { return s.InvalidTexts }},
	{"conflated", func(s *Stats) uint64 { return s.Conflated }},
	{"dropped-oldest", func(s *Stats) uint64 { return s.DroppedOldest }},
	{"dropped-newest", func(s *Stats) uint64 { return s.DroppedNewest }},
	{"attrs-rejected", func(s *Stats) uint64 { return s.AttrsRejected }},
	{"commands-dropped", func(s *Stats) uint64 { return s.CommandsDropped }},
	{"joins-rejected", func(s *Stats) uint64 { return s.JoinsRejected }},
	{"queries-rejected", func(s *Stats) uint64 { return s.QueriesRejected }},
	{"queries-partial", func(s *Stats) uint64 { return s.QueriesPartial }},
	{"invocations-rejected", func(s *Stats) uint64 { return s.InvocationsRejected }},
	{"invocation-errors", func(s *Stats) uint64 { return s.InvocationErrors }},
	{"invocation-timeouts", func(s *Stats) uint64 { return s.InvocationTimeouts }},
	{"reports-rejected", func(s *Stats) uint64 { return s.ReportsRejected }},
	{"report-errors", func(s *Stats) uint64 { return s.ReportErrors }},
	{"detaches-undelivered", func(s *Stats) uint64 { return s.DetachesUndelivered }},
	{"half-closes-unanswered", func(s *Stats) uint64 { return s.HalfClosesUnanswered }},
	{"slow-consumer-closes", func(s *Stats) uint64 { return s.SlowConsumerCloses }},
	{"write-timeout-closes", func(s *Stats) uint64 { return s.WriteTimeoutCloses }},
	{"memory-limit-closes", func(s *Stats) uint64 { return s.MemoryLimitCloses }},
	{"partial-evictions", func(s *Stats) uint64 { return s.PartialEvictions }},
	{"peer-errors", func(s *Stats) uint64 { return s.PeerErrors }},
	{"message-timeouts", func(s *Stats) uint64 { return s.MessageTimeouts }},
	{"first-message-timeouts", func(s *Stats) uint64 { return s.FirstMessageTimeouts }},
	{"handshakes-rejected", func(s *Stats) uint64 { return s.HandshakesRejected }},
	{"origins-rejected", func(s *Stats) uint64 { return s.OriginsRejected }},
	{"requests-too-large", func(s *Stats) uint64 { return s.RequestsTooLarge }},
	{"upgrades-rejected", func(s *Stats) uint64 { return s.UpgradesRejected }},
	{"upgrade-errors", func(s *Stats) uint64 { return s.UpgradeErrors }},
	{"upgrade-timeouts", func(s *Stats) uint64 { return s.UpgradeTimeouts }},
	{"refreshes-rejected", func(s *Stats) uint64 { return s.RefreshesRejected }},
	{"expired", func(s *Stats) uint64 { return s.Expired }},
	{"connections-rejected", (*Stats).refusedConnections},
	{"handshake-timeouts", func(s *Stats) uint64 { return s.HandshakeTimeouts }},
	{"tls-handshakes-failed", tlsHandshakes(func(s *engine.TLSStats) uint64 { return s.Failed })},
	{"tls-handshakes-timed-out", tlsHandshakes(func(s *engine.TLSStats) uint64 { return s.TimedOut })},
	{"tls-handshakes-evicted", tlsHandshakes(func(s *engine.TLSStats) uint64 { return s.Evicted })},
	{"tls-handshakes-over-rate", tlsHandshakes(func(s *engine.TLSStats) uint64 { return s.OverRate })},
	{"tls-errors", func(s *Stats) uint64 { return s.TLSErrors }},
	{"pages-rejected", func(s *Stats) uint64 { return s.PagesRejected }},
	{"page-errors", func(s *Stats) uint64 { return s.PageErrors }},
	{"page-timeouts", func(s *Stats) uint64 { return s.PageTimeouts }},
	{"link-overflows", func(s *Stats) uint64 { return s.LinkOverflows }},
	{"worker-auth-failures", func(s *Stats) uint64 { return s.WorkerAuthFailures }},
	{"mailbox-rejects", func(s *Stats) uint64 { return s.MailboxRejects }},
	{"panics", func(s *Stats) uint64 { return s.Panics }},
}

// refusedConnections are the connections refused by a limit of their listener, those that did not
// reach a loop, and those that got no slot.
func (s *Stats) refusedConnections() uint64 {
	n := s.SlotsExhausted
	for _, l := range s.Listeners {
		n += l.OverMaxConns + l.OverMaxPerIP + l.OverRate + l.Failed + l.ProxyHeadersInvalid + l.ProxiesUntrusted
	}
	return n
}

// tlsHandshakes returns the sum of a counter of TLS handshakes over all listeners.
func tlsHandshakes(of func(*engine.TLSStats) uint64) func(*Stats) uint64 {
	return func(s *Stats) (n uint64) {
		for i := range s.Listeners {
			n += of(&s.Listeners[i].TLS)
		}
		return n
	}
}

// lossLog logs the losses, in one line if there were any.
type lossLog struct {
	g      *Gateway
	logged []uint64 // by index in losses
}

func newLossLog(g *Gateway) *lossLog { return &lossLog{g, make([]uint64, len(losses))} }

// runUntil logs the losses every lossLogEvery until ctx ends.
func (t *lossLog) runUntil(ctx context.Context) {
	tick := time.NewTicker(lossLogEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.log()
		}
	}
}

func (t *lossLog) log() {
	var lost []any
	stats := t.g.Stats()
	for i, l := range losses {
		if n := l.of(&stats); n > t.logged[i] {
			lost = append(lost, l.name, n-t.logged[i])
			t.logged[i] = n
		}
	}
	if len(lost) > 0 {
		t.g.log.Warn("losses since the last such line", lost...)
	}
}
