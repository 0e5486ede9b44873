package delivery

import "slices"

// creditQueue is the queue of clients that wait for a link's credit. They share it fairly by bytes,
// by weighted fair queueing: virtual time advances by the bytes sent, divided by the number of
// waiting clients. A client's place is the virtual time at which it would be done if all were
// served at once at the same speed. The client with the lowest place is next. So a small message
// does not wait behind the large ones of other clients, and a large one is not overtaken for ever.
// Owned by the loop.
type creditQueue struct {
	heap  []creditWaiter // bound: lists of clients
	bytes int            // sum of the bytes that the clients may send, as of when they were added
	now   uint64
	nth   uint32 // number of clients added so far
}

type creditWaiter struct {
	place uint64
	from  uint64 // the virtual time at which its service starts: now, or later if it was served before
	nth   uint32 // of equal places the one that has waited longest is first
	c     *Client
}

func (a *creditWaiter) before(b *creditWaiter) bool {
	return a.place < b.place || a.place == b.place && int32(a.nth-b.nth) < 0
}

// A Client stores its place in units, modulo 2^32. A place further ahead than farthest is an old
// one.
const (
	placeUnit = 16
	farthest  = 64 << 20
)

// push adds a client, which may send share bytes when it is served.
func (q *creditQueue) push(c *Client, share int) {
	from := q.now
	if ahead := int64(int32(c.place-uint32(q.now/placeUnit))) * placeUnit; ahead > 0 && ahead <= farthest {
		from += uint64(ahead)
	}
	q.add(creditWaiter{from + uint64(c.queue.portion(share)), from, q.nth, c})
	q.nth++
}

// pop removes the next client. After it was served the caller calls served, and requeue if it has
// to wait again.
func (q *creditQueue) pop() creditWaiter {
	first := q.heap[0]
	q.take(0)
	return first
}

// served notes that n bytes of the removed client were sent.
func (q *creditQueue) served(w creditWaiter, n int) {
	if n > 0 {
		w.c.place = uint32((w.from + uint64(n) + placeUnit - 1) / placeUnit)
		q.now += uint64(n / (1 + len(q.heap)))
	}
}

// requeue adds a client again that could not send everything. It keeps its place if it sent
// nothing.
func (q *creditQueue) requeue(w creditWaiter, sent, share int) {
	if sent > 0 {
		q.push(w.c, share)
		return
	}
	q.add(w)
}

func (q *creditQueue) add(w creditWaiter) {
	q.bytes += int(w.place - w.from)
	q.heap = append(q.heap, w)
	q.up(len(q.heap) - 1)
}

// isFirst reports whether a client is the next.
func (q *creditQueue) isFirst(c *Client) bool { return len(q.heap) > 0 && q.heap[0].c == c }

// remove removes a client, wherever it is. It reports whether it was there.
func (q *creditQueue) remove(c *Client) bool {
	for i, e := range slices.Backward(q.heap) { // the last one is the most likely
		if e.c == c {
			q.take(i)
			return true
		}
	}
	return false
}

func (q *creditQueue) take(i int) {
	last := len(q.heap) - 1
	q.bytes -= int(q.heap[i].place - q.heap[i].from)
	q.heap[i] = q.heap[last]
	q.heap[last] = creditWaiter{}
	if q.heap = q.heap[:last]; i < last {
		q.down(i)
		q.up(i)
	}
}

func (q *creditQueue) up(i int) {
	for h := q.heap; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			return
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
}

func (q *creditQueue) down(i int) {
	for h := q.heap; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(&h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
