package gateway

import (
	"context"
	"time"
)

// tellEvery is how often a gateway says in its log what has been refused, dropped or cut meanwhile.
const tellEvery = 10 * time.Second

// loss is a counter by its name in the log.
type loss struct {
	name string
	of   func(*Stats) uint64
}

// losses are the counters of what did not come whole or at all, all that Stats has but those that a test names as none. Who sent what the
// protocol forbids, or was idle, is none. origins-refused, requests-too-large, those of upgrades and pages-refused are among clients-refused, as are those that were turned away.
var losses = []loss{
	{"messages-refused", func(s *Stats) uint64 { return s.Refused }},
	{"messages-poisoned", func(s *Stats) uint64 { return s.Poisoned }},
	{"messages-unsendable", func(s *Stats) uint64 { return s.Unsendable }},
	{"texts-not-utf8", func(s *Stats) uint64 { return s.InvalidTexts }},
	{"messages-replaced-by-newer", func(s *Stats) uint64 { return s.Conflated }},
	{"messages-dropped-oldest", func(s *Stats) uint64 { return s.DroppedOldest }},
	{"messages-dropped-newest", func(s *Stats) uint64 { return s.DroppedNewest }},
	{"attributes-refused", func(s *Stats) uint64 { return s.AttrsRefused }},
	{"elsewhere-unreached", func(s *Stats) uint64 { return s.Unreached }},
	{"groups-refused", func(s *Stats) uint64 { return s.GroupsRefused }},
	{"questions-refused", func(s *Stats) uint64 { return s.QuestionsRefused }},
	{"questions-cut", func(s *Stats) uint64 { return s.QuestionsCut }},
	{"ends-unheard", func(s *Stats) uint64 { return s.Unheard }},
	{"clients-unanswered", func(s *Stats) uint64 { return s.Unanswered }},
	{"clients-cut-slow", func(s *Stats) uint64 { return s.SlowCloses }},
	{"clients-cut-stalled", func(s *Stats) uint64 { return s.StallCloses }},
	{"clients-cut-for-memory", func(s *Stats) uint64 { return s.BudgetCloses + s.PartialCut }},
	{"clients-closed-over-what-they-got", func(s *Stats) uint64 { return s.PeerErrors }},
	{"clients-cut-unfinished", func(s *Stats) uint64 { return s.Unfinished }},
	{"clients-cut-mute", func(s *Stats) uint64 { return s.Mute }},
	{"clients-refused", func(s *Stats) uint64 { return s.Refusals }},
	{"origins-refused", func(s *Stats) uint64 { return s.Foreign }},
	{"requests-too-large", func(s *Stats) uint64 { return s.RequestsTooLarge }},
	{"upgrades-rejected", func(s *Stats) uint64 { return s.UpgradesRejected }},
	{"upgrades-failed", func(s *Stats) uint64 { return s.UpgradeErrors }},
	{"upgrades-timed-out", func(s *Stats) uint64 { return s.UpgradeTimeouts }},
	{"connections-refused", (*Stats).refusedConnections},
	{"handshakes-cut", func(s *Stats) uint64 { return s.HandshakesCut }},
	{"pages-refused", func(s *Stats) uint64 { return s.PagesRefused }},
	{"pages-failed", func(s *Stats) uint64 { return s.PagesFailed }},
	{"pages-cut", func(s *Stats) uint64 { return s.PagesCut }},
	{"links-cut-slow", func(s *Stats) uint64 { return s.LinkOverflows }},
	{"peers-refused", func(s *Stats) uint64 { return s.RefusedPeers }},
	{"mailbox-rejects", func(s *Stats) uint64 { return s.MailboxRejects }},
	{"panics", func(s *Stats) uint64 { return s.Panics }},
}

// refusedConnections are those that a limit of their listener's kept out, that were lost on the way to a loop, or for which that had no slot.
func (s *Stats) refusedConnections() uint64 {
	n := s.SlotsRefused
	for _, l := range s.Listeners {
		n += l.OverMaxConns + l.OverMaxPerIP + l.OverRate + l.Failed
	}
	return n
}

// teller puts losses into the log: a line when there have been any.
type teller struct {
	g    *Gateway
	told []uint64 // as losses
}

func newTeller(g *Gateway) *teller { return &teller{g, make([]uint64, len(losses))} }

// until tells every tellEvery, until ctx ends.
func (t *teller) until(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.tell()
		}
	}
}

func (t *teller) tell() {
	var lost []any
	stats := t.g.Stats()
	for i, l := range losses {
		if n := l.of(&stats); n > t.told[i] {
			lost = append(lost, l.name, n-t.told[i])
			t.told[i] = n
		}
	}
	if len(lost) > 0 {
		t.g.log.Warn("refused, dropped or cut since this was last told", lost...)
	}
}
