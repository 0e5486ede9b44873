package engine

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxHandOver    = 64 << 10  // most bytes gnet is given at once, and so most it holds
	earlyFlush     = 1 << 20   // bytes of one conn that do not wait for the turn's end
	turnFlush      = 112 << 10 // bytes of all conns that do not wait for the turn's end: of a link some 128 KiB with what the last callback adds
	immediateFlush = 16 << 20  // bytes of all conns that do not even wait for the callback's end
	roomAhead      = 256       // bytes Begin has ready at least
	envelopeRoom   = 64        // bytes Begin has ready for what a format puts around a message
	mostUsual      = 8 << 10   // most bytes a buffer begins with because the last one had to grow
)

// Write appends p to what goes out at the end of the turn, as one message. It
// copies. After the end of c it returns net.ErrClosed, and ErrDropped when a
// policy dropped the message at once.
func (c *Conn) Write(p []byte) error { return c.WriteAs(p, SendOptions{}) }

// WriteAs is Write of a message of the class.
func (c *Conn) WriteAs(p []byte, class SendOptions) error {
	if c.Closed() {
		return net.ErrClosed
	}
	c.reserve(len(p))
	return c.commit(append(c.out, p...), class)
}

// Begin lends c's out-buffer to append one message of about n bytes to, for
// Commit:
//
//	b := c.Begin(n)
//	b = append(b, ...)
//	err := c.Commit(b)
//
// Nothing may be written on the loop in between.
func (c *Conn) Begin(n int) []byte {
	if c.Closed() {
		return nil
	}
	c.reserve(max(n+envelopeRoom, roomAhead))
	return c.out
}

// Commit takes back what Begin lent, with the message appended. It returns what
// Write does.
func (c *Conn) Commit(b []byte) error { return c.CommitAs(b, SendOptions{}) }

// CommitAs is Commit of a message of the class.
func (c *Conn) CommitAs(b []byte, class SendOptions) error {
	if c.Closed() {
		return net.ErrClosed
	}
	if cap(b) != cap(c.out) {
		c.loop.buffers.put(c.out) // append went elsewhere
	}
	return c.commit(b, class)
}

// reserve makes place for n bytes behind out.
func (c *Conn) reserve(n int) {
	if c.shared != 0 {
		c.unshareOut(n)
	}
	if c.out == nil { // most turns are like the one before
		c.out = c.loop.buffers.get(max(n, int(c.usual)))
	}
	if cap(c.out)-len(c.out) < n {
		c.reclaim(n)
		c.out = c.loop.buffers.grow(c.out, n)
	}
}

// commit makes b the out-buffer. What it has more than before is one message.
func (c *Conn) commit(b []byte, class SendOptions) error {
	last := len(b) - len(c.out)
	c.out = b
	l := c.loop
	l.counters.MessagesOut++
	l.written += last
	if c.retained != nil && c.sent > 0 {
		c.retained.begins(len(b)-last, c.sent)
		c.retainSent()
	}
	if waiting := len(c.out) - c.sent; waiting >= earlyFlush || waiting > c.options.MaxOutput || c.backlog != nil {
		return c.bound(last, class)
	}
	c.markDirty()
	if l.written >= immediateFlush {
		l.written = 0
		l.dirty = flushAll(l.dirty)
	}
	return nil
}

// bound keeps what waits below MaxOutput, and is the one place that judges a
// slow consumer. last is the size of the message that was added just now.
func (c *Conn) bound(last int, class SendOptions) error {
	if class.Overflow == 0 {
		class.Overflow = c.options.Overflow
	}
	known, replaced := c.backlog != nil, false
	if known {
		class.Overflow, replaced = c.backlog.push(c, last, class)
	}
	if c.exceedsBound(last) || len(c.out)-c.sent >= earlyFlush {
		c.flush() // a burst to a fast reader is no offence
		if c.ended {
			return net.ErrClosed
		}
		if b := c.backlog; !known && b != nil && len(c.out)-c.sent >= last {
			b.from -= last
			b.push(c, last, class)
		}
	} else {
		c.markDirty()
	}
	if replaced && class.Overflow == DropNewest {
		class.Overflow = DropOldest // or there would be neither the older nor the newer one
	}
	err := c.makeRoom(last, class.Overflow)
	if c.account(); c.ended {
		err = ErrSlowConsumer
	}
	return err
}

