package delivery

import (
	"fmt"
	"iter"
	"slices"
)

// Figures returns how many clients are gone and have not been acknowledged by the worker, how many
// wait for the link's credit, and the memory of the buffers that are kept for redelivery, in bytes.
// It is for tests.
func (k *Link) Figures() (leaving, waiting, kept int) {
	return k.leaving, len(k.lanes.small.heap) + len(k.lanes.large.heap), k.log.kept
}

// Verify returns an error if the Book is inconsistent: if a client is in a combination of states
// that is forbidden, or if a sum is wrong. clients are those that are not forgotten. It is for
// tests.
func (b *Book) Verify(clients iter.Seq[*Client], links iter.Seq[*Link]) error {
	queued, pending, departed, parked := 0, 0, 0, 0
	for c := range clients {
		if why := b.forbidden(c); why != "" {
			return fmt.Errorf("client %d, %v: %s", c.Slot, c.state, why)
		}
		queued += c.queue.Size()
		parked += c.flag(adoptDue)
		if c.flags&gone != 0 {
			departed++
		} else if c.Entry() == Pending {
			pending++
		}
	}
	switch {
	case queued != b.queued:
		return fmt.Errorf("%d bytes are queued, %d are counted", queued, b.queued)
	case queued > b.MaxQueue && !b.full, b.full && queued <= b.MaxQueue/2:
		return fmt.Errorf("%d bytes are queued, full %v", queued, b.full)
	case pending != b.pending:
		return fmt.Errorf("%d clients are pending, %d are counted", pending, b.pending)
	case departed != b.departed || departed > b.MaxDeparted:
		return fmt.Errorf("%d clients have gone, %d are counted", departed, b.departed)
	case parked != b.adoptions.due || parked > 0 && !b.adoptions.paced && !b.host.Alone():
		return fmt.Errorf("%d clients are parked, %d are counted", parked, b.adoptions.due)
	case b.trials.now != nil && b.trials.now.state == Parked:
		return fmt.Errorf("client %d is tried and is parked: no other client has its turn", b.trials.now.Slot)
	case b.trials.now != nil && !b.trials.now.IsSuspect():
		return fmt.Errorf("client %d is tried and is not suspect", b.trials.now.Slot)
	}
	for k := range links {
		if err := k.verify(b, clients); err != nil {
			return err
		}
	}
	return nil
}

// forbidden returns what is wrong with a client that must never be so. Such a client would be in
// two lists, or nothing would ever continue it.
func (b *Book) forbidden(c *Client) string {
	held, inFlight, isGone := c.queue.held(), c.InFlight(), c.flags&gone != 0
	tried := c.IsSuspect() && c.eventOut()
	switch {
	case count(b.waiting, c) != c.flag(inWaiting) || count(b.trials.next, c) != c.flag(inTrials):
		return "it is in a list and is not marked, or the other way round"
	case count(b.adoptions.next, c) != c.flag(inAdoptions) || c.flags&adoptDue != 0 && c.flags&inAdoptions == 0:
		return "it is in the list of adoptions and is not marked, or the other way round"
	case (c.state == Parked && c.Entry() == Admitted) != (c.flags&adoptDue != 0):
		return "it is parked and nothing adopts it, or the other way round"
	case c.state == Waiting && c.flags&inWaiting == 0, c.state == Suspect && c.flags&inTrials == 0:
		return "it waits and is in no list"
	case c.state.hasLink() && c.link.lanes.count(c) != boolInt(c.state == Credit):
		return "it is in the wrong number of lanes"
	case c.state.hasLink() && c.link.ended:
		return "its link has ended"
	case !c.state.hasLink() && (inFlight > 0 || c.bytes() != 0 || c.flight.count != 0):
		return "events are in flight and no worker has it"
	case int32(c.out) < 0, c.out == 0 && c.state != Detached && c.bytes() != 0:
		return "a number is negative"
	case c.runs() != inFlight:
		return fmt.Sprintf("%d events are in flight, runs have %d", inFlight, c.runs())
	case c.queue != nil && held == 0 && len(c.queue.runs) == 0:
		return "its queue is empty"
	case held > 0 && (c.state == Parked || c.state == Assigned && c.out == 0 && !tried || c.state == Detached):
		return "messages are queued, and nothing sends them"
	case isGone && (c.state == Parked || c.state == Assigned && c.out == 0 && !tried):
		return "it is gone, and nothing sends its DETACH"
	case c.flags&blocks != 0 && !c.state.hasLink():
		return "it blocks and no worker has it"
	case c.state == Moving && inFlight == 0:
		return "it could go, and nothing makes it go"
	case c.state == Credit && tried:
		return "it is tried, and holds up those behind it"
	case c.state == Suspect && !c.IsSuspect() && b.trials.now == nil && !b.trials.paused:
		return "it waits for a trial that it does not need"
	}
	return ""
}

