package gateway

import (
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/delivery"
)

// world is a schedule: gateways, workers and clients, and their expected state.
type world struct {
	t           testing.TB
	rng         *rand.Rand
	loops       int  // of each gateway
	bold        bool // faults may happen
	gates       []gate
	workers     []*simWorker
	links       []*simLink // of all workers, in the order in which they came
	clients     []*simClient
	deadLetters map[string]int // dead letters, by kind
	peerings    []*simPeering
	tight       bool        // more clients go than the gateway waits for
	trace       interface { // of the bytes on the wires
		io.Writer
		Sum64() uint64
	}
	seen coverage
}

type gate struct {
	g   *Gateway
	sim *enginetest.Sim
	lis *listener

	draining bool
}

// note adds bytes on a wire to the trace.
func (w *world) note(b []byte) {
	_, _ = w.trace.Write(b)
	_, _ = w.trace.Write([]byte{0})
}

// all are the loops of all gateways.
func (w *world) all() (all []*loop) {
	for _, g := range w.gates {
		all = append(all, g.g.loops...)
	}
	return all
}

func (w *world) stats() (sum LoopStats) {
	for _, l := range w.all() {
		sum.add(l.snapshot().LoopStats)
	}
	return sum
}

// refusals is the number of messages that were rejected or are dead letters.
func (w *world) refusals() uint64 {
	s := w.stats()
	return s.MessagesRejected + s.DeadLettered
}

// applied is called when a gateway accepts the acknowledgement of a client's messages up to number
// n, and with left of its DETACH. s is nil if the gateway no longer knows the client.
func (w *world) applied(l *simLink, s *session, n uint32, left bool) {
	if s == nil {
		return
	}
	h := l.given[s.token()]
	if h == nil {
		w.fail("a client is acknowledged that no worker got")
	}
	if l.k.ended || s.delivery.Link() != l.k.delivery {
		if !h.moved && !left && s.delivery.State() != delivery.Forgotten {
			w.fail("client %d: an acknowledgement is taken from a worker that does not have it", h.client.index)
		}
		return
	}
	if !h.applied {
		h.applied = true
		if h.isNew {
			h.client.apply(connect)
		}
	}
	for ; h.done != n && len(h.messages) > 0; h.done++ {
		h.client.apply(h.messages[0])
		h.messages = h.messages[1:]
	}
	if left {
		h.client.apply(gone)
	}
}

// check checks what holds at any time.
func (w *world) check() {
	for _, l := range w.all() {
		w.checkLoop(l)
	}
}

func (w *world) checkLoop(l *loop) {
	yields, partial := 0, 0
	for _, s := range l.sessions {
		if s == nil {
			continue
		}
		w.checkSession(s)
		if s.turn&yielded != 0 {
			yields++
		}
		if s.phase == phaseOpen && s.pauses&pausedByQueues != 0 &&
			(s.turn&stalled == 0 || !l.book.IsFull() && !s.creditFull()) {
			w.fail("client %s is held up, and nobody has it go on", s.remote())
		}
	}
	for _, s := range l.deadlines { // including those in their handshake
		partial += int(s.partial)
	}
	if err := l.book.Verify(l.deliveryClients(), l.deliveryLinks()); err != nil {
		w.fail("loop %d: %v", l.index, err)
	}
	switch {
	case yields != l.turns.waiting:
		w.fail("loop %d: %d clients have yielded, %d are counted", l.index, yields, l.turns.waiting)
	case partial != l.partial:
		w.fail("loop %d: %d bytes are of messages that have not come whole, %d are counted", l.index, partial, l.partial)
	}
	for _, slot := range l.free {
		if l.sessions[slot] != nil {
			w.fail("loop %d: slot %d is free and is not", l.index, slot)
		}
	}
}

