package engine

import "math"

// backlog is what a slow conn has besides: where the messages in its out-buffer
// begin, so that whole ones can be dropped, and when it last got on. It lives
// from when the kernel takes no more until it has taken everything.
//
//	out: |....|#####|aaa|...|cc|ddd|
//	     0    sent  from           len(out)
//
// #: bytes that go whatever happens, the rest of a message begun and what was
// written before the conn was slow. a, c, d: messages, one of each list entry.
// Dots: sent or dropped. Messages that may not be dropped and follow each other
// are one entry, or part of #: a conn that drops nothing has none.
type backlog struct {
	from int            // end of the bytes that must go
	list []waiting      // what is behind from, oldest first; bound: the same, with 16 B
	head int            // entries before it are of messages sent
	base int            // number of list[0], counted since the list was made
	seen int            // number before which nothing may be dropped any more
	gone int            // bytes of what was dropped and is in list
	keys map[uint64]int // bound: the same, with 16 B

	counted int   // bytes entered in loop.unsent
	held    int   // bytes that gnet had when last looked at
	queued  int   // bytes that the kernel had
	moved   int64 // on the engine's clock: when fewer were there last
	looked  int64 // when the kernel was asked
	refused int64 // when it took no more of a deaf conn last; 0: it did not
}

// waiting is a message that waits, or several that may not be dropped.
type waiting struct {
	key  uint64
	size uint32
	may  bool // be dropped to make room
	gone bool // was dropped
}

// What an entry of a backlog's books takes, in bytes.
const (
	listEntry = 16 // of list
	keyEntry  = 48 // of keys, with the room that a map leaves free
)

// overhead is the memory that knowing where messages begin takes. Of small messages
// it is more than they are.
func (b *backlog) overhead() int { return cap(b.list)*listEntry + len(b.keys)*keyEntry }

const (
	keptBacklogs = 64  // that a loop keeps for the next slow conns
	keptEntries  = 512 // that such a one has room for at most
)

// push enters the message of n bytes that was put behind all others. It tells
// whether it took the place of one of its key, and what is to become of it: in
// the place of one that may not be dropped it may not be either, or there would
// be neither the older nor the newer one.
func (b *backlog) push(c *Conn, n int, class SendOptions) (policy Overflow, replaced bool) {
	if n == 0 {
		return class.Overflow, false
	}
	if class.ConflateKey != 0 {
		if at, waits := b.keys[class.ConflateKey]; waits {
			if !b.list[at-b.base].may {
				class.Overflow = CloseSlow
			}
			b.drop(at - b.base)
			c.loop.counters.Conflated++
			replaced = true
		}
	} else if class.Overflow == CloseSlow {
		if b.head == len(b.list) {
			b.from += n
			return class.Overflow, false
		}
		last := &b.list[len(b.list)-1]
		if !last.may && last.key == 0 && !last.gone && uint64(last.size)+uint64(n) <= math.MaxUint32 {
			last.size += uint32(n)
			return class.Overflow, false
		}
	}
	if b.head > 64 && b.head > len(b.list)/2 {
		b.list = b.list[:copy(b.list, b.list[b.head:])]
		b.base += b.head
		b.head = 0
	}
	if class.ConflateKey != 0 {
		if b.keys == nil {
			b.keys = make(map[uint64]int)
		}
		b.keys[class.ConflateKey] = b.base + len(b.list)
	}
	b.list = append(b.list, waiting{key: class.ConflateKey, size: uint32(n), may: class.Overflow != CloseSlow})
	return class.Overflow, replaced
}

// drop has the message of list[i] not be sent. It returns its size.
func (b *backlog) drop(i int) int {
	w := &b.list[i]
	w.gone = true
	if w.key != 0 {
		delete(b.keys, w.key)
	}
	b.gone += int(w.size)
	return int(w.size)
}

// pop takes the oldest entry off the list.
func (b *backlog) pop() {
	w := &b.list[b.head]
	b.head++
	b.from += int(w.size)
	if w.gone {
		b.gone -= int(w.size)
	} else if w.key != 0 {
		delete(b.keys, w.key)
	}
}

