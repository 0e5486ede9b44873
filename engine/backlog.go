package engine

import "math"

// backlog is additional state of a slow conn: where the messages in its output buffer begin, so
// that whole messages can be dropped, and when it last made progress. It exists from the time when
// the kernel accepts no more until the kernel has accepted everything.
//
//	out: |....|#####|aaa|...|cc|ddd|
//	     0    sent  from           len(out)
//
// #: bytes that must be sent: the rest of a message that was sent in part, and output from before
// the conn was slow. a, c, d: messages, one for each list entry. Dots: sent or dropped. Consecutive
// messages that may not be dropped are one entry or belong to #. So a conn that drops nothing has
// no entries.
type backlog struct {
	from         int            // end of the bytes that must be sent
	list         []waiting      // the messages after from, oldest first; bound: the same, with 16 B
	head         int            // the entries before it were sent
	base         int            // number of list[0], counted since the list was created
	scanned      int            // dropOldest has looked at the entries with lower numbers
	droppedBytes int            // bytes of the dropped messages that are still in list
	keys         map[uint64]int // bound: the same, with 16 B

	counted int   // bytes included in loop.buffered
	held    int   // bytes that gnet had at the last check
	queued  int   // bytes that the kernel had at the last check
	moved   int64 // engine's clock when the bytes last became fewer
	looked  int64 // engine's clock when the kernel was last asked
	refused int64 // engine's clock when it last accepted no more of an unpolled conn; 0: never
}

// waiting is one waiting message, or several that may not be dropped.
type waiting struct {
	key       uint64
	size      uint32
	droppable bool // may be dropped
	dropped   bool // was dropped
}

// These are the sizes of the entries of a backlog, in bytes.
const (
	listEntry = 16 // of list
	keyEntry  = 48 // of keys, with the unused part of the map
)

// overhead returns the memory of list and keys. For small messages it is larger than the messages.
func (b *backlog) overhead() int { return cap(b.list)*listEntry + len(b.keys)*keyEntry }

const (
	maxKeptBacklogs = 64  // backlogs that a loop keeps for the next slow conns
	maxKeptEntries  = 512 // largest list capacity of a kept backlog
)

// push adds an entry for the message of n bytes that was appended to out. replaced reports whether
// it replaces a waiting message with the same key. policy is the overflow policy of the new
// message: a message that replaces one that may not be dropped may not be dropped either, or both
// the older and the newer message could be lost.
func (b *backlog) push(c *Conn, n int, opts SendOptions) (policy Overflow, replaced bool) {
	if n == 0 {
		return opts.Overflow, false
	}
	if opts.ConflateKey != 0 {
		if at, waits := b.keys[opts.ConflateKey]; waits {
			if !b.list[at-b.base].droppable {
				opts.Overflow = CloseSlow
			}
			b.drop(at - b.base)
			c.loop.counters.Conflated++
			replaced = true
		}
	} else if opts.Overflow == CloseSlow {
		if b.head == len(b.list) {
			b.from += n
			return opts.Overflow, false
		}
		last := &b.list[len(b.list)-1]
		if !last.droppable && last.key == 0 && !last.dropped && uint64(last.size)+uint64(n) <= math.MaxUint32 {
			last.size += uint32(n)
			return opts.Overflow, false
		}
	}
	if b.head > 64 && b.head > len(b.list)/2 {
		b.list = b.list[:copy(b.list, b.list[b.head:])]
		b.base += b.head
		b.head = 0
	}
	if opts.ConflateKey != 0 {
		if b.keys == nil {
			b.keys = make(map[uint64]int)
		}
		b.keys[opts.ConflateKey] = b.base + len(b.list)
	}
	b.list = append(b.list, waiting{key: opts.ConflateKey, size: uint32(n), droppable: opts.Overflow != CloseSlow})
	return opts.Overflow, replaced
}