// deliveryClients are the clients of the loop's book.
func (l *loop) deliveryClients() iter.Seq[*delivery.Client] {
	return func(yield func(*delivery.Client) bool) {
		for _, s := range l.sessions {
			if s != nil && !yield(&s.delivery) {
				return
			}
		}
	}
}

// deliveryLinks are the links of the loop's book.
func (l *loop) deliveryLinks() iter.Seq[*delivery.Link] {
	return func(yield func(*delivery.Link) bool) {
		for _, k := range l.links {
			if !yield(k.delivery) {
				return
			}
		}
	}
}

// checkSession looks for clients that are not read or not closed, and that nothing would continue.
// The book checks the rest.
func (w *world) checkSession(s *session) {
	waits := s.delivery.Unhandled()
	switch {
	case s.pauses&pausedToClose != 0 && s.phase == phaseOpen && s.delivery.IsHandled():
		w.fail("client %s is to go, nothing of it waits, and it is not told", s.remote())
	case s.pauses&(pausedByWorker|pausedToClose) == pausedByWorker && s.phase == phaseOpen &&
		waits <= w.gates[0].g.cfg.MaxUnacked/2 && len(w.gates) == 1:
		w.fail("client %s is paused with %d bytes", s.remote(), waits)
	// a queued message counts with a smaller header than one at the worker
	case waits > 3*s.loop.g.cfg.MaxUnacked+2*window+300:
		w.fail("client %s has %d bytes", s.remote(), waits)
	case s.link() != nil && s.link().ended:
		w.fail("client %s is with a worker that is gone", s.remote())
	}
}

// unrest describes what is still in progress.
func (w *world) unrest() string {
	for _, l := range w.all() {
		b := &l.book
		waiting, suspect := b.WaitingClients()
		if _, parked := b.Unattached(); b.QueuedBytes()+b.Departed()+waiting+suspect+parked > 0 {
			return fmt.Sprintf("loop %d: %d bytes wait, %d clients are gone, %d wait for a worker or their trial, %d are parked",
				l.index, b.QueuedBytes(), b.Departed(), waiting+suspect, parked)
		}
		for _, s := range l.sessions {
			if s != nil && (s.delivery.InFlight() > 0 || s.delivery.IsSuspect() || s.phase != phaseOpen || s.pauses != 0 ||
				s.turn&yielded != 0) {
				return fmt.Sprintf("client %s: %d frames unacknowledged, phase %d, not read for %b, turn %b", s.remote(),
					s.delivery.InFlight(), s.phase, s.pauses, s.turn)
			}
		}
		if l.closingConns > 0 {
			return fmt.Sprintf("loop %d: %d connections are closing", l.index, l.closingConns)
		}
		for _, k := range l.links {
			if n, _ := k.delivery.InFlight(); n > 0 {
				return fmt.Sprintf("a worker has not acknowledged %d frames", n)
			}
		}
	}
	for _, x := range w.peerings {
		if !x.rests() {
			return fmt.Sprintf("%d bytes have not been done at another gateway", x.p.out.size())
		}
	}
	for _, l := range w.links {
		if len(l.events)+len(l.out) > 0 || !l.k.ended && l.peer.Unread() > 0 {
			return fmt.Sprintf("a worker has %d events and %d bytes", len(l.events), len(l.out))
		}
	}
	for _, c := range w.clients {
		if !c.left && c.peer.Unread() > 0 {
			return fmt.Sprintf("client %d has been read but for %d bytes", c.index, c.peer.Unread())
		}
	}
	return ""
}

