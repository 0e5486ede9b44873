package engine

// unasked is what may come of a conn that is not read, in bytes, besides MaxInput: what OnData
// left of one read, and one read more that was under way.
const unasked = 2 * readBuffer

// reading tells whether c takes input: it is neither paused nor has it yielded.
func (c *Conn) reading() bool { return !c.paused && !c.yielded }

// receive takes what was read from the socket. A transport that changes bytes,
// TLS, has its place between here and offer, and between flush and send.
func (c *Conn) receive(in []byte) {
	l := c.loop
	l.counters.Reads++
	l.counters.BytesIn += uint64(len(in))
	if c.Closed() {
		return
	}
	if len(c.unconsumed) > 0 || !c.reading() {
		c.keep(in)
		switch {
		case c.reading():
			c.offer()
		case len(c.unconsumed)-int(c.taken) > c.options.MaxInput+unasked:
			c.markEnded(ErrInputTooLarge)
		}
		if c.deaf {
			l.poll.pause(c) // gnet turned reading on again, see there
		}
		return
	}
	if rest := c.consume(in); len(rest) > 0 {
		c.keep(rest)
	}
}

// offer hands the carry to the handler.
func (c *Conn) offer() {
	if c.Closed() || !c.reading() || len(c.unconsumed) == 0 {
		return
	}
	rest := c.consume(c.unconsumed[c.taken:])
	if c.Closed() && !c.hasUndelivered() {
		return // the carry goes, or went, with it
	}
	if len(rest) == 0 {
		c.loop.buffers.put(c.unconsumed)
		c.unconsumed, c.taken = nil, 0
		return
	}
	c.taken = uint32(len(c.unconsumed) - len(rest))
	c.shrink(rest)
}

// shrink moves what is left of the carry into a buffer of its size, where most of a large one is free: a conn must not keep the room of a large message for the first byte of the
// next one.
func (c *Conn) shrink(rest []byte) {
	if cap(c.unconsumed) <= minBuffer || len(rest) > cap(c.unconsumed)/4 {
		return
	}
	small := append(c.loop.buffers.get(len(rest)), rest...)
	c.loop.buffers.put(c.unconsumed)
	c.unconsumed, c.taken = small, 0
}

// consume calls the handler and returns what it left; nothing once c has ended and all is heard.
func (c *Conn) consume(in []byte) (rest []byte) {
	n := c.callData(in)
	if c.Closed() && !c.hasUndelivered() {
		return nil
	}
	rest = in[min(max(n, 0), len(in)):]
	if len(rest) > c.options.MaxInput && c.reading() {
		c.markEnded(ErrInputTooLarge)
		return nil
	}
	return rest
}

// hasUndelivered tells whether c has ended with something of its peer that the handler has not been given.
func (c *Conn) hasUndelivered() bool { return c.retained != nil && c.retained.last != nil }

// deliverRemaining hands the handler what the peer had sent before its end, whole messages of which may be there. Without it a write that meets the end before the
// next read does would have the kernel throw that away.
func (c *Conn) deliverRemaining() {
	if !c.hasUndelivered() {
		return
	}
	c.keep(c.retained.last)
	c.retained.last = nil
	c.callData(c.unconsumed[c.taken:])
}

// Arrived tells whether the kernel has something of the peer's, its end for example, that has not
// been read: one that seems silent may not have been listened to. It costs a system call.
func (c *Conn) Arrived() bool {
	return c.g != nil && c.loop.kernel.arrived(c.g)
}

// Taken is how many bytes the peer's system has acknowledged since the connection was made, and how
// many of those written it has not, of which the kernel has some. A peer that reads slowly is one of
// which the first figure grows while the second is not 0. It costs two system calls. Where the system
// does not tell, nothing is acknowledged, and only what waits for the kernel is known.
func (c *Conn) Taken() (acked uint64, waiting int) {
	if c.g == nil {
		return 0, 0
	}
	acked, unacked := c.loop.kernel.taken(c.g)
	return acked, c.Buffered() + unacked
}

// unread is the number of bytes that were read and that OnData has left.
func (c *Conn) unread() int { return len(c.unconsumed) - int(c.taken) }

// keep appends to the carry.
func (c *Conn) keep(in []byte) {
	if c.taken > 0 && len(c.unconsumed)+len(in) > cap(c.unconsumed) {
		n := copy(c.unconsumed, c.unconsumed[c.taken:])
		c.unconsumed, c.taken = c.unconsumed[:n], 0
	}
	c.unconsumed = append(c.loop.buffers.grow(c.unconsumed, len(in)), in...)
}

// Pause stops reading: the kernel's buffers fill and TCP slows the peer down.
// OnData is not called until Resume, and the peer's end is not seen. Where the
// system has no way to pause, what arrives piles up to MaxInput and 256 KiB.
func (c *Conn) Pause() {
	if c.Closed() || c.paused {
		return
	}
	c.paused = true
	c.stopPolling()
}

// Resume goes on. What was read before and not consumed is offered at the end of
// the turn, also when OnData pauses and resumes c and leaves it then. Only when
// OnData has taken of that what it can is c read again: a peer that sends faster
// than c is resumed must not pile up here.
func (c *Conn) Resume() {
	if c.ended || !c.paused {
		return
	}
	c.paused = false
	if c.yielded || c.resumed {
		return // its turn comes
	}
	c.resumed = true
	c.loop.resumed = append(c.loop.resumed, c)
	c.loop.arm()
}

// stopPolling has the poller not look for input.
func (c *Conn) stopPolling() {
	if !c.deaf {
		c.deaf = true
		c.loop.poll.pause(c)
	}
}

// listen has the poller look for input again, unless c does not take any.
func (c *Conn) listen() {
	switch {
	case !c.deaf || !c.reading() || c.ended:
	case c.peer != peerSends: // deaf for ever
		c.callOnEnd()
	default:
		c.deaf = false
		c.loop.poll.resume(c)
	}
}