// verify checks the sums of a link. Some of the clients are its clients.
func (k *Link) verify(b *Book, clients iter.Seq[*Client]) error {
	events, messages, attaching, takenBytes, has := 0, 0, 0, 0, 0
	for c := range clients {
		if c.Link() == k {
			has++
			takenBytes += c.flag(blocks) * c.runBytes()
			attaching += c.flag(attachOut)
			events += c.InFlight()
			messages += int(c.bytes())
		}
	}
	n, bytes := k.InFlight()
	segEvents, segBytes, segTaken, kept := 0, 0, 0, 0
	for _, seg := range k.log.all {
		segEvents += seg.events
		segBytes += seg.small + seg.large + seg.taken
		segTaken += seg.taken
		kept += cap(seg.bytes)
	}
	switch {
	case has != k.clients:
		return fmt.Errorf("a link has %d clients, %d are counted", has, k.clients)
	case attaching != k.attaching:
		return fmt.Errorf("%d clients are being attached, %d are counted", attaching, k.attaching)
	case events != n || segEvents != n:
		return fmt.Errorf("%d events are in flight, %d in segments, %d are counted", events, segEvents, n)
	case messages > bytes || segBytes != bytes:
		return fmt.Errorf("%d bytes are in flight, %d in segments, %d are counted", messages, segBytes, bytes)
	case segTaken != takenBytes || k.small[taken]+k.large[taken] != takenBytes:
		return fmt.Errorf("%d bytes in flight are of clients that block, %d in segments, %d are counted", takenBytes,
			segTaken, k.small[taken]+k.large[taken])
	case kept != k.log.kept:
		return fmt.Errorf("%d bytes are kept, %d are counted", kept, k.log.kept)
	case k.leaving < 0 || k.leaving > b.MaxLeaving && !k.behind && !k.draining:
		return fmt.Errorf("%d clients of a worker are gone, and it gets more", k.leaving)
	case slices.Min(k.small[:]) < 0 || slices.Min(k.large[:]) < 0:
		return fmt.Errorf("bytes in flight: %v, %v", k.small, k.large)
	}
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *Client) flag(f clientFlags) int { return boolInt(c.flags&f != 0) }

func count(list []*Client, c *Client) (n int) {
	for _, have := range list {
		n += boolInt(have == c)
	}
	return n
}

func (w *lanes) count(c *Client) (n int) {
	for _, heap := range [...][]creditWaiter{w.small.heap, w.large.heap} {
		for i := range heap {
			n += boolInt(heap[i].c == c)
		}
	}
	return n
}

// runs is how many events the client's runs have.
func (c *Client) runs() int {
	n := int(c.flight.count)
	if c.queue != nil {
		for _, r := range c.queue.runs[c.queue.firstRun:] {
			n += int(r.count)
		}
	}
	return n
}

// runBytes is the size of the client's events in flight.
func (c *Client) runBytes() int {
	n := int(c.flight.count) * int(c.flight.size)
	if c.queue != nil {
		for _, r := range c.queue.runs[c.queue.firstRun:] {
			n += int(r.count) * int(r.size)
		}
	}
	return n
}