// checkAccounts checks the state at rest: each client that is still there has a reply to each
// message.
func (w *world) checkAccounts() {
	var missing []effect
	for _, c := range w.clients {
		if !c.left && c.said != len(c.echoes)+c.refused {
			w.fail("client %d has sent %d messages; %d were answered and %d refused", c.index, c.said, len(c.echoes), c.refused)
		}
		for n, targets := range c.aims {
			for i, target := range targets {
				e := effect{c.index, n, i + 1, target.index}
				if c.applied[n] && !target.left && target.got[e] != 1 {
					missing = append(missing, e)
				}
			}
		}
	}
	if lost := w.stats().CommandsDropped; len(missing) > int(lost) {
		w.fail("effects missing: %+v; %d are known to be lost", missing, lost)
	}
	messages := 0
	for _, c := range w.clients {
		for n := range c.applied {
			if n >= 0 {
				messages++
			}
		}
	}
	if s := w.stats(); s.MessagesIn != uint64(messages+w.deadLetters["message"])+s.MessagesRejected && !w.tight {
		w.fail("%d messages came in; %d were handled, %d dead-lettered, %d rejected", s.MessagesIn, messages,
			w.deadLetters["message"], s.MessagesRejected)
	}
}

// checkNothingLeft checks the state after the last client has gone.
func (w *world) checkNothingLeft() {
	came, went := 0, 0
	for _, c := range w.clients {
		if c.applied[connect] {
			came++
		}
		if c.applied[gone] {
			went++
		}
	}
	if s := w.stats(); went > len(w.clients) || went+int(s.DetachesUndelivered)+w.deadLetters["close"] < came {
		w.fail("%d connects and %d closes were handled; %d closes may be undelivered, %d are dead letters",
			came, went, s.DetachesUndelivered, w.deadLetters["close"])
	}
	for _, l := range w.all() {
		switch {
		case len(l.free) != len(l.sessions):
			w.fail("loop %d: %d of %d slots are free", l.index, len(l.free), len(l.sessions))
		case l.members.Len() != 0 || l.clients() != 0:
			w.fail("loop %d: %d members, %d clients", l.index, l.members.Len(), l.clients())
		case len(l.inbox.records) > 0 || len(l.gathers) > 0:
			w.fail("loop %d: something is in its inbox", l.index)
		}
		for _, k := range l.links {
			if d := k.delivery; !d.IsDraining() && (leaving(k) != 0 || d.Behind()) {
				w.fail("of a worker's clients %d are gone still", leaving(k))
			}
			if n := k.delivery.Clients(); n != 0 || waitsFor(k) != 0 {
				w.fail("a link has %d clients, of which %d wait", n, waitsFor(k))
			}
		}
	}
	w.checkAccounts()
}

// coverage counts the events that schedules must contain.
type coverage struct {
	Deaths, Cuts, Drains, FatalEvents, Garbled, Farewells, PeerCuts, Resent, KeptOut, Ended, Moves uint64
	QueuedTotal, MessagesRejected, Redelivered, DeadLettered, DetachesUndelivered                  uint64
	ReadPauses, QueueFull, Relayed, WorkersBehind                                                  uint64
	Connects, Adoptions, Messages, Closes                                                          uint64 // dead letters
}

func (c *coverage) add(w *world) {
	s := w.stats()
	o := w.seen
	o.QueuedTotal, o.MessagesRejected, o.Redelivered = s.QueuedTotal, s.MessagesRejected, s.Redelivered
	o.DeadLettered, o.DetachesUndelivered, o.ReadPauses = s.DeadLettered, s.DetachesUndelivered, s.ReadPauses
	o.QueueFull, o.Relayed, o.WorkersBehind = s.QueueFull, s.Relayed, s.WorkersBehind
	letters := func(kind string) uint64 { return uint64(w.deadLetters[kind]) }
	o.Connects, o.Adoptions = letters("connect"), letters("adopt")
	o.Messages, o.Closes = letters("message"), letters("close")
	to, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range to.NumField() {
		to.Field(i).SetUint(to.Field(i).Uint() + from.Field(i).Uint())
	}
}

// missed names the events that never happened.
func (c coverage) missed() string {
	var names []string
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if v.Field(i).Uint() == 0 {
			names = append(names, v.Type().Field(i).Name)
		}
	}
	return strings.Join(names, ", ")
}
