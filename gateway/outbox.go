package gateway

import (
	"encoding/binary"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// outbox is what is to be done at another gateway, in order: RELAY frames, kept until that gateway has confirmed them. It is data and nothing else: one owner, no clock, no I/O.
type outbox struct {
	buf   []byte // bound: effects for another gateway; frames from head on, oldest first
	head  int    // bytes of buf that have been confirmed
	sent  int    // bytes from head on that the present link has been given
	first uint64 // sequence of the oldest frame that is kept
	next  uint64 // of the frame that comes next
}

func newOutbox() outbox { return outbox{first: 1, next: 1} }

// push puts a command behind all others.
func (b *outbox) push(f *link.Frame) {
	outer := link.Frame{Type: link.Relay, Token: b.next}
	b.buf = link.AppendHeader(b.buf, &outer, link.HeaderSize+len(f.Payload))
	b.buf = link.Append(b.buf, f)
	b.next++
}

// size is what is kept, in bytes.
func (b *outbox) size() int { return len(b.buf) - b.head }

// nextFrames is what the present link is to be given next, a view: whole frames, about as many bytes as said. What else goes by the link may so come between.
func (b *outbox) nextFrames(most int) []byte {
	rest := b.buf[b.head+b.sent:]
	n := 0
	for n < len(rest) && n < most {
		n += int(binary.BigEndian.Uint32(rest[n:]))
	}
	b.sent += n
	return rest[:n]
}

// confirm forgets the frames up to a sequence, which was sent: one that was not is an error, and changes nothing. What was confirmed before may be so again.
func (b *outbox) confirm(last uint64) error {
	end, first := b.head, b.first
	for limit := b.head + b.sent; first <= last; first++ {
		if end >= limit {
			return fmt.Errorf("%w: %d confirmed, which was not sent", link.ErrFrame, last)
		}
		end += int(binary.BigEndian.Uint32(b.buf[end:]))
	}
	b.sent -= end - b.head
	b.head, b.first = end, first
	b.compact()
	return nil
}

// resume goes on with a new link, to a gateway that has carried out what is up to a sequence.
func (b *outbox) resume(last uint64) error {
	sent := b.sent
	b.sent = b.size()
	if err := b.confirm(last); err != nil {
		b.sent = sent
		return err
	}
	b.sent = 0
	return nil
}

// drop forgets everything, and returns how many commands that were.
func (b *outbox) drop() uint64 {
	n := b.next - b.first
	b.first = b.next
	b.buf, b.head, b.sent = nil, 0, 0
	return n
}

// dropStale forgets all commands but evictions, which come anew, and returns how many it has forgotten.
func (b *outbox) dropStale() uint64 {
	old, n := b.buf[b.head:], b.drop()
	for len(old) > 0 {
		var outer, inner link.Frame
		size, _ := link.Next(old, link.MaxFrame, &outer) // our own writing: always whole
		_, _ = link.Next(outer.Payload, link.MaxFrame, &inner)
		if inner.Type == link.Evict {
			b.push(&inner)
			n--
		}
		old = old[size:]
	}
	return n
}

// spareOutbox is the largest buffer that is kept while nothing is in it, in bytes.
const spareOutbox = 256 << 10

// compact moves what is kept to the front, once half of the buffer is behind it.
func (b *outbox) compact() {
	switch {
	case b.size() == 0 && cap(b.buf) > spareOutbox:
		b.buf, b.head = nil, 0
	case 2*b.head >= len(b.buf):
		b.buf = b.buf[:copy(b.buf, b.buf[b.head:])]
		b.head = 0
	}
}
