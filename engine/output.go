package engine

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxHandOver    = 64 << 10  // most bytes passed to gnet at once, and so the most it holds
	minHandOver    = 4 << 10   // the same, however small MaxOutput is
	earlyFlush     = 1 << 20   // bytes of one conn from which a flush does not wait for the end of the turn
	turnFlush      = 112 << 10 // the same, bytes of all conns; with the last callback's, some 128 KiB of a link
	immediateFlush = 16 << 20  // bytes of all conns from which a flush does not wait for the end of the callback
	roomAhead      = 256       // least capacity that Begin returns
	envelopeRoom   = 64        // capacity that Begin adds for the framing that a format puts around a message
	maxUsual       = 8 << 10   // most bytes of a new buffer that is sized after the last flush
)

// Write appends a copy of p, as one message, to the output that is sent at the end of the turn. It
// returns net.ErrClosed after the end of c, and ErrDropped if the message was dropped at once.
func (c *Conn) Write(p []byte) error { return c.WriteAs(p, SendOptions{}) }

// WriteAs is like Write, with options for the message.
func (c *Conn) WriteAs(p []byte, opts SendOptions) error {
	if c.Closed() {
		return net.ErrClosed
	}
	c.reserve(len(p))
	return c.commit(append(c.out, p...), opts)
}

// Begin lends c's output buffer to the caller, with capacity for a message of about n bytes. The
// caller appends one message and passes the buffer to Commit:
//
//	b := c.Begin(n)
//	b = append(b, ...)
//	err := c.Commit(b)
//
// Nothing else may be written on the loop in between.
func (c *Conn) Begin(n int) []byte {
	if c.Closed() {
		return nil
	}
	c.reserve(max(n+envelopeRoom, roomAhead))
	return c.out
}

// Commit takes back the buffer from Begin, with the message appended. It returns the same errors as
// Write.
func (c *Conn) Commit(b []byte) error { return c.CommitAs(b, SendOptions{}) }

// CommitAs is like Commit, with options for the message.
func (c *Conn) CommitAs(b []byte, opts SendOptions) error {
	if c.Closed() {
		return net.ErrClosed
	}
	if cap(b) != cap(c.out) {
		c.loop.buffers.put(c.out) // append has moved the bytes to another buffer
	}
	return c.commit(b, opts)
}

// reserve makes capacity for n bytes after out.
func (c *Conn) reserve(n int) {
	if c.shared != 0 {
		c.unshareOut(n)
	}
	if c.out == nil { // most turns write about as much as the one before
		c.out = c.loop.buffers.get(max(n, int(c.usual)))
	}
	if cap(c.out)-len(c.out) < n {
		c.reclaim(n)
		c.out = c.loop.buffers.grow(c.out, n)
	}
}

// commit makes b the output buffer. The bytes after the current len(c.out) are one message.
func (c *Conn) commit(b []byte, opts SendOptions) error {
	last := len(b) - len(c.out)
	c.out = b
	l := c.loop
	l.counters.MessagesOut++
	l.written += last
	if c.retained != nil {
		c.retainSent()
	}
	if waiting := len(c.out) - c.sent; waiting >= earlyFlush || waiting > c.options.MaxOutput || c.backlog != nil {
		return c.bound(last, opts)
	}
	c.markDirty()
	if l.written >= immediateFlush {
		l.written = 0
		l.dirty = flushAll(l.dirty)
	}
	return nil
}

// bound keeps the waiting bytes below MaxOutput. It is the only place that decides about a slow
// consumer. last is the size of the message that was just added.
func (c *Conn) bound(last int, opts SendOptions) error {
	if opts.Overflow == 0 {
		opts.Overflow = c.options.Overflow
	}
	known, replaced := c.backlog != nil, false
	if known {
		opts.Overflow, replaced = c.backlog.push(c, last, opts)
	}
	if c.exceedsBound(last) || len(c.out)-c.sent >= earlyFlush {
		c.flush() // a burst to a fast reader is allowed
		if c.ended {
			return net.ErrClosed
		}
		if b := c.backlog; !known && b != nil && len(c.out)-c.sent >= last {
			b.from -= last
			b.push(c, last, opts)
		}
	} else {
		c.markDirty()
	}
	if replaced && opts.Overflow == DropNewest {
		opts.Overflow = DropOldest // otherwise both the older and the newer message would be lost
	}
	err := c.makeRoom(last, opts.Overflow)
	if c.account(); c.ended {
		err = ErrSlowConsumer
	}
	return err
}

// makeRoom applies the policy when the newest message does not fit.
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

// exceedsBound reports whether more than MaxOutput bytes wait. A single message may be of any size.
func (c *Conn) exceedsBound(last int) bool {
	n := c.Buffered()
	return n > c.options.MaxOutput && n > last
}

// Buffered returns the number of bytes that were written and that the kernel has not accepted.
func (c *Conn) Buffered() int {
	n := len(c.out) - c.sent
	if c.backlog != nil {
		n -= c.backlog.droppedBytes
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

// flush passes to gnet as much as the kernel accepts. The rest stays in out and the backlog, where
// it is limited and can be dropped. gnet holds at most maxHandOver bytes, and half of MaxOutput:
// otherwise a message that must not be dropped might not fit beside what cannot be dropped any
// more.
func (c *Conn) flush() {
	if c.g == nil || c.ended {
		return
	}
	for c.g.OutboundBuffered() == 0 && !c.retryLater() {
		p := c.next()
		if len(p) == 0 {
			if c.drain != nil && notifies(c) {
				if c.ended {
					return
				}
				continue
			}
			c.flushed()
			return
		}
		p = p[:min(len(p), maxHandOver, max(c.options.MaxOutput/2, minHandOver))]
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

// next returns the bytes that are to be sent first.
func (c *Conn) next() []byte {
	if c.backlog != nil {
		return c.backlog.next(c)
	}
	return c.out[c.sent:]
}

// send passes p, which next returned, to gnet and returns how many bytes were accepted. The output
// of an unpolled conn goes to the kernel directly, as far as it accepts it. gnet closes the
// connection inside Write when the kernel reports that it is broken.
func (c *Conn) send(p []byte) int {
	counters, n := &c.loop.counters, len(p)
	counters.Writes++
	if c.unpolled {
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
			b.moved = c.loop.engine.clock.Load() // gnet had nothing left to send
		}
	} else {
		c.sent += n
	}
	return n
}

// write passes p to the kernel without gnet and returns how many bytes were accepted. gnet would
// enable reading again each time that it has sent the bytes that the kernel did not accept at
// first, and so read a conn that must not be read. Any other error is left to gnet, which closes
// the connection.
func (c *Conn) write(p []byte) int {
	if s := secureOf(c); s != nil {
		_, _ = s.Write(p)
		return len(p)
	}
	if n, err := c.loop.kernel.write(c.g, p); err == nil {
		return n
	}
	_, _ = c.g.Write(p)
	return len(p)
}

// flushed is called when the kernel has accepted all output.
func (c *Conn) flushed() {
	c.emptied()
	if d := c.drain; d != nil && !d.shut {
		d.shut = true
		if err := unix.Shutdown(c.g.Fd(), unix.SHUT_WR); err != nil || c.peer.ended() {
			c.markEnded(d.reason)
			return
		}
		c.loop.Schedule(&d.Timer, min(linger, time.Until(d.deadline)))
	}
}

// emptied releases the output buffer when nothing in it is left to send.
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
			c.usual = uint32(min(len(c.out), maxUsual))
			c.loop.buffers.put(c.out)
		}
		c.out, c.sent = nil, 0
	}
	c.dropBacklog()
}
