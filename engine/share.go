package engine

import "net"

// Shared is memory for messages that go to many conns of a loop. A conn gets a
// view of what it is written, not a copy, as long as it is written nothing else
// and the kernel takes it all. Views end with the turn, or earlier: a conn whose
// peer reads slowly copies what is left. Owned by the loop, for as long as that.
type Shared struct {
	loop  *Loop
	id    uint16 // 1 + its index in loop.shared
	views int    // conns whose out is a view of buf, or of what buf was before it grew
	buf   []byte
}

const (
	keptShared = 256 << 10 // bytes of the largest memory that is kept for the next messages
	mostShared = 1 << 10   // Shareds of a loop
)

// NewShared makes one, for messages to conns of the loop. A loop has 1,024 at
// most, for it keeps them: more panic. Loop only.
func (l *Loop) NewShared() *Shared {
	if len(l.shared) == mostShared {
		panic("engine: too many Shareds")
	}
	s := &Shared{loop: l, id: uint16(1 + len(l.shared))}
	l.shared = append(l.shared, s)
	return s
}

// Begin lends the memory to append one message to, for Commit.
func (s *Shared) Begin() []byte {
	if s.views == 0 { // nobody sees what is in it
		s.buf = s.buf[:0]
		s.shrink()
	}
	return s.buf
}

// shrink gives up memory that is too large to keep. What a view or a message on
// its way to more conns still needs of it stays as it is.
func (s *Shared) shrink() {
	if cap(s.buf) > keptShared {
		s.buf = nil
	}
}

// Commit takes back what Begin lent and returns the message appended, which is
// for WriteShared, until the next Begin.
func (s *Shared) Commit(b []byte) []byte {
	message := b[len(s.buf):]
	s.buf = b
	return message
}

// WriteShared is WriteAs of a message that s's Commit returned.
func (c *Conn) WriteShared(s *Shared, message []byte, class SendOptions) error {
	switch {
	case c.Closed():
		return net.ErrClosed
	case c.out == nil && c.retained == nil && len(message) > 0:
		c.shared = s.id
		s.views++
		return c.commit(message, class)
	case c.shared != 0 && follows(c.out, message):
		return c.commit(c.out[:len(c.out)+len(message)], class)
	}
	return c.WriteAs(message, class)
}

// follows tells whether b is the memory right behind a. Both have all that is
// behind them as their capacity.
func follows(a, b []byte) bool {
	return cap(a)-len(a) == cap(b) && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

// unshareOut copies what c has a view of, and makes room for n bytes behind it.
func (c *Conn) unshareOut(n int) {
	view := c.out
	c.unshare()
	c.out = append(c.loop.buffers.get(max(len(view)+n, int(c.usual))), view...)
}

// unshare ends the view.
func (c *Conn) unshare() {
	s := c.loop.shared[c.shared-1]
	c.shared, c.out = 0, nil
	if s.views--; s.views == 0 {
		s.shrink()
	}
}
