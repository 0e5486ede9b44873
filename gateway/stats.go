package gateway

import (
	"context"
	"maps"
	"reflect"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// LoopStats counts what one loop has seen since it started; what is an int is as of now.
type LoopStats struct {
	Clients              int
	Pending              int               // of Clients: those that no worker has let in yet
	Workers              int               // that take new clients
	WorkersDraining      int               // that have clients still, or are about to go
	Links                int               // of all of these
	Closing              int               // connections of clients that the gateway has closed, and that have yet to take their last bytes or to answer the close
	QueuedBytes          int               // bytes of messages that wait for a worker or its credit
	Accepted             uint64            // connections
	Opened, Closed       uint64            // clients
	MessagesIn           uint64            // from clients
	MessagesOut          uint64            // from workers that a client's connection took: not what was dropped or could not be sent, nor what the gateway says by itself
	EncodeErrors         uint64            // messages that their client's format cannot carry: a line break in a line, what is no JSON in JSON
	InvalidTexts         uint64            // texts of workers that were not valid UTF-8 and went to clients with U+FFFD in place of what was not; a publish counts once on each loop
	PeerErrors           uint64            // of ClosesByReason "peer": WebSockets whose clients closed over what they were sent, with code 1002, 1003, 1007 or 1009; the log has the code
	QueuedTotal          uint64            // messages that had to wait
	MessagesRejected     uint64            // messages that no worker took in time, or past Config.MaxUnroutedBytes; their clients were told, if they were still there
	DetachesUndelivered  uint64            // clients whose end no worker came to hear of, or perhaps none
	WorkersBehind        uint64            // times that a worker got no more clients, for it had not acknowledged that 4,096 of its had gone
	UnackedAtLinkLoss    uint64            // sequenced frames on links that ended before they were acknowledged
	Redelivered          uint64            // messages among them
	DeadLettered         uint64            // messages, or comings and goings of clients, that ended each worker that got them and were set aside
	Relayed              uint64            // commands passed on to other gateways
	CommandsDropped      uint64            // commands lost that were for another gateway: it was away too long, or is gone and workers still name it, too much waited for it, or no worker knew it
	StaleTargets         uint64            // commands for clients that were gone: a message to one is not delivered
	AttrsRejected        uint64            // SETs that had no effect: the client would have had more than 1 MiB of attributes
	JoinsRejected        uint64            // JOINs that had no effect: the client is in as many groups as Config.MaxGroups and MaxGroupBytes let it
	QueriesRejected      uint64            // for too many waited for other loops
	QueriesPartial       uint64            // answered in part: a loop of the gateway has not answered in time
	ReadPauses           uint64            // times that a client's reads were paused
	QueueFull            uint64            // times that Config.MaxQueueBytes began to wait in the queues of a loop
	InboxBackpressure    uint64            // times that a link was paused because another loop was behind
	Pages                uint64            // plain HTTP requests given to ListenerConfig.Page
	PagesRejected        uint64            // of HandshakesRejected: pages, for there were 64 at once
	PageErrors           uint64            // their handler panicked, or made more than 512 KiB: 500
	PageTimeouts         uint64            // they were not there within 30 s
	HandshakesRejected   uint64            // handshakes and pages refused, and clients that came when the gateway was closing down or overloaded
	HandshakeTimeouts    uint64            // they took longer than Listener.HandshakeTimeout
	SlotsExhausted       uint64            // connections closed because their loop had 16,777,216 clients
	LoadShed             uint64            // of HandshakesRejected: clients that came when their loop was overloaded
	OriginsRejected      uint64            // of HandshakesRejected: WebSockets asked for by pages of foreign origins, and pages by names that are not the gateway's
	RequestsTooLarge     uint64            // of HandshakesRejected: WebSockets whose requests leave more to keep than Listener.MaxRequest
	Probes               uint64            // plain requests for /livez, /readyz and /healthz, answered
	FirstMessageTimeouts uint64            // clients cut because their first message did not come in time
	MessageTimeouts      uint64            // clients cut because a message of theirs was not whole in time
	PartialEvictions     uint64            // clients cut because too much waited for the rest of its messages
	CloseTimeouts        uint64            // WebSockets that did not answer a close frame in time
	HalfClosed           uint64            // clients that ended their side while they had answers to come
	HalfClosesUnanswered uint64            // of them those that were closed before all they had sent was answered
	RateLimited          uint64            // times that a client was not read because it had sent too fast
	PartialBytes         int               // bytes held now of messages that have not come whole
	MailboxRejects       uint64            // functions that the loop's mailbox had no room for
	Panics               uint64            // in callbacks; each but those of posted functions ends a connection
	TakeoverBytes        int               // bytes that may be kept now for clients with context takeover: 32 KiB each
	TakeoversRejected    uint64            // WebSockets opened without context takeover, because Config.MaxTakeoverBytes was reached
	ClosesByReason       map[string]uint64 // of connections, clients or not, by reason
	SlowConsumerStats
}

// Stats are a gateway's figures: the sums over its loops, and each loop's own. Each of Workers and
// WorkersDraining counts once in the sums, however many loops it has links to.
type Stats struct {
	LoopStats
	WorkerAuthFailures uint64          // on the inner port
	Loops              []LoopStats     // in the order of the loops
	Listeners          []ListenerStats // in the order of Config.Listeners
}

// ListenerStats are the figures of one listener, those of what it refused too.
type ListenerStats struct {
	URL string
	engine.ListenerStats
}

// Stats asks each loop for its figures. Of a loop that does not answer within a second, for it is
// busy or has stopped, they are those of its last answer: a counter never goes back. Any goroutine
// but a loop's may call it.
func (g *Gateway) Stats() Stats {
	ask(g, (*loop).tellStats)
	all := Stats{WorkerAuthFailures: g.authFailures.Load()}
	staff := make(map[stint]struct{})
	for _, l := range g.loops {
		s := l.answered.Load()
		if s == nil {
			s = new(snapshot)
		}
		stats := s.LoopStats
		stats.ClosesByReason = maps.Clone(s.ClosesByReason) // the caller's own
		all.Loops = append(all.Loops, stats)
		all.add(stats)
		for _, w := range s.staff {
			staff[w] = struct{}{}
		}
	}
	all.Workers, all.WorkersDraining = 0, 0
	for w := range staff {
		*all.workers(w.drains)++
	}
	for _, l := range g.listeners {
		all.Listeners = append(all.Listeners, ListenerStats{l.URL, l.ln.Stats()})
	}
	return all
}

// snapshot is a loop's last answer. It is not changed any more.
type snapshot struct {
	LoopStats
	staff []stint // whose links it has; bound: links that have proved
}

// stint is a worker, and whether it drains.
type stint struct {
	id     [16]byte
	drains bool
}

// workers is the figure that such a worker counts in.
func (s *LoopStats) workers(drain bool) *int {
	if drain {
		return &s.WorkersDraining
	}
	return &s.Workers
}

// answerTime is how long ask waits for the loops together.
const answerTime = time.Second

// ask runs f on each loop and returns what those say that answer in time; one that is busy may run f
// later.
func ask[T any](g *Gateway, f func(*loop) T) []T {
	answers := make([]chan T, 0, len(g.loops))
	for _, l := range g.loops {
		answer := make(chan T, 1)
		if l.el.Post(func() { answer <- f(l) }) == nil {
			answers = append(answers, answer)
		}
	}
	late, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	all := make([]T, 0, len(answers))
	for _, answer := range answers {
		select {
		case s := <-answer:
			all = append(all, s)
			continue
		case <-late.Done():
		}
		select {
		case s := <-answer:
			all = append(all, s)
		default:
		}
	}
	return all
}

// tellStats makes the loop's figures known, on the loop: a later answer never gives way to an
// earlier one.
func (l *loop) tellStats() struct{} {
	l.answered.Store(l.snapshot())
	return struct{}{}
}

func (l *loop) snapshot() *snapshot {
	s := &snapshot{LoopStats: l.stats}
	s.Clients = l.members.Len()
	s.Links = len(l.links)
	for _, k := range l.links {
		s.staff = append(s.staff, stint{k.hello.ID, k.draining})
		*s.workers(k.draining)++
	}
	s.Pending = l.asking
	s.Closing = l.closingConns
	s.QueuedBytes = l.held
	s.PartialBytes = l.partial
	s.TakeoverBytes = l.windows
	s.ClosesByReason = make(map[string]uint64)
	for reason, n := range l.ends {
		if n > 0 {
			s.ClosesByReason[link.Reason(reason).String()] = n
		}
	}
	e := l.el.Stats()
	s.MailboxRejects, s.Panics = e.MailboxRejects, e.Panics
	s.SlowConsumerStats = slowFigures(e)
	return s
}

// add adds the figures of one more loop.
func (s *LoopStats) add(o LoopStats) {
	addAll(reflect.ValueOf(s).Elem(), reflect.ValueOf(o))
	if s.ClosesByReason == nil {
		s.ClosesByReason = make(map[string]uint64)
	}
	for reason, n := range o.ClosesByReason {
		s.ClosesByReason[reason] += n
	}
}

// addAll adds each number of a struct, and of those within it, to the one in another.
func addAll(to, from reflect.Value) {
	for i := range from.NumField() {
		switch field, n := to.Field(i), from.Field(i); n.Kind() {
		case reflect.Int:
			field.SetInt(field.Int() + n.Int())
		case reflect.Uint64:
			field.SetUint(field.Uint() + n.Uint())
		case reflect.Struct:
			addAll(field, n)
		}
	}
}
