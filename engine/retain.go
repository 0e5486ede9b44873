package engine

// Flushed is a buffer of a conn with ConnOptions.Retain that the kernel has accepted. It contains
// whole messages, as they were written.
type Flushed struct {
	Bytes  []byte
	Serial uint32 // what Conn.Serial returned when its messages were written
}

// retained is the output of a conn with ConnOptions.Retain that was sent and not yet returned by
// TakeFlushed. Owned by the loop.
type retained struct {
	serial  uint32    // of the buffer in which the next message begins
	flushed []Flushed // bound: messages a worker has not acknowledged
	last    []byte    // the input that was unread when the connection was found broken, or nil

	// cuts are offsets of message starts where out will be split. A buffer that is never empty
	// would otherwise grow without limit.
	cuts []int // bound: unsent output of a client
}

// undelivered reports whether the conn has ended with input that the handler has not received. r
// may be nil.
func (r *retained) undelivered() bool { return r != nil && r.last != nil }

// retainSplit is the size of the parts, in bytes, into which a buffer that is never empty is split.
// Its size is at most six times the waiting bytes, and twice retainSplit.
const retainSplit = 256 << 10

// Serial returns a number of the buffer that the next message written to a conn with
// ConnOptions.Retain will be in. Each next buffer has the next number (mod 2^32).
func (c *Conn) Serial() uint32 { return c.retained.serial }

// TakeFlushed appends the buffers that were sent since the last call to list, oldest first. The
// caller owns them until it passes them to Loop.Recycle.
func (c *Conn) TakeFlushed(list []Flushed) []Flushed {
	list = append(list, c.retained.flushed...)
	clear(c.retained.flushed)
	c.retained.flushed = c.retained.flushed[:0]
	return list
}

// Unflushed returns the bytes written to a conn with ConnOptions.Retain that TakeFlushed has not
// returned. They are whole messages; the first ones may have been sent. The slice is a view that is
// valid until the next write, also in OnClose.
func (c *Conn) Unflushed() []byte { return c.out }

// Recycle takes back a buffer that TakeFlushed returned. Loop only.
func (l *Loop) Recycle(b []byte) { l.buffers.put(b) }

// retain keeps the output buffer, all of which was sent.
func (c *Conn) retain() {
	r := c.retained
	r.splitOff(c, len(r.cuts))
	r.flushed = append(r.flushed, Flushed{c.out, r.serial})
	r.serial++
}

// retainSent is called when a message was written. It begins another part when the present one is
// large, and splits off the parts that were sent, when they are at least half of the buffer.
func (c *Conn) retainSent() {
	r, last := c.retained, 0
	n := len(r.cuts)
	if n > 0 {
		last = r.cuts[n-1]
	}
	if len(c.out)-last >= retainSplit {
		r.cuts = append(r.cuts, len(c.out))
		r.serial++
	}
	for n > 0 && r.cuts[n-1] > c.sent {
		n--
	}
	if n > 0 && r.cuts[n-1] >= len(c.out)/2 {
		r.splitOff(c, n)
	}
}

// splitOff splits off the first n parts of out, which were sent.
func (r *retained) splitOff(c *Conn, n int) {
	if n == 0 {
		return
	}
	from := 0
	first := r.serial - uint32(len(r.cuts))
	for i, to := range r.cuts[:n] {
		part := append(c.loop.buffers.get(to-from), c.out[from:to]...)
		r.flushed = append(r.flushed, Flushed{part, first + uint32(i)})
		from = to
	}
	rest := append(c.loop.buffers.get(len(c.out)-from), c.out[from:]...)
	c.loop.buffers.put(c.out)
	c.out, c.sent = rest, c.sent-from
	r.cuts = r.cuts[:copy(r.cuts, r.cuts[n:])]
	for i := range r.cuts {
		r.cuts[i] -= from
	}
	if c.backlog != nil {
		c.backlog.from -= from
	}
}
