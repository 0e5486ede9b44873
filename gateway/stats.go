package gateway

import (
	"time"

	"sluice/engine"
	"sluice/internal/link"
)

// LoopStats counts what one loop has seen since it started; Clients, Workers, Leaving, Queued, Partial, Blocked, Unsent and Overloaded are as of now.
type LoopStats struct {
	Clients, Workers int
	Leaving          int    // connections of clients that the gateway has closed, and that have yet to take their last bytes or to answer the close
	Queued           int    // bytes of messages that wait for a worker or its credit
	Accepted         uint64 // connections
	Opened, Closed   uint64 // clients
	MessagesIn       uint64
	MessagesOut      uint64
	Unsendable       uint64            // messages that their client's format cannot carry: a line break in a line, what is no JSON in JSON
	Held             uint64            // messages that had to wait
	Refused          uint64            // messages that no worker took in time, or past Config.HoldBytes; their clients were told
	Unheard          uint64            // clients whose end no worker came to hear of, or perhaps none
	Unacked          uint64            // sequenced frames on links that ended before they were acknowledged
	Redelivered      uint64            // messages among them
	Poisoned         uint64            // messages, or comings and goings of clients, that ended each worker that got them and were set aside
	Repeated         uint64            // commands for clients of other gateways that had been carried out already
	Gone             uint64            // commands for clients that were gone
	AttrsRefused     uint64            // SETs that had no effect: the client would have had more than 1 MiB of attributes
	Paused           uint64            // times that a client's reads were paused
	QueueFull        uint64            // times that Config.MaxQueueBytes began to wait in the queues of a loop
	Pressed          uint64            // times that a link was paused because another loop was behind
	Pages            uint64            // plain HTTP requests answered
	PagesRefused     uint64            // for there were too many at once
	Refusals         uint64            // handshakes refused, and clients that came when the gateway was closing down or overloaded
	TurnedAway       uint64            // of them those that came when their loop was overloaded
	Foreign          uint64            // of Refusals: WebSockets asked for by pages of foreign origins, and pages by names that are not the gateway's
	RequestsTooLarge uint64            // of Refusals: WebSockets whose requests leave more to keep than Listener.MaxRequest
	Probes           uint64            // plain requests for /livez, /readyz and /healthz, answered
	Mute             uint64            // clients cut because their first message did not come in time
	Unfinished       uint64            // clients cut because a message of theirs was not whole in time
	PartialCut       uint64            // clients cut because too much waited for the rest of its messages
	CloseTimeouts    uint64            // WebSockets that did not answer a close frame in time
	HalfClosed       uint64            // clients that ended their side while they had answers to come
	Unanswered       uint64            // of them those that were closed before all they had sent was answered
	Paced            uint64            // times that a client was not read because it had sent too fast
	Partial          int               // bytes held now of messages that have not come whole
	Ends             map[string]uint64 // of connections, clients or not, by reason
	Slow
}

// Stats are a gateway's figures: the sums over its loops, and each loop's own.
type Stats struct {
	LoopStats
	RefusedPeers uint64 // on the inner port
	Loops        []LoopStats
	Listeners    []ListenerStats // in the order of Config.Listeners
}

// ListenerStats are the figures of one listener, those of what it refused too.
type ListenerStats struct {
	URL string
	engine.ListenerStats
}

// Stats asks each loop for its figures; a loop that is stopping gives none. Any goroutine but a loop's may call it.
func (g *Gateway) Stats() Stats {
	all := Stats{RefusedPeers: g.refusedPeers.Load(), Loops: ask(g, (*loop).snapshot)}
	for _, s := range all.Loops {
		all.add(s)
	}
	for _, l := range g.listeners {
		all.Listeners = append(all.Listeners, ListenerStats{l.URL, l.ln.Stats()})
	}
	return all
}

// ask runs f on each loop and returns what it says; a loop that is stopping says nothing.
func ask[T any](g *Gateway, f func(*loop) T) []T {
	all := make([]T, 0, len(g.loops))
	for _, l := range g.loops {
		answer := make(chan T, 1)
		if l.el.Post(func() { answer <- f(l) }) != nil {
			continue
		}
		select {
		case s := <-answer:
			all = append(all, s)
		case <-time.After(time.Second): // stopping
		}
	}
	return all
}

func (l *loop) snapshot() LoopStats {
	s := l.stats
	s.Clients = l.members.Len()
	s.Workers = len(l.pool.links)
	s.Leaving = l.leaving
	s.Queued = l.held
	s.Partial = l.partial
	s.Ends = make(map[string]uint64)
	for reason, n := range l.ends {
		if n > 0 {
			s.Ends[link.Reason(reason).String()] = n
		}
	}
	s.Slow = slowFigures(l.el.Stats())
	return s
}

func (s *LoopStats) add(o LoopStats) {
	s.Clients += o.Clients
	s.Workers += o.Workers
	s.Leaving += o.Leaving
	s.Queued += o.Queued
	s.Accepted += o.Accepted
	s.Opened += o.Opened
	s.Closed += o.Closed
	s.MessagesIn += o.MessagesIn
	s.MessagesOut += o.MessagesOut
	s.Unsendable += o.Unsendable
	s.Held += o.Held
	s.Refused += o.Refused
	s.Unheard += o.Unheard
	s.Unacked += o.Unacked
	s.Redelivered += o.Redelivered
	s.Poisoned += o.Poisoned
	s.Repeated += o.Repeated
	s.Gone += o.Gone
	s.AttrsRefused += o.AttrsRefused
	s.Paused += o.Paused
	s.QueueFull += o.QueueFull
	s.Pressed += o.Pressed
	s.Pages += o.Pages
	s.PagesRefused += o.PagesRefused
	s.Refusals += o.Refusals
	s.TurnedAway += o.TurnedAway
	s.Foreign += o.Foreign
	s.RequestsTooLarge += o.RequestsTooLarge
	s.Probes += o.Probes
	s.Mute += o.Mute
	s.Unfinished += o.Unfinished
	s.PartialCut += o.PartialCut
	s.CloseTimeouts += o.CloseTimeouts
	s.HalfClosed += o.HalfClosed
	s.Unanswered += o.Unanswered
	s.Paced += o.Paced
	s.Partial += o.Partial
	if s.Ends == nil {
		s.Ends = make(map[string]uint64)
	}
	for reason, n := range o.Ends {
		s.Ends[reason] += n
	}
	s.Slow.add(o.Slow)
}
