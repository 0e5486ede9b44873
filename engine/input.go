package engine

// receive takes what was read from the socket. A transport that changes bytes,
// TLS, has its place between here and offer, and between flush and send.
func (c *Conn) receive(in []byte) {
	l := c.loop
	l.counters.Reads++
	l.counters.BytesIn += uint64(len(in))
	if c.Closed() {
		return
	}
	if len(c.carry) > 0 || c.paused {
		c.keep(in)
		if !c.paused {
			c.offer()
		} else if len(c.carry)-int(c.taken) > c.options.MaxInput {
			c.markEnded(ErrInputTooLarge)
		} else {
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
	if c.Closed() || c.paused || len(c.carry) == 0 {
		return
	}
	rest := c.consume(c.carry[c.taken:])
	if c.Closed() {
		return // the carry goes, or went, with it
	}
	if len(rest) == 0 {
		c.loop.buffers.put(c.carry)
		c.carry, c.taken = nil, 0
		return
	}
	c.taken = uint32(len(c.carry) - len(rest))
}

// consume calls the handler and returns what it left; nothing once c has ended.
func (c *Conn) consume(in []byte) (rest []byte) {
	n := c.callData(in)
	if c.Closed() {
		return nil
	}
	rest = in[min(max(n, 0), len(in)):]
	if len(rest) > c.options.MaxInput && !c.paused {
		c.markEnded(ErrInputTooLarge)
		return nil
	}
	return rest
}

// Unread is the number of bytes that were read and that OnData has left.
func (c *Conn) Unread() int { return len(c.carry) - int(c.taken) }

// keep appends to the carry.
func (c *Conn) keep(in []byte) {
	if c.taken > 0 && len(c.carry)+len(in) > cap(c.carry) {
		n := copy(c.carry, c.carry[c.taken:])
		c.carry, c.taken = c.carry[:n], 0
	}
	c.carry = append(c.loop.buffers.grow(c.carry, len(in)), in...)
}

// Pause stops reading: the kernel's buffers fill and TCP slows the peer down.
// OnData is not called until Resume, and the peer's end is not seen. Where the
// system has no way to pause, what arrives piles up to MaxInput.
func (c *Conn) Pause() {
	if c.Closed() || c.paused {
		return
	}
	c.paused = true
	c.loop.poll.pause(c)
}

// Resume goes on reading. What was read before and not consumed is offered at
// the end of the turn.
func (c *Conn) Resume() {
	if c.ended || !c.paused {
		return
	}
	c.paused = false
	c.loop.poll.resume(c)
	if !c.resumed && len(c.carry) > 0 {
		c.resumed = true
		c.loop.resumed = append(c.loop.resumed, c)
		c.loop.arm()
	}
}
