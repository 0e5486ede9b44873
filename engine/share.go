package engine

import "net"

// Shared is memory for messages to many conns of a loop. A conn gets a view of the memory and not a
// copy, as long as nothing else is written to it and the kernel accepts everything. A view ends
// with the turn or earlier: a conn whose peer reads slowly copies the rest. Owned by the loop. A
// Shared is never freed.
type Shared struct {
	loop  *Loop
	id    uint16 // 1 + its index in loop.shared
	views int    // conns whose out is a view of buf, or of buf before it grew
	buf   []byte
}

const (
	maxKeptShared = 256 << 10 // largest memory in bytes that is kept for the next messages
	maxShared     = 1 << 10   // most Shareds of a loop
)

// NewShared creates a Shared for messages to conns of the loop. The loop keeps it. A loop has at
// most 1,024; one more panics. Loop only.
func (l *Loop) NewShared() *Shared {
	if len(l.shared) == maxShared {
		panic("engine: more than 1024 Shareds on a loop")
	}
	s := &Shared{loop: l, id: uint16(1 + len(l.shared))}
	l.shared = append(l.shared, s)
	return s
}

// Begin lends the memory to the caller, who appends one message and passes it to Commit.
func (s *Shared) Begin() []byte {
	if s.views == 0 { // no conn has a view of it
		s.buf = s.buf[:0]
		s.shrink()
	}
	return s.buf
}

// shrink drops memory that is too large to keep. Memory that is still used by a view, or by a
// message that is being sent to more conns, is not changed.
func (s *Shared) shrink() {
	if cap(s.buf) > maxKeptShared {
		s.buf = nil
	}
}

// Commit takes back the memory from Begin and returns the appended message for WriteShared. The
// message is valid until the next Begin.
func (s *Shared) Commit(b []byte) []byte {
	message := b[len(s.buf):]
	s.buf = b
	return message
}

// WriteShared is like WriteAs, for a message that s's Commit returned.
func (c *Conn) WriteShared(s *Shared, message []byte, opts SendOptions) error {
	switch {
	case c.Closed():
		return net.ErrClosed
	case c.out == nil && c.retained == nil && len(message) > 0:
		c.shared = s.id
		s.views++
		return c.commit(message, opts)
	case c.shared != 0 && follows(c.out, message):
		return c.commit(c.out[:len(c.out)+len(message)], opts)
	}
	return c.WriteAs(message, opts)
}

// follows reports whether b is the memory directly after a. The capacity of both extends to the end
// of the memory.
func follows(a, b []byte) bool {
	return cap(a)-len(a) == cap(b) && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

// unshareOut replaces c's view by a copy with capacity for n more bytes.
func (c *Conn) unshareOut(n int) {
	view := c.out
	c.unshare()
	c.out = append(c.loop.buffers.get(max(len(view)+n, int(c.usual))), view...)
}

// unshare ends c's view.
func (c *Conn) unshare() {
	s := c.loop.shared[c.shared-1]
	c.shared, c.out = 0, nil
	if s.views--; s.views == 0 {
		s.shrink()
	}
}
