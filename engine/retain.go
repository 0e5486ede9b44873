package engine

// Flushed is a buffer of a conn with ConnOptions.Retain that the kernel has accepted. It contains
// whole messages, as they were written.
type Flushed struct {
	Bytes []byte
	Mark  uint32 // the mark at the time when all of Bytes was sent
}

// retained is the output of a conn with ConnOptions.Retain that was sent and not yet returned by
// TakeFlushed. Owned by the loop.
type retained struct {
	mark    uint32
	flushed []Flushed // bound: messages a worker has not acknowledged
	last    []byte    // the input that was unread when the connection was found broken, or nil

	// Offsets of two message starts where a buffer that is never empty may be split. The first is
	// within the sent bytes.
	seam, next int
}

// undelivered reports whether the conn has ended with input that the handler has not received. r
// may be nil.
func (r *retained) undelivered() bool { return r != nil && r.last != nil }

// retainSplit is how many bytes of a retained buffer are sent before it is split, so that a buffer
// that is never empty does not grow without limit. Its size is at most six times the waiting bytes,
// and twice retainSplit.
const retainSplit = 256 << 10

// SetMark marks all bytes written so far to a conn with ConnOptions.Retain.
func (c *Conn) SetMark(m uint32) { c.retained.mark = m }

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
	r.flushed = append(r.flushed, Flushed{c.out, r.mark})
	r.seam, r.next = 0, 0
}

// begins records that a message begins at offset at of out.
func (r *retained) begins(at, sent int) {
	if r.next <= sent {
		r.seam, r.next = r.next, at
	}
}

// retainSent splits off the sent messages of out, as far as seam allows, when they are many bytes.
func (c *Conn) retainSent() {
	r := c.retained
	if r.seam < retainSplit || r.seam < len(c.out)/2 {
		return
	}
	rest := append(c.loop.buffers.get(len(c.out)-r.seam), c.out[r.seam:]...)
	r.flushed = append(r.flushed, Flushed{c.out[:r.seam], r.mark})
	c.out, c.sent = rest, c.sent-r.seam
	if c.backlog != nil {
		c.backlog.from -= r.seam
	}
	r.seam, r.next = 0, max(r.next-r.seam, 0)
}
