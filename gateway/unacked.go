package gateway

import (
	"slices"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// unackedLog keeps the buffers written to a link until all their frames are acknowledged. So
// redelivery after the loss of a worker needs no copy of each message. If a blocked handler keeps
// more than three times the unacknowledged bytes in use, only the unacknowledged messages are kept.
// The bound is the link's window.
type unackedLog struct {
	buffers []engine.Flushed // oldest first; bound: messages a worker has not acknowledged
	bytes   int
}

const (
	keptSlack  = 1 << 20  // bytes kept in addition to three times the unacknowledged ones
	gatherSize = 64 << 10 // size of a buffer that unacknowledged messages are copied to, in bytes
)

// trim releases the buffers whose frames are all acknowledged.
func (k *workerLink) trim() {
	n := len(k.kept.buffers)
	if k.kept.buffers = k.conn.TakeFlushed(k.kept.buffers); len(k.kept.buffers) == 0 {
		return
	}
	for _, b := range k.kept.buffers[n:] {
		k.kept.bytes += cap(b.Bytes)
	}
	oldest, done := k.sent.Oldest(), 0
	for _, b := range k.kept.buffers {
		if int32(b.Mark-oldest) >= 0 {
			break
		}
		k.kept.bytes -= cap(b.Bytes)
		k.loop.el.Recycle(b.Bytes)
		done++
	}
	k.kept.buffers = slices.Delete(k.kept.buffers, 0, done)
	if _, out := k.sent.Outstanding(); k.kept.bytes > 3*out+keptSlack {
		k.gather()
	}
}

// gather keeps the unacknowledged messages, and releases the rest of the buffers. A buffer that is
// at least half full of them is kept, unless they fit into the last buffer. So a message that stays
// unacknowledged is copied once, however often gather is called.
func (k *workerLink) gather() {
	old := k.kept.buffers
	k.kept = unackedLog{}
	for _, o := range old {
		size := 0
		for f := range k.out(o.Bytes) {
			size += link.HeaderSize + len(f.Payload)
		}
		if 2*size >= cap(o.Bytes) && size > k.kept.free() {
			k.kept.add(o)
			continue
		}
		for f := range k.out(o.Bytes) {
			n := link.HeaderSize + len(f.Payload)
			if n > k.kept.free() {
				k.kept.add(engine.Flushed{Bytes: make([]byte, 0, max(gatherSize, n))})
			}
			b := &k.kept.buffers[len(k.kept.buffers)-1]
			b.Bytes, b.Mark = link.Append(b.Bytes, f), f.ID
		}
		k.loop.el.Recycle(o.Bytes)
	}
}

func (k *unackedLog) add(b engine.Flushed) {
	k.buffers = append(k.buffers, b)
	k.bytes += cap(b.Bytes)
}

// free is the free space in the last buffer, in bytes.
func (k *unackedLog) free() int {
	if len(k.buffers) == 0 {
		return 0
	}
	b := k.buffers[len(k.buffers)-1].Bytes
	return cap(b) - len(b)
}

// out yields the unacknowledged messages in a buffer.
func (k *workerLink) out(b []byte) func(func(*link.Frame) bool) {
	return func(yield func(*link.Frame) bool) {
		for len(b) > 0 {
			var f link.Frame
			n, err := link.Next(b, link.MaxFrame, &f)
			if n == 0 || err != nil {
				return // never: the buffer has whole frames
			}
			b = b[n:]
			if f.Type == link.Message && k.sent.Out(f.ID) && !yield(&f) {
				return
			}
		}
	}
}

// requeueUnacked puts the messages that the worker has not acknowledged back into the queues of
// their clients, before the queued ones. They are marked as redelivered.
func (k *workerLink) requeueUnacked() {
	l := k.loop
	back := make(map[*session]*queue)
	take := func(b []byte) {
		for f := range k.out(b) {
			s := l.session(f.Slot, f.Token)
			if s == nil || s.link != k {
				continue // its client has gone or has another worker
			}
			if s.entry == entryRejected {
				l.stats.MessagesRejected++
				continue
			}
			q := back[s]
			if q == nil {
				q = l.queues.take()
				back[s] = q
			}
			q.push(f.Payload, f.Flags|link.FlagRedelivered)
			l.stats.Redelivered++
		}
	}
	k.kept.buffers = k.conn.TakeFlushed(k.kept.buffers)
	for _, b := range k.kept.buffers {
		take(b.Bytes)
	}
	take(k.conn.Unflushed())
	k.kept = unackedLog{}
	for s, q := range back {
		l.queuedBytes += q.size()
		if s.queue != nil {
			q.join(s.queue)
			l.queues.put(s.queue)
		}
		s.queue = q
	}
}