// makeRoom does what is to be done when the newest message does not fit.
func (c *Conn) makeRoom(last int, policy Overflow) error {
	b, n := c.backlog, &c.loop.counters
	switch {
	case b == nil || !c.exceedsBound(last):
		return nil
	case policy == DropNewest && b.dropNewest(c):
		n.DroppedNewest++
		return ErrDropped
	case policy == DropNewest:
		return nil
	}
	n.DroppedOldest += uint64(b.dropOldest(c, last))
	if policy == CloseSlow && c.exceedsBound(last) {
		if c.options.ExcludeFromBudget {
			n.ExcludedCloses++
		} else {
			n.SlowConsumerCloses++
		}
		c.markEnded(ErrSlowConsumer)
	} else if b.lostNewest() {
		return ErrDropped
	}
	return nil
}

// exceedsBound tells whether too much waits. One message alone may be of any size.
func (c *Conn) exceedsBound(last int) bool {
	n := c.Buffered()
	return n > c.options.MaxOutput && n > last
}

// Buffered is the number of bytes written that the kernel has not taken.
func (c *Conn) Buffered() int {
	n := len(c.out) - c.sent
	if c.backlog != nil {
		n -= c.backlog.gone
	}
	if c.g != nil {
		n += c.g.OutboundBuffered()
	}
	return n
}

// markDirty has c flushed at the end of the turn.
func (c *Conn) markDirty() {
	if c.dirty {
		return
	}
	c.dirty = true
	l := c.loop
	l.dirty = append(l.dirty, c)
	if !l.armed {
		l.arm()
	}
}

// flush gives gnet as much as the kernel takes. What it does not take waits
// here, where it is bounded and can be dropped, and gnet holds a piece at most.
func (c *Conn) flush() {
	if c.g == nil || c.ended {
		return
	}
	for c.g.OutboundBuffered() == 0 && !c.retryLater() {
		p := c.next()
		if len(p) == 0 {
			c.flushed()
			return
		}
		p = p[:min(len(p), maxHandOver)]
		n := c.send(p)
		if c.ended {
			return
		}
		if n < len(p) {
			c.refused()
		}
	}
	c.block()
}

// next is what is to be sent first.
func (c *Conn) next() []byte {
	if c.backlog != nil {
		return c.backlog.next(c)
	}
	return c.out[c.sent:]
}

// send gives gnet p, which next returned, or of a deaf conn the kernel as much of it as that takes,
// and returns how much was taken. gnet closes the connection inside Write when the kernel says it is
// broken.
func (c *Conn) send(p []byte) int {
	counters, n := &c.loop.counters, len(p)
	counters.Writes++
	if c.deaf {
		n = c.write(p)
	} else {
		_, _ = c.g.Write(p)
	}
	counters.BytesOut += uint64(n)
	if c.ended {
		return n
	}
	if b := c.backlog; b != nil {
		b.advance(c, n)
		if n > 0 {
			b.moved = c.loop.engine.clock.Load() // gnet had nothing left
		}
	} else {
		c.sent += n
	}
	return n
}

// write gives the kernel what it takes of p, without gnet: that would turn reading on again each
// time that it has got rid of what the kernel did not take, and as often a conn that is not read
// would be read. What else the kernel says gnet is to hear, and closes the connection.
func (c *Conn) write(p []byte) int {
	if n, err := c.loop.kernel.write(c.g, p); err == nil {
		return n
	}
	_, _ = c.g.Write(p)
	return len(p)
}

// flushed comes when everything is with the kernel.
func (c *Conn) flushed() {
	c.emptied()
	if d := c.drain; d != nil && !d.shut {
		d.shut = true
		if err := unix.Shutdown(c.g.Fd(), unix.SHUT_WR); err != nil || c.peer != peerSends {
			c.markEnded(d.reason)
			return
		}
		c.loop.Schedule(&d.Timer, min(linger, time.Until(d.deadline)))
	}
}

// emptied gives the out-buffer back when nothing in it is left to send.
func (c *Conn) emptied() {
	if c.shared != 0 {
		c.unshare()
		c.sent = 0
	}
	if c.out != nil {
		if c.retained != nil {
			c.usual = uint32(min(len(c.out), 2*maxHandOver))
			c.retain()
		} else {
			c.usual = uint32(min(len(c.out), mostUsual))
			c.loop.buffers.put(c.out)
		}
		c.out, c.sent = nil, 0
	}
	c.dropBacklog()
}
