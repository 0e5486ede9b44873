package gateway

import (
	"context"
	"time"
)

// lossLogEvery is how often a gateway says in its log what has been refused, dropped or cut meanwhile.
const lossLogEvery = 10 * time.Second

// loss is a counter by its name in the log.
type loss struct {
	name string
	of   func(*Stats) uint64
}

// losses are the counters of what did not come whole or at all, all that Stats has but those that a test names as none. Who sent what the
// protocol forbids, or was idle, is none. origins-refused, requests-too-large and pages-refused are among clients-refused, as are those that were turned away.
var losses = []loss{
	{"messages-refused", func(s *Stats) uint64 { return s.MessagesRejected }},
	{"messages-poisoned", func(s *Stats) uint64 { return s.DeadLettered }},
	{"messages-unsendable", func(s *Stats) uint64 { return s.EncodeErrors }},
	{"texts-not-utf8", func(s *Stats) uint64 { return s.InvalidTexts }},
	{"messages-replaced-by-newer", func(s *Stats) uint64 { return s.Conflated }},
	{"messages-dropped-oldest", func(s *Stats) uint64 { return s.DroppedOldest }},
	{"messages-dropped-newest", func(s *Stats) uint64 { return s.DroppedNewest }},
	{"attributes-refused", func(s *Stats) uint64 { return s.AttrsRejected }},
	{"elsewhere-unreached", func(s *Stats) uint64 { return s.CommandsDropped }},
	{"groups-refused", func(s *Stats) uint64 { return s.JoinsRejected }},
	{"questions-refused", func(s *Stats) uint64 { return s.QueriesRejected }},
	{"questions-cut", func(s *Stats) uint64 { return s.QueriesPartial }},
	{"ends-unheard", func(s *Stats) uint64 { return s.DetachesUndelivered }},
	{"clients-unanswered", func(s *Stats) uint64 { return s.HalfClosesUnanswered }},
	{"clients-cut-slow", func(s *Stats) uint64 { return s.SlowConsumerCloses }},
	{"clients-cut-stalled", func(s *Stats) uint64 { return s.WriteTimeoutCloses }},
	{"clients-cut-for-memory", func(s *Stats) uint64 { return s.MemoryLimitCloses + s.PartialEvictions }},
	{"clients-closed-over-what-they-got", func(s *Stats) uint64 { return s.PeerErrors }},
	{"clients-cut-unfinished", func(s *Stats) uint64 { return s.MessageTimeouts }},
	{"clients-cut-mute", func(s *Stats) uint64 { return s.FirstMessageTimeouts }},
	{"clients-refused", func(s *Stats) uint64 { return s.HandshakesRejected }},
	{"origins-refused", func(s *Stats) uint64 { return s.OriginsRejected }},
	{"requests-too-large", func(s *Stats) uint64 { return s.RequestsTooLarge }},
	{"upgrades-rejected", func(s *Stats) uint64 { return s.UpgradesRejected }},
	{"upgrades-failed", func(s *Stats) uint64 { return s.UpgradeErrors }},
	{"upgrades-timed-out", func(s *Stats) uint64 { return s.UpgradeTimeouts }},
	{"connections-refused", (*Stats).refusedConnections},
	{"handshakes-cut", func(s *Stats) uint64 { return s.HandshakeTimeouts }},
	{"pages-refused", func(s *Stats) uint64 { return s.PagesRejected }},
	{"pages-failed", func(s *Stats) uint64 { return s.PageErrors }},
	{"pages-cut", func(s *Stats) uint64 { return s.PageTimeouts }},
	{"links-cut-slow", func(s *Stats) uint64 { return s.LinkOverflows }},
	{"peers-refused", func(s *Stats) uint64 { return s.WorkerAuthFailures }},
	{"mailbox-rejects", func(s *Stats) uint64 { return s.MailboxRejects }},
	{"panics", func(s *Stats) uint64 { return s.Panics }},
}

// refusedConnections are those that a limit of their listener's kept out, that were lost on the way to a loop, or for which that had no slot.
func (s *Stats) refusedConnections() uint64 {
	n := s.SlotsExhausted
	for _, l := range s.Listeners {
		n += l.OverMaxConns + l.OverMaxPerIP + l.OverRate + l.Failed
	}
	return n
}

// lossLog puts losses into the log: a line when there have been any.
type lossLog struct {
	g      *Gateway
	logged []uint64 // as losses
}

func newLossLog(g *Gateway) *lossLog { return &lossLog{g, make([]uint64, len(losses))} }

// runUntil tells every tellEvery, until ctx ends.
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
		t.g.log.Warn("refused, dropped or cut since this was last told", lost...)
	}
}
