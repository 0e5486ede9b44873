package engine

// pausedInput is the number of bytes, besides MaxInput, that a conn may have after reading stopped:
// the bytes that OnData left of one read, and one more read that was in progress.
const pausedInput = 2 * readBuffer

// reading reports whether c accepts input: it is neither paused nor has it yielded.
func (c *Conn) reading() bool { return !c.paused && !c.yielded }

// receive accepts the bytes that were read from the socket, or that TLS has decrypted (see secure).
// The header of a proxy comes first.
func (c *Conn) receive(in []byte) {
	l := c.loop
	l.counters.Reads++
	l.counters.BytesIn += uint64(len(in))
	if c.Closed() {
		return
	}
	if c.peer.begins() {
		if in = readHeader(c, in); len(in) == 0 || c.Closed() {
			return
		}
	}
	if len(c.unconsumed) > 0 || !c.reading() {
		c.keep(in)
		switch {
		case c.reading():
			c.offer()
		case len(c.unconsumed)-int(c.taken) > c.options.MaxInput+pausedInput:
			c.markEnded(ErrInputTooLarge)
		}
		if c.unpolled {
			l.poll.pause(c) // gnet enabled reading again, see pause
		}
		return
	}
	if rest := c.consume(in); len(rest) > 0 {
		c.keep(rest)
	}
}

// offer passes the unconsumed bytes to the handler.
func (c *Conn) offer() {
	if c.Closed() || !c.reading() || len(c.unconsumed) == 0 || c.peer == peerSendsHeader {
		return
	}
	rest := c.consume(c.unconsumed[c.taken:])
	if c.Closed() && !c.retained.undelivered() {
		return // the buffer has been or will be released by teardown
	}
	if len(rest) == 0 {
		c.loop.buffers.put(c.unconsumed)
		c.unconsumed, c.taken = nil, 0
		return
	}
	c.taken = uint32(len(c.unconsumed) - len(rest))
	c.shrink(rest)
}

// shrink moves the rest of the unconsumed bytes into a smaller buffer when most of a large one is
// free: a conn must not hold the memory of a large message for the first byte of the next one.
func (c *Conn) shrink(rest []byte) {
	if cap(c.unconsumed) <= minBuffer || len(rest) > cap(c.unconsumed)/4 {
		return
	}
	small := append(c.loop.buffers.get(len(rest)), rest...)
	c.loop.buffers.put(c.unconsumed)
	c.unconsumed, c.taken = small, 0
}

// consume calls the handler and returns the bytes it left. It returns nil once c has ended and all
// input was delivered.
func (c *Conn) consume(in []byte) (rest []byte) {
	n := c.callData(in)
	if c.Closed() && !c.retained.undelivered() {
		return nil
	}
	rest = in[min(max(n, 0), len(in)):]
	if len(rest) > c.options.MaxInput && c.reading() {
		c.markEnded(ErrInputTooLarge)
		return nil
	}
	return rest
}

// deliverRemaining passes to the handler the bytes that the peer sent before the connection broke.
// They may contain whole messages. Without it, the kernel would discard them when a write finds the
// broken connection before the next read does.
func (c *Conn) deliverRemaining() {
	if !c.retained.undelivered() {
		return
	}
	c.keep(c.retained.last)
	c.retained.last = nil
	c.callData(c.unconsumed[c.taken:])
}

// Arrived reports whether the kernel has unread input of the peer, or its FIN. A peer that seems
// silent may just not have been read. It costs a system call.
func (c *Conn) Arrived() bool {
	return c.g != nil && c.loop.kernel.arrived(c.g)
}

// Taken returns how many bytes the peer's system has acknowledged since the connection was made,
// and how many written bytes it has not acknowledged, including those in the kernel. If the first
// number grows and the second is not 0, the peer reads slowly. It costs two system calls. On
// systems that do not report it, acked is 0 and waiting has only the bytes that wait for the
// kernel.
func (c *Conn) Taken() (acked uint64, waiting int) {
	if c.g == nil {
		return 0, 0
	}
	acked, unacked := c.loop.kernel.taken(c.g)
	return acked, c.Buffered() + unacked
}

// Unread returns the number of bytes that were read and that OnData has left.
func (c *Conn) Unread() int { return len(c.unconsumed) - int(c.taken) }

// keep appends to the unconsumed bytes.
func (c *Conn) keep(in []byte) {
	if c.taken > 0 && len(c.unconsumed)+len(in) > cap(c.unconsumed) {
		n := copy(c.unconsumed, c.unconsumed[c.taken:])
		c.unconsumed, c.taken = c.unconsumed[:n], 0
	}
	c.unconsumed = append(c.loop.buffers.grow(c.unconsumed, len(in)), in...)
}

// Pause stops reading. The kernel's buffers fill up and TCP slows the peer down. Until Resume,
// OnData is not called and a FIN of the peer is not seen. On systems that cannot stop reading,
// input is kept in memory up to MaxInput plus 256 KiB.
func (c *Conn) Pause() {
	if c.Closed() || c.paused {
		return
	}
	c.paused = true
	c.stopPolling()
}

// Resume starts reading again. Bytes that were read before and not consumed are passed to OnData at
// the end of the turn, even if OnData itself pauses and resumes c and leaves them. c is read again
// only after OnData has consumed what it can of those bytes: a peer that sends faster than c is
// resumed must not fill the memory.
func (c *Conn) Resume() {
	if c.ended || !c.paused {
		return
	}
	c.paused = false
	if c.yielded || c.resumed {
		return // offerYielded or offerResumed will offer it
	}
	c.resumed = true
	c.loop.resumed = append(c.loop.resumed, c)
	c.loop.arm()
}

// stopPolling makes the poller stop looking for input.
func (c *Conn) stopPolling() {
	if !c.unpolled {
		c.unpolled = true
		c.loop.poll.pause(c)
	}
}

// listen makes the poller look for input again, if c accepts input.
func (c *Conn) listen() {
	switch {
	case !c.unpolled || !c.reading() || c.ended:
	case c.peer.ended(): // the peer's side has ended: never polled again
		c.callOnEnd()
	default:
		c.unpolled = false
		c.loop.poll.resume(c)
	}
}
