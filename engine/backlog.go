package engine

// backlog knows where the messages in a conn's out-buffer begin, so that whole
// ones can be dropped. It lives while the kernel takes nothing.
//
//	out: |....|#####|.....|aaa|bbbbbb|cc|
//	     0    sent  from  start         len(out)
//
// #: bytes that go whatever happens, the rest of a message begun and what was
// written before the conn was slow. Dots: sent or dropped. a, b, c: droppable.
type backlog struct {
	from  int   // end of the bytes that must go
	start int   // first byte of the oldest droppable message
	sizes []int // of the droppable messages, oldest first
	head  int   // sizes before it are of messages gone
}

// begin counts all that out holds as bytes that must go.
func (b *backlog) begin(c *Conn) { b.from, b.start = len(c.out), len(c.out) }

// hole is the number of bytes in out that were dropped.
func (b *backlog) hole() int { return b.start - b.from }

func (b *backlog) push(n int) {
	if b.head > 64 && b.head > len(b.sizes)/2 {
		b.sizes = b.sizes[:copy(b.sizes, b.sizes[b.head:])]
		b.head = 0
	}
	b.sizes = append(b.sizes, n)
}

// pop takes the oldest message off the list.
func (b *backlog) pop() (size int) {
	size = b.sizes[b.head]
	b.head++
	return size
}

func (b *backlog) next(c *Conn) []byte {
	if c.sent < b.from {
		return c.out[c.sent:b.from]
	}
	return c.out[b.start:]
}

// advance counts n bytes of what next returned as sent.
func (b *backlog) advance(c *Conn, n int) {
	if c.sent < b.from {
		c.sent += n
		return
	}
	end := b.start + n
	for b.start < end {
		b.start += b.pop()
	}
	c.sent, b.from = end, b.start // the last one may have gone in part
}

// dropNewest takes the message that was just added out again.
func (c *Conn) dropNewest() int {
	b := c.backlog
	if b == nil || b.head == len(b.sizes) {
		return 0
	}
	last := len(b.sizes) - 1
	c.out = c.out[:len(c.out)-b.sizes[last]]
	b.sizes = b.sizes[:last]
	return 1
}

// dropOldest makes room for excess bytes. When what must go leaves too little,
// even the newest goes.
func (c *Conn) dropOldest(excess int) (dropped int) {
	b := c.backlog
	if b == nil {
		return 0
	}
	for excess > 0 && b.head < len(b.sizes) {
		n := b.pop()
		b.start += n
		excess -= n
		dropped++
	}
	c.reclaim(len(c.out) / 2)
	return dropped
}

// reclaim closes the gaps in out when that gives at least want bytes, so that a
// buffer that never runs empty does not grow for ever.
func (c *Conn) reclaim(want int) {
	if c.retained != nil {
		return // part sees to it
	}
	gone := c.sent
	if c.backlog != nil {
		gone += c.backlog.hole()
	}
	if gone == 0 || gone < want || gone < len(c.out)/2 {
		return
	}
	n := 0
	if b := c.backlog; b != nil {
		n = copy(c.out, c.out[c.sent:b.from])
		m := copy(c.out[n:], c.out[b.start:])
		b.from, b.start = n, n
		n += m
	} else {
		n = copy(c.out, c.out[c.sent:])
	}
	c.out, c.sent = c.out[:n], 0
}
