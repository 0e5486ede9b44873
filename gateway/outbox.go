package gateway

import (
	"encoding/binary"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// outbox is a queue of commands for another gateway, in order: RELAY frames, kept until that
// gateway has confirmed them. It has no clock and no I/O. It has one owner.
type outbox struct {
	buf   []byte // frames from head on, oldest first; bound: effects for another gateway
	head  int    // bytes of buf that are confirmed
	sent  int    // bytes from head on that were given to the present link
	first uint64 // sequence of the oldest frame
	next  uint64 // sequence of the next frame to be added
}

func newOutbox() outbox { return outbox{first: 1, next: 1} }

// push adds a command at the end.
func (b *outbox) push(f *link.Frame) {
	outer := link.Frame{Type: link.Relay, Token: b.next}
	b.buf = link.AppendHeader(b.buf, &outer, link.HeaderSize+len(f.Payload))
	b.buf = link.Append(b.buf, f)
	b.next++
}

// size is the size of the frames in bytes.
func (b *outbox) size() int { return len(b.buf) - b.head }

// nextFrames returns the next frames for the present link, as a view: whole frames, of about most
// bytes. The rest of the link's output can come between two calls.
func (b *outbox) nextFrames(most int) []byte {
	rest := b.buf[b.head+b.sent:]
	n := 0
	for n < len(rest) && n < most {
		n += int(binary.BigEndian.Uint32(rest[n:]))
	}
	b.sent += n
	return rest[:n]
}

// confirm removes the frames up to a sequence. A sequence that was not sent is an error, and
// changes nothing. A sequence confirmed before is allowed.
func (b *outbox) confirm(last uint64) error {
	end, first := b.head, b.first
	for limit := b.head + b.sent; first <= last; first++ {
		if end >= limit {
			return fmt.Errorf("%w: sequence %d was confirmed and not sent", link.ErrFrame, last)
		}
		end += int(binary.BigEndian.Uint32(b.buf[end:]))
	}
	b.sent -= end - b.head
	b.head, b.first = end, first
	b.compact()
	return nil
}

// resume continues on a new link, to a gateway that has applied the commands up to a sequence.
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

// drop removes everything, and returns the number of commands.
func (b *outbox) drop() uint64 {
	n := b.next - b.first
	b.first = b.next
	b.buf, b.head, b.sent = nil, 0, 0
	return n
}

// dropStale removes all commands except evictions, which get new sequences. It returns the number
// of removed commands.
func (b *outbox) dropStale() uint64 {
	old, n := b.buf[b.head:], b.drop()
	for len(old) > 0 {
		var outer, inner link.Frame
		size, _ := link.Next(old, link.MaxFrame, &outer) // written by push, so it is whole
		_, _ = link.Next(outer.Payload, link.MaxFrame, &inner)
		if inner.Type == link.Evict {
			b.push(&inner)
			n--
		}
		old = old[size:]
	}
	return n
}

// spareOutbox is the largest buffer that an empty outbox keeps, in bytes.
const spareOutbox = 256 << 10

// compact moves the frames to the front if at least half of the buffer is before them.
func (b *outbox) compact() {
	switch {
	case b.size() == 0 && cap(b.buf) > spareOutbox:
		b.buf, b.head = nil, 0
	case 2*b.head >= len(b.buf):
		b.buf = b.buf[:copy(b.buf, b.buf[b.head:])]
		b.head = 0
	}
}
