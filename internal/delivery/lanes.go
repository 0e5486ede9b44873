package delivery

import "github.com/seed-7410fe32/sluice/internal/link"

// lanes are the clients that wait for a link's credit. Clients whose next message is large have a
// lane of their own: large messages are sent outside the window, one at a time, and small ones pass
// them. Owned by the loop.
type lanes struct {
	small, large creditQueue
	serving      *creditQueue // the lane that is served, which its waiting clients do not hold up; nil: none
}

// remove removes a client. It reports whether the client was there.
func (w *lanes) remove(c *Client) bool { return w.small.remove(c) || w.large.remove(c) }

// isFirst reports whether a client is the next of its lane.
func (w *lanes) isFirst(c *Client) bool { return w.small.isFirst(c) || w.large.isFirst(c) }

// of is the lane of a client whose next message has n bytes.
func (w *lanes) of(k *Link, n int) *creditQueue {
	if k.isLarge(link.HeaderSize + n) {
		return &w.large
	}
	return &w.small
}

// ofClient is the lane of a client.
func (w *lanes) ofClient(k *Link, c *Client) *creditQueue {
	if c.queue.held() == 0 {
		return &w.small
	}
	payload, _ := c.queue.oldest()
	return w.of(k, len(payload))
}

// awaitCredit adds a client to its lane.
func (b *Book) awaitCredit(c *Client) {
	k := c.link
	lane := k.lanes.ofClient(k, c)
	if lane == &k.lanes.large {
		c.place = uint32(lane.now / placeUnit) // large messages take turns: an earlier place does not count
	}
	lane.push(c, k.Share)
	c.state = Credit
	b.checkCreditFull(k)
}

// Credit serves the clients that wait for credit, each lane in its order, and then stalled clients.
func (b *Book) Credit(k *Link) {
	for b.serve(k, &k.lanes.small) || b.serve(k, &k.lanes.large) {
	}
	b.checkCreditFull(k)
	if k.Stalls && k.fits(max(k.window/2-link.HeaderSize, 0)) {
		k.Stalls = false
		b.host.Resume(k)
	}
}

// serve serves a lane. It reports whether clients have moved to the other lane, which can then be
// served.
func (b *Book) serve(k *Link, lane *creditQueue) (moved bool) {
	for len(lane.heap) > 0 {
		w := lane.pop()
		c := w.c
		before := c.bytes()
		c.state = Assigned
		k.lanes.serving = lane
		next := b.deliver(c)
		k.lanes.serving = nil
		sent := int(c.bytes() - before)
		if c.state == Forgotten || c.Link() != k {
			continue
		}
		lane.served(w, sent)
		if lane == &k.lanes.large {
			c.place = uint32(k.lanes.small.now / placeUnit)
		}
		switch {
		case next != Credit:
			b.enter(c, next)
		case k.lanes.ofClient(k, c) != lane:
			b.awaitCredit(c)
			moved = true
		default:
			lane.requeue(w, sent, k.Share)
			c.state = Credit
			return moved
		}
	}
	return moved
}

// checkCreditFull is called when the number of bytes that wait for the link's credit has changed.
func (b *Book) checkCreditFull(k *Link) {
	switch bound, waiting := k.window, k.lanes.small.bytes; {
	case !k.creditFull && waiting > bound:
		k.creditFull = true
	case k.creditFull && waiting <= bound/2:
		k.creditFull = false
		if !b.full { // else the stalled clients would stall again
			b.host.Resume(k)
		}
	}
}
