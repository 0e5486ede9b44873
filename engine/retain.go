package engine

// Flushed is a buffer of a conn with ConnOptions.Retain that is with the kernel: whole messages, as they were written.
type Flushed struct {
	Bytes []byte
	Mark  uint32 // the last one that was set before Bytes had all gone out
}

// retained is what a conn with ConnOptions.Retain has written and not handed out yet. Owned by the loop.
type retained struct {
	mark    uint32
	flushed []Flushed // bound: messages a worker has not acknowledged
	last    []byte    // what the peer had sent and we had not read when the connection was found broken; nil: nothing

	// Where a buffer that never runs empty may be parted: two beginnings of messages, the first of them within what has been sent.
	seam, next int
}

// mostSent is how many bytes of a buffer that is retained are sent before it is parted, so that one that never runs empty does not grow for ever: it is at most six
// times what waits in it, and twice this.
const mostSent = 256 << 10

// SetMark marks all that has been written to a conn with ConnOptions.Retain so far.
func (c *Conn) SetMark(m uint32) { c.retained.mark = m }

// TakeFlushed appends the buffers that have gone out since the last call to list, oldest first. They are the caller's, until it gives them to Loop.Recycle.
func (c *Conn) TakeFlushed(list []Flushed) []Flushed {
	list = append(list, c.retained.flushed...)
	clear(c.retained.flushed)
	c.retained.flushed = c.retained.flushed[:0]
	return list
}

// Unflushed is what a conn with ConnOptions.Retain has written after what TakeFlushed gives: whole messages, of which the first ones may have gone out. It is a view,
// valid until something is written, also in OnClose.
func (c *Conn) Unflushed() []byte { return c.out }

// Recycle takes back a buffer that TakeFlushed gave. Loop only.
func (l *Loop) Recycle(b []byte) { l.buffers.put(b) }

// retain keeps the out-buffer, all of which is sent.
func (c *Conn) retain() {
	r := c.retained
	r.flushed = append(r.flushed, Flushed{c.out, r.mark})
	r.seam, r.next = 0, 0
}

// begins notes that a message begins at an offset of out.
func (r *retained) begins(at, sent int) {
	if r.next <= sent {
		r.seam, r.next = r.next, at
	}
}

// retainSent retains the messages of out that are sent, as far as the seams tell, when that is much.
func (c *Conn) retainSent() {
	r := c.retained
	if r.seam < mostSent || r.seam < len(c.out)/2 {
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
