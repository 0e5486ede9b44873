package gateway

import (
	"maps"
	"reflect"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// LoopStats are the figures of one loop. A uint64 counts since the loop started. An int is the
// present value.
type LoopStats struct {
	Clients int
	// Pending are the clients that no worker has admitted yet. Clients includes them.
	Pending int
	// Workers are the workers that take new clients.
	Workers int
	// WorkersDraining are the workers that drain and still have a link.
	WorkersDraining int
	// Links are the links of all these workers.
	Links int
	// PublisherLinks are the links of publishers (package worker/publisher), one for each loop.
	PublisherLinks int
	// Closing are the connections of clients that the gateway has closed, and that have not taken
	// their last bytes or not answered the close.
	Closing int
	// QueuedBytes is the size of the messages that wait for a worker or its credit, in bytes.
	QueuedBytes int
	// Accepted are connections, whether they became clients or not.
	Accepted uint64
	// Opened and Closed are clients.
	Opened, Closed uint64
	// MessagesIn are messages from clients.
	MessagesIn uint64
	// MessagesOut are messages from workers that a client's connection accepted. It does not
	// include messages that were dropped or could not be encoded, and the gateway's own messages.
	MessagesOut uint64
	// EncodeErrors are messages that the client's format cannot carry, for example a text with a
	// line break in format text.
	EncodeErrors uint64
	// InvalidTexts are texts from workers that were not valid UTF-8. Clients got U+FFFD in place of
	// the invalid bytes. A publish counts once on each loop.
	InvalidTexts uint64
	// PeerErrors are WebSockets that the client closed because of what it was sent, with code 1002,
	// 1003, 1007 or 1009. The log has the code. Included in reason "peer" of ClosesByReason.
	PeerErrors uint64
	// QueuedTotal are messages that had to wait for a worker or its credit.
	QueuedTotal uint64
	// MessagesRejected are messages that no worker took in time, or that came when
	// Config.MaxUnroutedBytes were queued. Clients still connected were notified.
	MessagesRejected uint64
	// DetachesUndelivered are clients whose close event may not have reached a worker.
	DetachesUndelivered uint64
	// WorkersBehind is how often a worker got no more clients, because it had not acknowledged that
	// 4,096 clients had gone.
	WorkersBehind uint64
	// ClientsMoved is how often a client went to another worker although its own was connected:
	// because that drained, or by Config.Rebalance.
	ClientsMoved uint64
	// AdoptionsWaiting are admitted clients that no worker has, and that are given to one at the pace
	// of Config.AdoptRate, or when they send a message or disconnect.
	AdoptionsWaiting int
	// UnackedAtLinkLoss are frames that were not acknowledged when their link ended.
	UnackedAtLinkLoss uint64
	// Redelivered are the messages among UnackedAtLinkLoss.
	Redelivered uint64
	// DeadLettered are messages, and connects, adoptions and closes of clients, that were given up
	// because each worker that got one ended.
	DeadLettered uint64
	// Relayed are commands passed on to other gateways.
	Relayed uint64
	// CommandsDropped are commands for another gateway that were lost. The gateway was disconnected
	// for too long or has gone, too many bytes waited for it, or no worker listed it. Exclusive
	// bindings among them are sent again (ClaimsResent).
	CommandsDropped uint64
	// ClaimsResent are exclusive bindings sent again to other gateways, which were unreachable for too
	// long, have started again or were not known.
	ClaimsResent uint64
	// StaleTargets are commands for clients that had gone. A message among them is not delivered.
	StaleTargets uint64
	// AttrsRejected are SETs without effect, because the client would have had more than 1 MiB of
	// attributes.
	AttrsRejected uint64
	// JoinsRejected are JOINs without effect, because the client has Config.MaxGroups or
	// MaxGroupBytes.
	JoinsRejected uint64
	// QueriesRejected are queries refused because too many were waiting for other loops.
	QueriesRejected uint64
	// QueriesPartial are queries answered in part, because a loop of the gateway did not reply in
	// time.
	QueriesPartial uint64
	// Invocations are calls of Config.OnInvoke.
	Invocations uint64
	// InvocationsRejected are INVOKEs of workers that were refused, because 1,024 calls were running
	// on the loop, or their payloads took 16 MiB, or the gateway has no OnInvoke.
	InvocationsRejected uint64
	// InvocationErrors are calls of OnInvoke that have returned an error or have panicked.
	InvocationErrors uint64
	// InvocationTimeouts are calls of OnInvoke that have ended because they took longer than 5 s.
	InvocationTimeouts uint64
	// Reports are reports of workers that Config.OnStats has taken.
	Reports uint64
	// ReportsRejected are reports that were refused, because 64 calls of OnStats were running on the
	// loop, or their reports took 16 MiB, or the gateway has no OnStats. They come again.
	ReportsRejected uint64
	// ReportErrors are calls of OnStats that have returned an error, have panicked or took longer
	// than 5 s. The reports come again.
	ReportErrors uint64
	// ReadPauses is how often a client was not read because it had too many unacknowledged bytes.
	ReadPauses uint64
	// QueueFull is how often the queues of a loop reached Config.MaxQueueBytes.
	QueueFull uint64
	// InboxBackpressure is how often a link was not read because another loop or gateway was
	// behind.
	InboxBackpressure uint64
	// Pages are plain HTTP requests passed to ListenerConfig.Page.
	Pages uint64
	// PagesRejected are requests refused because 64 were running. Included in HandshakesRejected.
	PagesRejected uint64
	// PageErrors are requests answered with status 500, because the handler panicked or wrote more
	// than 512 KiB.
	PageErrors uint64
	// PageTimeouts are requests whose handler did not return within 30 s.
	PageTimeouts uint64
	// HandshakesRejected are handshakes and pages refused, and clients that came while the gateway
	// closed down or was overloaded.
	HandshakesRejected uint64
	// HandshakeTimeouts are handshakes that took longer than ListenerConfig.HandshakeTimeout.
	HandshakeTimeouts uint64
	// ForwardedIgnored are requests in which an address that is not in ListenerConfig.TrustProxies
	// named another client. It had no effect. Some clients have a proxy of their own.
	ForwardedIgnored uint64
	// ForwardedInvalid are requests in which a trusted proxy named something else than an address.
	// The address before that counts, or the proxy's.
	ForwardedInvalid uint64
	// SlotsExhausted are connections closed because their loop had 16,777,216 clients.
	SlotsExhausted uint64
	// LoadShed are clients that came while their loop was overloaded. Included in
	// HandshakesRejected.
	LoadShed uint64
	// OriginsRejected are WebSockets requested by pages of foreign origins, and pages requested by
	// a foreign host name. Included in HandshakesRejected.
	OriginsRejected uint64
	// RequestsTooLarge are WebSockets whose request has more to keep than
	// ListenerConfig.MaxRequest. Included in HandshakesRejected.
	RequestsTooLarge uint64
	// UpgradesPending are WebSockets whose ListenerConfig.OnUpgrade has not returned.
	UpgradesPending int
	// UpgradesQueued is how often a WebSocket had to wait because 256 calls of OnUpgrade were
	// running on its loop.
	UpgradesQueued uint64
	// UpgradesRejected are WebSockets that OnUpgrade has refused with Refuse. Included in
	// HandshakesRejected.
	UpgradesRejected uint64
	// UpgradeErrors are WebSockets answered with status 500, because OnUpgrade returned another
	// error or panicked. Included in HandshakesRejected.
	UpgradeErrors uint64
	// UpgradeTimeouts are WebSockets answered with status 503, because OnUpgrade did not return
	// within ListenerConfig.HandshakeTimeout. Included in HandshakesRejected.
	UpgradeTimeouts uint64
	// UpgradesRejectedByReason are the refusals of RefuseFor, of OnUpgrade and OnRefresh, by reason.
	UpgradesRejectedByReason map[string]uint64
	// Expired are clients closed because their Identity.Expires had come.
	Expired uint64
	// Refreshed are clients' messages with a new token that OnRefresh has accepted.
	Refreshed uint64
	// RefreshesRejected are those that were not accepted. The clients stay until they expire.
	RefreshesRejected uint64
	// Probes are plain requests for /livez, /readyz and /healthz that were answered.
	Probes uint64
	// FirstMessageTimeouts are clients closed because their first message did not come in time.
	FirstMessageTimeouts uint64
	// MessageTimeouts are clients closed because a message was not complete in time.
	MessageTimeouts uint64
	// PartialEvictions are clients closed because Config.MaxPartialBytes was reached.
	PartialEvictions uint64
	// CloseTimeouts are WebSockets that did not answer a close frame in time.
	CloseTimeouts uint64
	// HalfClosed are clients that closed their side while they waited for answers.
	HalfClosed uint64
	// HalfClosesUnanswered are clients closed before all their messages were answered, after they
	// had closed their side or violated their protocol.
	HalfClosesUnanswered uint64
	// RateLimited is how often a client was not read because it had sent too fast.
	RateLimited uint64
	// PartialBytes are bytes held of incomplete messages, and of incomplete TLS records.
	PartialBytes int
	// TLSConns are the connections with TLS, of clients, workers and other gateways.
	TLSConns int
	// TLSErrors are connections closed because the peer violated the TLS protocol, or sent an
	// alert, after the handshake.
	TLSErrors uint64
	// MailboxRejects are functions refused because the loop's mailbox was full.
	MailboxRejects uint64
	// Panics are panics in callbacks. Each ends a connection, except those in posted functions.
	Panics uint64
	// TakeoverBytes are bytes reserved for clients with context takeover, 32 KiB each.
	TakeoverBytes int
	// TakeoversRejected are WebSockets opened without context takeover, because
	// Config.MaxTakeoverBytes was reached.
	TakeoversRejected uint64
	// ClosesByReason are connections, of clients or not, by the reason of their end.
	ClosesByReason map[string]uint64
	SlowConsumerStats
	NarrowStats
}

// Stats are the figures of a gateway: the sums over its loops, and those of each loop. A worker
// counts once in the sums of Workers and WorkersDraining, however many loops it has links to.
type Stats struct {
	LoopStats
	WorkerAuthFailures uint64          // peers refused on the port for workers
	InterestStats                      // what the gateway has in the directory
	ArbiterStats                       // claims that are compared there
	Loops              []LoopStats     // in the order of the loops
	Listeners          []ListenerStats // in the order of Config.Listeners
	// MessageTime is how long messages took from when they were read until their worker had handled
	// them and the effects were applied. Each loop times one of 64 messages at most, and one at a
	// time, up to a minute.
	MessageTime Durations
	// HandlingTime is MessageTime without the messages that waited for a worker or its credit: the
	// time of links and handlers.
	HandlingTime Durations
	// Directory are figures of Config.Directory.
	Directory DirectoryStats
}

// ListenerStats are the figures of one listener, including those of refused connections.
type ListenerStats struct {
	URL string
	engine.ListenerStats
}

// Stats asks each loop for its figures. A loop that is busy or has stopped may not answer within a
// second; its last answer is used then, so that a counter never goes back. Any goroutine except a
// loop's may call it. Before Ready all figures but those of the directory are 0.
func (g *Gateway) Stats() Stats {
	if !g.isReady() {
		return Stats{Directory: g.place.stats(&g.cfg)}
	}
	ask(g, (*loop).storeStats)
	all := Stats{
		WorkerAuthFailures: g.authFailures.Load(), Directory: g.place.stats(&g.cfg), InterestStats: g.interest.stats(),
		ArbiterStats: g.arbiter.figures(),
	}
	states := make(map[workerState]struct{})
	for _, l := range g.loops {
		s := l.lastStats.Load()
		if s == nil {
			s = new(snapshot)
		}
		stats := s.LoopStats
		stats.ClosesByReason = maps.Clone(s.ClosesByReason) // a copy for the caller
		stats.UpgradesRejectedByReason = maps.Clone(s.UpgradesRejectedByReason)
		all.Loops = append(all.Loops, stats)
		all.add(stats)
		for _, w := range s.workerStates {
			states[w] = struct{}{}
		}
		s.message.addTo(&all.MessageTime)
		s.handling.addTo(&all.HandlingTime)
	}
	all.Workers, all.WorkersDraining = 0, 0
	for w := range states {
		*all.workers(w.draining)++
	}
	for _, l := range g.listeners {
		all.Listeners = append(all.Listeners, ListenerStats{l.URL, l.ln.Stats()})
	}
	return all
}

// Control returns the Control of the gateway.
func (g *Gateway) Control() *Control { return &Control{g} }

// snapshot is the last answer of a loop. It does not change.
type snapshot struct {
	LoopStats
	workerStates []workerState // workers with a link to the loop; bound: links that have proved
	message      durations
	handling     durations
}

// workerState is a worker and whether it drains.
type workerState struct {
	id       [16]byte
	draining bool
}

// workers returns the figure that counts a worker that drains or does not.
func (s *LoopStats) workers(drain bool) *int {
	if drain {
		return &s.WorkersDraining
	}
	return &s.Workers
}

// storeStats stores the figures of the loop. It runs on the loop, so that a later answer never
// replaces a newer one.
func (l *loop) storeStats() struct{} {
	l.lastStats.Store(l.snapshot())
	return struct{}{}
}

func (l *loop) snapshot() *snapshot {
	s := &snapshot{LoopStats: l.stats, message: l.sampler.message, handling: l.sampler.handling}
	s.Clients = l.members.Len()
	for _, k := range l.links {
		if publishes(k) {
			s.PublisherLinks++
			continue
		}
		s.Links++
		s.workerStates = append(s.workerStates, workerState{k.hello.ID, k.delivery.IsDraining()})
		*s.workers(k.delivery.IsDraining())++
	}
	s.Pending, s.AdoptionsWaiting = l.book.Unattached()
	s.UpgradesPending = len(l.upgrades.of)
	s.Closing = l.closingConns
	s.QueuedBytes = l.book.QueuedBytes()
	n := &l.book.Counters
	s.QueuedTotal, s.MessagesRejected, s.QueueFull = n.Queued, n.MessagesRejected, n.QueueFull
	s.Redelivered, s.DeadLettered = n.Redelivered, n.DeadLettered
	s.DetachesUndelivered, s.WorkersBehind, s.ClientsMoved = n.DetachesUndelivered, n.WorkersBehind, n.ClientsMoved
	s.PartialBytes = l.partial
	s.TakeoverBytes = l.takeoverBytes
	s.ClosesByReason = make(map[string]uint64)
	for reason, n := range l.closes {
		if n > 0 {
			s.ClosesByReason[link.Reason(reason).String()] = n
		}
	}
	s.UpgradesRejectedByReason = maps.Clone(l.upgrades.reasons)
	e := l.el.Stats()
	s.MailboxRejects, s.Panics = e.MailboxRejects, e.Panics
	s.TLSConns, s.TLSErrors = e.TLSConns, e.TLSErrors
	s.SlowConsumerStats = slowFigures(e)
	if l.narrow != nil {
		s.NarrowStats = l.narrow.stats()
	}
	return s
}

// add adds the figures of another loop.
func (s *LoopStats) add(o LoopStats) {
	addAll(reflect.ValueOf(s).Elem(), reflect.ValueOf(o))
	if s.ClosesByReason == nil {
		s.ClosesByReason = make(map[string]uint64)
	}
	for reason, n := range o.ClosesByReason {
		s.ClosesByReason[reason] += n
	}
	if s.UpgradesRejectedByReason == nil {
		s.UpgradesRejectedByReason = make(map[string]uint64)
	}
	for reason, n := range o.UpgradesRejectedByReason {
		s.UpgradesRejectedByReason[reason] += n
	}
}

// addAll adds the numbers of one struct, and of structs in it, to those of another.
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
