package engine

import "net"

// Shared is memory for messages that go to many conns of a loop. What a conn is
// written of it is not copied: the conn has a view, as long as it is written
// nothing else and the kernel takes it all. Owned by the loop.
type Shared struct {
	loop *Loop
	buf  []byte
}

// keptShared is the largest memory that is kept for the next messages, in bytes.
const keptShared = 256 << 10

// NewShared makes one, for messages to conns of the loop. Loop only.
func (l *Loop) NewShared() *Shared { return &Shared{loop: l} }

// Begin lends the memory to append one message to, for Commit.
func (s *Shared) Begin() []byte {
	if s.loop.views == 0 { // nobody sees what is in it
		if s.buf = s.buf[:0]; cap(s.buf) > keptShared {
			s.buf = nil
		}
	}
	return s.buf
}

// Commit takes back what Begin lent and returns the message appended, which is
// for WriteShared, until the next Begin.
func (s *Shared) Commit(b []byte) []byte {
	message := b[len(s.buf):]
	s.buf = b
	return message
}

// WriteShared is WriteAs of a message that a Shared's Commit returned.
func (c *Conn) WriteShared(message []byte, class Class) error {
	switch {
	case c.Closed():
		return net.ErrClosed
	case c.out == nil && c.retained == nil && len(message) > 0:
		c.shared = true
		c.loop.views++
		return c.commit(message, class)
	case c.shared && follows(c.out, message):
		return c.commit(c.out[:len(c.out)+len(message)], class)
	}
	return c.WriteAs(message, class)
}

// follows tells whether b is the memory right behind a. Both have all that is
// behind them as their capacity.
func follows(a, b []byte) bool {
	return cap(a)-len(a) == cap(b) && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

// own copies what c has a view of, and makes room for n bytes behind it.
func (c *Conn) own(n int) {
	view := c.out
	c.unshare()
	c.out = append(c.loop.buffers.get(max(len(view)+n, int(c.usual))), view...)
}

// unshare ends the view.
func (c *Conn) unshare() {
	c.shared, c.out = false, nil
	c.loop.views--
}