// drop marks list[i] as dropped, so that it is not sent. It returns the size of the message.
func (b *backlog) drop(i int) int {
	w := &b.list[i]
	w.dropped = true
	if w.key != 0 {
		delete(b.keys, w.key)
	}
	b.droppedBytes += int(w.size)
	return int(w.size)
}

// pop removes the oldest entry from the list.
func (b *backlog) pop() {
	w := &b.list[b.head]
	b.head++
	b.from += int(w.size)
	if w.dropped {
		b.droppedBytes -= int(w.size)
	} else if w.key != 0 {
		delete(b.keys, w.key)
	}
}

// next returns the bytes that are to be sent first, about maxHandOver of them.
func (b *backlog) next(c *Conn) []byte {
	if c.sent < b.from {
		return c.out[c.sent:b.from]
	}
	for b.head < len(b.list) && b.list[b.head].dropped {
		b.pop()
	}
	c.sent = b.from
	end := b.from
	for i := b.head; i < len(b.list) && !b.list[i].dropped && end-b.from < maxHandOver; i++ {
		end += int(b.list[i].size)
	}
	return c.out[b.from:end]
}

// advance records that n bytes of what next returned were sent.
func (b *backlog) advance(c *Conn, n int) {
	c.sent += n
	for b.from < c.sent {
		b.pop() // the last one may be sent in part: its rest must be sent
	}
}

// dropNewest removes the message that was just added. It returns false if that is not possible
// because a part of the message was sent.
func (b *backlog) dropNewest(c *Conn) bool {
	last := len(b.list) - 1
	if last < b.head || b.list[last].dropped {
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

// dropOldest drops droppable messages, oldest first, while c exceeds its limit with the newest
// message, of last bytes. It may drop the newest too.
func (b *backlog) dropOldest(c *Conn, last int) (dropped int) {
	waiting := c.Buffered()
	for i := max(b.head, b.scanned-b.base); i < len(b.list); i++ {
		if waiting <= c.options.MaxOutput || waiting <= last {
			break
		}
		if w := &b.list[i]; w.droppable && !w.dropped {
			waiting -= b.drop(i)
			dropped++
		}
		b.scanned = b.base + i + 1
	}
	return dropped
}

// lostNewest reports whether the newest message was dropped.
func (b *backlog) lostNewest() bool {
	last := len(b.list) - 1
	return last >= b.head && b.list[last].dropped
}

// compact moves the messages that were not dropped to the front of out.
func (b *backlog) compact(c *Conn) {
	n := copy(c.out, c.out[c.sent:b.from])
	at := b.from
	b.from = n
	kept := b.list[:0]
	for _, w := range b.list[b.head:] {
		if !w.dropped {
			if w.key != 0 {
				b.keys[w.key] = len(kept)
			}
			n += copy(c.out[n:], c.out[at:at+int(w.size)])
			kept = append(kept, w)
		}
		at += int(w.size)
	}
	c.out, c.sent = c.out[:n], 0
	b.list, b.head, b.base, b.scanned, b.droppedBytes = kept, 0, 0, 0, 0
}

// reclaim removes the gaps in out when that frees at least want bytes and a quarter of out.
// Otherwise a buffer that is never empty would grow without limit.
func (c *Conn) reclaim(want int) {
	if c.retained != nil {
		return // see retainSent
	}
	gone := c.sent
	if c.backlog != nil {
		gone += c.backlog.droppedBytes
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

// takeBacklog gives c a backlog. All bytes in out must be sent.
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

// dropBacklog removes c's backlog.
func (c *Conn) dropBacklog() {
	b := c.backlog
	if b == nil {
		return
	}
	c.backlog = nil
	l := c.loop
	l.addBuffered(-b.counted)
	if len(l.backlogs) < maxKeptBacklogs && cap(b.list) <= maxKeptEntries && len(b.keys) == 0 {
		*b = backlog{list: b.list[:0], keys: b.keys}
		l.backlogs = append(l.backlogs, b)
	}
}