// next is what is to be sent first, a piece of it or a bit more.
func (b *backlog) next(c *Conn) []byte {
	if c.sent < b.from {
		return c.out[c.sent:b.from]
	}
	for b.head < len(b.list) && b.list[b.head].gone {
		b.pop()
	}
	c.sent = b.from
	end := b.from
	for i := b.head; i < len(b.list) && !b.list[i].gone && end-b.from < maxHandOver; i++ {
		end += int(b.list[i].size)
	}
	return c.out[b.from:end]
}

// advance counts n bytes of what next returned as sent.
func (b *backlog) advance(c *Conn, n int) {
	c.sent += n
	for b.from < c.sent {
		b.pop() // the last one may have gone in part: its rest must go
	}
}

// dropNewest takes the message that was just added out again. It tells whether
// that was possible: one that has gone in part must go.
func (b *backlog) dropNewest(c *Conn) bool {
	last := len(b.list) - 1
	if last < b.head || b.list[last].gone {
		return false
	}
	w := &b.list[last]
	if w.key != 0 {
		delete(b.keys, w.key)
	}
	c.out = c.out[:len(c.out)-int(w.size)]
	b.list = b.list[:last]
	return true
}

// dropOldest drops messages that may be dropped, oldest first, as long as c is
// over its bound with the newest, of last bytes; in the end the newest too.
func (b *backlog) dropOldest(c *Conn, last int) (dropped int) {
	waiting := c.Buffered()
	for i := max(b.head, b.seen-b.base); i < len(b.list); i++ {
		if waiting <= c.options.MaxOutput || waiting <= last {
			break
		}
		if w := &b.list[i]; w.may && !w.gone {
			waiting -= b.drop(i)
			dropped++
		}
		b.seen = b.base + i + 1
	}
	return dropped
}

// lostNewest tells whether the newest message was dropped.
func (b *backlog) lostNewest() bool {
	last := len(b.list) - 1
	return last >= b.head && b.list[last].gone
}

// compact moves what is not gone to the front of out.
func (b *backlog) compact(c *Conn) {
	n := copy(c.out, c.out[c.sent:b.from])
	at := b.from
	b.from = n
	kept := b.list[:0]
	for _, w := range b.list[b.head:] {
		if !w.gone {
			if w.key != 0 {
				b.keys[w.key] = len(kept)
			}
			n += copy(c.out[n:], c.out[at:at+int(w.size)])
			kept = append(kept, w)
		}
		at += int(w.size)
	}
	c.out, c.sent = c.out[:n], 0
	b.list, b.head, b.base, b.seen, b.gone = kept, 0, 0, 0, 0
}

// reclaim closes the gaps in out when that gives at least want bytes and a
// quarter of it, so that a buffer that never runs empty does not grow for ever.
func (c *Conn) reclaim(want int) {
	if c.retained != nil {
		return // part sees to it
	}
	gone := c.sent
	if c.backlog != nil {
		gone += c.backlog.gone
	}
	if gone == 0 || gone < want || gone < len(c.out)/4 {
		return
	}
	if c.backlog != nil {
		c.backlog.compact(c)
		return
	}
	n := copy(c.out, c.out[c.sent:])
	c.out, c.sent = c.out[:n], 0
}

// takeBacklog begins c's backlog: all that out holds must go.
func (c *Conn) takeBacklog() {
	l := c.loop
	b := new(backlog)
	if last := len(l.backlogs) - 1; last >= 0 {
		b, l.backlogs[last] = l.backlogs[last], nil
		l.backlogs = l.backlogs[:last]
	}
	now := l.engine.clock.Load()
	b.from, b.moved, b.looked = len(c.out), now, now
	c.backlog = b
}

// dropBacklog ends it.
func (c *Conn) dropBacklog() {
	b := c.backlog
	if b == nil {
		return
	}
	c.backlog = nil
	l := c.loop
	l.addBuffered(-b.counted)
	if len(l.backlogs) < keptBacklogs && cap(b.list) <= keptEntries && len(b.keys) == 0 {
		*b = backlog{list: b.list[:0], keys: b.keys}
		l.backlogs = append(l.backlogs, b)
	}
}
