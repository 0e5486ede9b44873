package delivery

import (
	"math"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// What is in flight to a worker stays in the buffers in which it was written to the link. So
// redelivery needs no copy of each message. A segment is such a buffer, and counts its events that
// are in flight. When there are none left, the buffer is used again. A client remembers its events
// in flight as runs of equal events: of one size and in one segment.

// run is some consecutive events of a client in flight.
type run struct {
	segment uint16 // index in segments.all
	count   uint16
	size    uint32 // of each, as a frame
}

// segment is one buffer of a link's output. The current one is still being written.
type segment struct {
	bytes        []byte // nil until it is flushed; bound: messages a worker has not acknowledged
	serial       uint32 // the engine's number of the buffer
	events       int    // in flight
	small, large int    // bytes of those
	taken        int    // bytes of those of clients that block, which are not in small and large
	flushed      bool
	age          uint8  // heartbeats since it was flushed
	counts       counts // how its events count against the window
	nth          uint32 // segments are numbered in the order in which they were begun
}

// segments are the segments of a link that have events in flight, and the current one.
type segments struct {
	all   []segment // bound: messages a worker has not acknowledged
	free  []uint16  // unused indexes of all
	order []uint16  // flushed segments, oldest first
	open  []uint16  // segments that are not flushed, oldest first; the last one is current
	kept  int       // capacity of the flushed segments' buffers, in bytes
	begun uint32    // number of the newest segment
	acked uint32    // number of the newest segment of which an event was acknowledged
}

const (
	keptSlack   = 1 << 20  // bytes kept in addition to three times the bytes in flight
	gatherSize  = 64 << 10 // size of a segment that gather fills, in bytes
	maxSegments = math.MaxUint16
	lateAge     = 2 // heartbeats after which events are late
)

// current returns the index of the segment that the engine writes now.
func (g *segments) current(serial uint32) uint16 {
	if n := len(g.open); n > 0 && g.all[g.open[n-1]].serial == serial {
		return g.open[n-1]
	}
	i := g.take()
	g.begun++
	g.all[i].serial, g.all[i].nth = serial, g.begun
	g.open = append(g.open, i)
	return i
}

// take returns the index of an empty segment.
func (g *segments) take() uint16 {
	if n := len(g.free); n > 0 {
		i := g.free[n-1]
		g.free = g.free[:n-1]
		g.all[i] = segment{}
		return i
	}
	g.all = append(g.all, segment{})
	return uint16(len(g.all) - 1)
}

// full reports whether no index is left for another segment.
func (g *segments) full() bool { return len(g.free) == 0 && len(g.all) >= maxSegments }

// add counts an event of n bytes that is written to the client's link now.
func (b *Book) add(c *Client, serial uint32, n int, message bool) {
	k := c.link
	if k.log.full() {
		b.gather(k)
	}
	i := k.log.current(serial)
	seg := &k.log.all[i]
	seg.events++
	k.events++
	k.count(seg, c.counts(seg), n, message && k.isLarge(n))
	if message {
		c.out++
	}
	if c.flight.count == 0 {
		c.flight = run{i, 1, uint32(n)}
		return
	}
	q := c.queue
	switch {
	case q != nil && len(q.runs) > 0:
		q.runBytes += uint32(n)
		if last := &q.runs[len(q.runs)-1]; last.continues(i, n) {
			last.count++
			return
		}
	case c.flags&attachOut == 0 && c.flight.continues(i, n):
		c.flight.count++
		return
	default:
		if q == nil {
			q = b.queues.take()
			c.queue = q
		}
		q.runBytes = uint32(n)
	}
	q.runs = append(q.runs, run{i, 1, uint32(n)})
}

// continues reports whether an event of n bytes in the segment may be another one of the run.
func (r *run) continues(segment uint16, n int) bool {
	return r.segment == segment && r.size == uint32(n) && r.count < math.MaxUint16
}

// remove removes the client's n oldest events in flight. They are messages, or one event of another
// type.
func (b *Book) remove(c *Client, n uint32, message bool) {
	k := c.link
	k.events -= int(n)
	for n > 0 {
		r := &c.flight
		some := min(n, uint32(r.count))
		seg := &k.log.all[r.segment]
		k.count(seg, c.counts(seg), -int(some*r.size), message && k.isLarge(int(r.size)))
		if int32(seg.nth-k.log.acked) > 0 {
			k.log.acked = seg.nth
		}
		if seg.events -= int(some); seg.events == 0 && seg.flushed {
			b.release(k, r.segment)
		}
		n -= some
		if r.count -= uint16(some); r.count == 0 {
			if q := c.queue; q != nil && q.firstRun < len(q.runs) {
				*r = q.runs[q.firstRun]
				q.runBytes -= uint32(r.count) * r.size
				b.nextRun(c)
			}
		}
	}
}

// nextRun removes the oldest run of the client's queue.
func (b *Book) nextRun(c *Client) {
	q := c.queue
	if q.firstRun++; q.firstRun == len(q.runs) {
		q.runs, q.firstRun = q.runs[:0], 0
		b.dropEmpty(c)
	} else if q.firstRun > len(q.runs)/2 {
		q.runs, q.firstRun = q.runs[:copy(q.runs, q.runs[q.firstRun:])], 0
	}
}

// dropEmpty releases the client's queue if it has nothing.
func (b *Book) dropEmpty(c *Client) {
	if q := c.queue; q != nil && q.waiting == 0 && len(q.runs) == 0 {
		b.queues.put(q)
		c.queue = nil
	}
}

// release gives back a flushed segment that has no events in flight.
func (b *Book) release(k *Link, i uint16) {
	g := &k.log
	seg := &g.all[i]
	g.kept -= cap(seg.bytes)
	g.order = slices.DeleteFunc(g.order, func(o uint16) bool { return o == i })
	b.free(g, i)
}

// free returns the buffer and the index of a segment.
func (b *Book) free(g *segments, i uint16) {
	b.host.Recycle(g.all[i].bytes)
	g.all[i] = segment{}
	g.free = append(g.free, i)
}

// Flushed takes a buffer of the link's output that the kernel has accepted, with the number that
// the Host gave it. It is kept as long as an event in it is in flight.
func (b *Book) Flushed(k *Link, bytes []byte, serial uint32) {
	g := &k.log
	at := slices.IndexFunc(g.open, func(i uint16) bool { return g.all[i].serial == serial })
	if at < 0 { // it has no events
		b.host.Recycle(bytes)
		return
	}
	i := g.open[at]
	g.open = slices.Delete(g.open, at, at+1)
	seg := &g.all[i]
	seg.bytes, seg.flushed = bytes, true
	if seg.events == 0 {
		b.free(g, i)
		return
	}
	g.order = append(g.order, i)
	g.kept += cap(bytes)
	if _, out := k.InFlight(); g.kept > 3*out+keptSlack {
		b.gather(k)
	}
}

// gather copies the events in flight together, and releases the buffers that have few of them. A
// buffer that is at least half full of them is kept, unless they fit into the one before it. So an
// event that stays in flight is copied once, however often gather is called.
func (b *Book) gather(k *Link) {
	g := &k.log
	old := g.order
	g.order, g.kept = make([]uint16, 0, len(old)), 0
	for _, i := range old {
		from := &g.all[i]
		size := from.small + from.large + from.taken
		to := g.last(size, from.counts)
		if to == nil && 2*size >= cap(from.bytes) {
			g.order = append(g.order, i)
			g.kept += cap(from.bytes)
			continue
		}
		if to == nil {
			n := g.take()
			from = &g.all[i]
			g.all[n] = segment{bytes: make([]byte, 0, max(gatherSize, size)), flushed: true, counts: from.counts}
			g.order = append(g.order, n)
			g.kept += cap(g.all[n].bytes)
			to = &g.all[n]
		}
		n := g.order[len(g.order)-1]
		for c, f := range b.inFlight(k, from.bytes) {
			to.bytes = link.Append(to.bytes, f)
			c.repoint(i, n)
		}
		to.events, to.small, to.large = to.events+from.events, to.small+from.small, to.large+from.large
		to.taken += from.taken
		to.age, to.nth = from.age, from.nth
		b.free(g, i)
	}
}

// last returns the newest segment in order if it has space for n bytes of events that count the
// same.
func (g *segments) last(n int, as counts) *segment {
	if len(g.order) == 0 {
		return nil
	}
	seg := &g.all[g.order[len(g.order)-1]]
	if cap(seg.bytes)-len(seg.bytes) < n || seg.counts != as {
		return nil
	}
	return seg
}

// repoint notes that the client's events of one segment are in another one now.
func (c *Client) repoint(from, to uint16) {
	if c.flight.segment == from {
		c.flight.segment = to
	}
	if c.queue == nil {
		return
	}
	for i := range c.queue.runs {
		if r := &c.queue.runs[i]; r.segment == from {
			r.segment = to
		}
	}
}

// inFlight yields the events in flight in a buffer of the link, and their clients.
func (b *Book) inFlight(k *Link, in []byte) func(func(*Client, *link.Frame) bool) {
	return func(yield func(*Client, *link.Frame) bool) {
		for len(in) > 0 {
			var f link.Frame
			n, err := link.Next(in, link.MaxFrame, &f)
			if n == 0 || err != nil {
				return // never: the buffer has whole frames
			}
			in = in[n:]
			if f.Type > link.Detach || f.Type == link.Detach && f.Has(link.FlagMoved) {
				continue
			}
			if c := b.host.Client(f.Slot, f.Token); c != nil && c.Link() == k && c.hasOut(&f) && !yield(c, &f) {
				return
			}
		}
	}
}

// hasOut reports whether an event that was sent on the client's link is in flight.
func (c *Client) hasOut(f *link.Frame) bool {
	switch f.Type {
	case link.Attach:
		return c.flags&attachOut != 0
	case link.Message:
		return f.ID-c.handled-1 < c.out
	}
	return c.state == Detached
}

// requeue puts the messages in flight of a link that has ended back into the queues of their
// clients, before the queued ones. They are marked as redelivered.
func (b *Book) requeue(k *Link, in []byte) {
	for c, f := range b.inFlight(k, in) {
		switch {
		case f.Type != link.Message:
			continue
		case c.Entry() == Rejected: // it cannot be Abandoned: then no worker has it
			b.MessagesRejected++
			continue
		case c.queue == nil || !c.queue.requeued:
			q := b.queues.take()
			q.behind, q.requeued = c.queue, true
			c.queue = q
		}
		c.queue.push(f.Payload, f.Flags|link.FlagRedelivered)
		b.Redelivered++
	}
}

// joinRequeued ends requeue for a client.
func (b *Book) joinRequeued(c *Client) {
	q := c.queue
	if q == nil || !q.requeued {
		return
	}
	b.addQueued(q.Size())
	if q.behind != nil {
		q.join(q.behind)
		b.queues.put(q.behind)
	}
	q.behind, q.requeued = nil, false
}
