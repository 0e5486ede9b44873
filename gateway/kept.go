package gateway

import (
	"slices"

	"sluice/engine"
	"sluice/internal/link"
)

// kept is what was written to a link and not all of it acknowledged: the buffers that went out, so that a message that no worker loses costs no copy of its own.
// It is bounded by the link's window: when a handler that hangs keeps more alive than twice what is unacknowledged, only that is kept.
type kept struct {
	buffers []engine.Flushed // oldest first
	bytes   int
}

const (
	keptSlack  = 1 << 20  // bytes kept besides twice what is unacknowledged
	keptBuffer = 64 << 10 // bytes of a buffer that what is unacknowledged is gathered in
)

// trim forgets what has been acknowledged, and what never is.
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
	if _, out := k.sent.Outstanding(); k.kept.bytes > 2*out+keptSlack {
		k.gather()
	}
}

// gather keeps the messages that are out, and nothing else of the buffers.
func (k *workerLink) gather() {
	old := k.kept.buffers
	k.kept = kept{}
	for _, o := range old {
		for f := range k.out(o.Bytes) {
			last := len(k.kept.buffers) - 1
			if last < 0 || len(k.kept.buffers[last].Bytes)+link.HeaderSize+len(f.Payload) > cap(k.kept.buffers[last].Bytes) {
				k.kept.buffers = append(k.kept.buffers, engine.Flushed{Bytes: make([]byte, 0, max(keptBuffer, link.HeaderSize+len(f.Payload)))})
				last++
				k.kept.bytes += cap(k.kept.buffers[last].Bytes)
			}
			b := &k.kept.buffers[last]
			b.Bytes, b.Mark = link.Append(b.Bytes, f), f.ID
		}
		k.loop.el.Recycle(o.Bytes)
	}
}

// out walks the messages in a buffer that are not acknowledged.
func (k *workerLink) out(b []byte) func(func(*link.Frame) bool) {
	return func(yield func(*link.Frame) bool) {
		for len(b) > 0 {
			var f link.Frame
			n, err := link.Next(b, link.MaxFrame, &f)
			if n == 0 || err != nil {
				return // never: they are frames as they were written
			}
			b = b[n:]
			if f.Type == link.Message && k.sent.Out(f.ID) && !yield(&f) {
				return
			}
		}
	}
}

// takeBack gives each client, in front of what waits, the messages that its worker has not acknowledged, marked as redelivered.
func (k *workerLink) takeBack() {
	l := k.loop
	back := make(map[*session]*queue)
	take := func(b []byte) {
		for f := range k.out(b) {
			s := l.session(f.Slot, f.Token)
			if s == nil || s.link != k {
				continue // not waited for
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
	k.kept = kept{}
	for s, q := range back {
		l.held += q.size()
		if s.queue != nil {
			q.join(s.queue)
			l.queues.put(s.queue)
		}
		s.queue = q
	}
}
