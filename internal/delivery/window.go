package delivery

// Events in flight count against the window of their link in one of several ways.

// counts is how events in flight count against the window.
type counts uint8

const (
	fully counts = iota
	late         // in flight for two heartbeats: only as far as they exceed lateWindows windows
	hung         // late, and an event of a later segment was acknowledged: not at all
	taken        // of a client that blocks: not at all
	ways
)

// counts is how events of the client in a segment count.
func (c *Client) counts(seg *segment) counts {
	if c.flags&blocks != 0 {
		return taken
	}
	return seg.counts
}

// count adds n bytes of events to what is in flight, or removes them if n is negative.
func (k *Link) count(seg *segment, as counts, n int, large bool) {
	switch {
	case as == taken:
		seg.taken += n
	case large:
		seg.large += n
	default:
		seg.small += n
	}
	if large {
		k.large[as] += n
	} else {
		k.small[as] += n
	}
}

// Block is the event that a handler of the client blocks: the worker has the client's events, and
// until it acknowledges the next one they are not to hold up other clients. c may be nil, or have
// another worker.
func (k *Link) Block(c *Client) {
	if c != nil && c.Link() == k && c.flags&blocks == 0 {
		k.countAll(c, -1)
		c.flags |= blocks
		k.countAll(c, 1)
	}
}

// unblock makes the events of a client in flight count as those of others, after Block.
func (k *Link) unblock(c *Client) {
	if c.flags&blocks != 0 {
		k.countAll(c, -1)
		c.flags &^= blocks
		k.countAll(c, 1)
	}
}

// Age is called at each heartbeat. It makes events late that were in flight for two heartbeats.
// Their worker is slow, or their handlers hang. If an event that was sent later is acknowledged,
// they hang, and must not use up the credit of other clients.
func (k *Link) Age() {
	for _, i := range k.log.order {
		seg := &k.log.all[i]
		switch {
		case seg.age < lateAge:
			seg.age++
			continue
		case seg.counts == fully:
			k.recount(seg, late)
		}
		if seg.counts == late && int32(k.log.acked-seg.nth) > 0 {
			k.recount(seg, hung)
		}
	}
}

// recount changes how the events of a segment count.
func (k *Link) recount(seg *segment, as counts) {
	n, l := seg.small, seg.large
	k.count(seg, seg.counts, -n, false)
	k.count(seg, seg.counts, -l, true)
	seg.counts = as
	k.count(seg, as, n, false)
	k.count(seg, as, l, true)
}

// countAll counts all events of the client in flight sign times.
func (k *Link) countAll(c *Client, sign int) {
	messages := c.out
	count := func(r *run, messages uint32) {
		seg, size := &k.log.all[r.segment], int(r.size)
		k.count(seg, c.counts(seg), sign*int(messages)*size, k.isLarge(size))
		k.count(seg, c.counts(seg), sign*int(uint32(r.count)-messages)*size, false)
	}
	switch {
	case c.flight.count == 0:
		return
	case c.flags&attachOut != 0: // it is a run of its own
		count(&c.flight, 0)
	default:
		some := min(messages, uint32(c.flight.count))
		count(&c.flight, some)
		messages -= some
	}
	if c.queue == nil {
		return
	}
	for i := range c.queue.runs[c.queue.firstRun:] {
		r := &c.queue.runs[c.queue.firstRun+i]
		some := min(messages, uint32(r.count))
		count(r, some)
		messages -= some
	}
}
