package engine

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	piece     = 64 << 10  // most bytes gnet is given at once, and so most it holds
	early     = 1 << 20   // bytes of one conn that do not wait for the turn's end
	warm      = 128 << 10 // bytes of all conns that do not wait for the turn's end
	roomAhead = 256       // bytes Begin has ready at least
	mostUsual = 8 << 10   // most bytes a buffer begins with because the last one had to grow
)

// Write appends p to what goes out at the end of the turn, as one message. It
// copies. After the end of c it returns net.ErrClosed.
func (c *Conn) Write(p []byte) error {
	if c.Closed() {
		return net.ErrClosed
	}
	c.room(len(p))
	return c.commit(append(c.out, p...))
}

// Begin lends c's out-buffer to append one message to, for Commit:
//
//	b := c.Begin()
//	b = append(b, ...)
//	err := c.Commit(b)
//
// Nothing else may be done to c in between.
func (c *Conn) Begin() []byte {
	if c.Closed() {
		return nil
	}
	c.room(roomAhead)
	return c.out
}

// Commit takes back what Begin lent, with the message appended.
func (c *Conn) Commit(b []byte) error {
	if c.Closed() {
		return net.ErrClosed
	}
	if cap(b) != cap(c.out) {
		c.loop.buffers.put(c.out) // append went elsewhere
	}
	return c.commit(b)
}

// room makes place for n bytes behind out.
func (c *Conn) room(n int) {
	if c.out == nil { // most turns are like the one before
		c.out = c.loop.buffers.get(max(n, int(c.usual)))
	}
	if cap(c.out)-len(c.out) < n {
		c.reclaim(n)
		c.out = c.loop.buffers.grow(c.out, n)
	}
}

// commit makes b the out-buffer. What it has more than before is one message.
func (c *Conn) commit(b []byte) error {
	last := len(b) - len(c.out)
	c.out = b
	c.loop.counters.MessagesOut++
	c.loop.written += last
	if c.backlog != nil {
		c.backlog.push(last)
	}
	if c.retained != nil && c.sent > 0 {
		c.retained.begins(len(b)-last, c.sent)
		c.part()
	}
	if waiting := len(c.out) - c.sent; waiting >= early || waiting > c.options.MaxOutput || c.slow {
		return c.bound(last)
	}
	c.markDirty()
	return nil
}

// bound keeps what waits below MaxOutput, and is the one place that judges a
// slow consumer. last is the size of the message that was added just now.
func (c *Conn) bound(last int) error {
	if c.over(last) || len(c.out)-c.sent >= early {
		unknown := c.backlog == nil
		c.flush() // a burst to a fast reader is no offence
		if c.ended {
			return net.ErrClosed
		}
		if b := c.backlog; unknown && b != nil && len(c.out)-c.sent >= last {
			b.from, b.start = b.from-last, b.start-last
			b.push(last)
		}
	} else {
		c.markDirty()
	}
	if !c.over(last) {
		return nil
	}
	n := &c.loop.counters
	switch c.options.Overflow {
	case DropNewest:
		n.DroppedNewest += uint64(c.dropNewest())
	case DropOldest:
		n.DroppedOldest += uint64(c.dropOldest(c.Buffered() - c.options.MaxOutput))
	default:
		n.SlowCloses++
		c.markEnded(ErrSlowConsumer)
		return ErrSlowConsumer
	}
	return nil
}

// over tells whether too much waits. One message alone may be of any size.
func (c *Conn) over(last int) bool {
	n := c.Buffered()
	return n > c.options.MaxOutput && n > last
}

// Flush writes out what waits without waiting for the end of the turn.
func (c *Conn) Flush() {
	if !c.ended {
		c.flush()
	}
}

// Buffered is the number of bytes written that the kernel has not taken.
func (c *Conn) Buffered() int {
	n := len(c.out) - c.sent
	if c.backlog != nil {
		n -= c.backlog.hole()
	}
	if c.g != nil {
		n += c.g.OutboundBuffered()
	}
	return n
}

// markDirty has c flushed soon: at the end of the turn or, if c is prompt, of the
// callback in progress.
func (c *Conn) markDirty() {
	if c.dirty {
		return
	}
	c.dirty = true
	l := c.loop
	if c.options.Prompt && l.busy {
		l.prompt = append(l.prompt, c)
		return
	}
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
	for c.g.OutboundBuffered() == 0 {
		p := c.next()
		if len(p) == 0 {
			c.flushed()
			return
		}
		if !c.send(p[:min(len(p), piece)]) {
			return
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

// send gives gnet p, which next returned, and tells whether c lives on: gnet
// closes the connection inside Write when the kernel says it is broken.
func (c *Conn) send(p []byte) bool {
	n := &c.loop.counters
	n.Writes++
	n.BytesOut += uint64(len(p))
	_, _ = c.g.Write(p)
	if c.ended {
		return false
	}
	if c.backlog != nil {
		c.backlog.advance(c, len(p))
	} else {
		c.sent += len(p)
	}
	return true
}

// flushed comes when everything is with the kernel.
func (c *Conn) flushed() {
	c.emptied()
	if d := c.drain; d != nil && !d.shut {
		d.shut = true
		if err := unix.Shutdown(c.g.Fd(), unix.SHUT_WR); err != nil {
			c.markEnded(c.reason)
			return
		}
		c.loop.Schedule(&d.Timer, min(linger, time.Until(d.deadline)))
	}
}

// emptied gives the out-buffer back when nothing in it is left to send.
func (c *Conn) emptied() {
	if c.out != nil {
		if c.retained != nil {
			c.usual = uint32(min(len(c.out), piece))
			c.retain()
		} else {
			c.usual = uint32(min(len(c.out), mostUsual))
			c.loop.buffers.put(c.out)
		}
		c.out, c.sent = nil, 0
	}
	c.backlog = nil
}

// block puts c among those the loop comes back to.
func (c *Conn) block() {
	if len(c.next()) == 0 {
		c.emptied()
	}
	if c.backlog == nil && c.options.Overflow != CloseSlow {
		c.backlog = &backlog{}
		c.backlog.begin(c)
	}
	if c.paused {
		c.loop.poll.pause(c) // gnet's write turned reading on again
	}
	if !c.slow {
		c.slow = true
		c.loop.blocked = append(c.loop.blocked, c)
		c.loop.hurry()
	}
}

// hurry has the pacemaker come by every few milliseconds.
func (l *Loop) hurry() {
	if l.hurrying {
		return
	}
	l.hurrying = true
	l.wantsHurry.Store(true)
	select {
	case l.engine.nudge <- struct{}{}:
	default:
	}
}

// checkBlocked goes on with those whose bytes gnet has got rid of.
func (l *Loop) checkBlocked() {
	if !l.hurrying {
		return
	}
	list := l.blocked
	l.blocked = l.blocked[:0]
	for i, c := range list {
		list[i] = nil
		if c.ended {
			c.slow = false
			continue
		}
		if c.g.OutboundBuffered() > 0 {
			l.blocked = append(l.blocked, c)
			continue
		}
		if c.paused {
			l.poll.pause(c) // gnet turned reading on when it had drained
		}
		c.slow = false
		c.flush()
	}
	if len(l.blocked) == 0 {
		l.hurrying = false
		l.wantsHurry.Store(false)
	}
}
