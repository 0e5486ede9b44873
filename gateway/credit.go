package gateway

import "slices"

// creditQueue is the clients that have something for a worker and wait for the link's credit. They
// share it fairly by bytes, by weighted fair queueing: time moves on by what is sent, divided by
// how many wait, and a client's place is when it would be done if all were served at once, each at
// the same speed. The lowest place goes first. So a small message does not wait behind the large
// ones of everybody else, and a large one is not overtaken for ever. Owned by the loop.
type creditQueue struct {
	heap  []creditWaiter // bound: lists of clients
	bytes int            // that they may send when they are served, as of when they came
	now   uint64
	nth   uint32 // clients that have come so far
}

type creditWaiter struct {
	place uint64
	from  uint64 // when its turn began: now, or when what was sent of it before would have been done
	nth   uint32 // of equal places the one that has waited longest goes first
	s     *session
}

func (a *creditWaiter) before(b *creditWaiter) bool {
	return a.place < b.place || a.place == b.place && int32(a.nth-b.nth) < 0
}

// A session remembers its place in units, modulo 2^32. One that is farther ahead than any can be is
// of long ago.
const (
	placeUnit = 16
	farthest  = 64 << 20
)

// push has a client wait, which may send so many bytes when it is served.
func (q *creditQueue) push(s *session, share int) {
	from := q.now
	if ahead := int64(int32(s.place-uint32(q.now/placeUnit))) * placeUnit; ahead > 0 && ahead <= farthest {
		from += uint64(ahead)
	}
	q.add(creditWaiter{from + uint64(s.queue.portion(share)), from, q.nth, s})
	q.nth++
}

// pop takes out the client that is next. Once it has been served comes served, and, if it has to
// wait on, again.
func (q *creditQueue) pop() creditWaiter {
	first := q.heap[0]
	q.take(0)
	return first
}

// served notes that n bytes were sent of the client that was taken out.
func (q *creditQueue) served(w creditWaiter, n int) {
	if n > 0 {
		w.s.place = uint32((w.from + uint64(n) + placeUnit - 1) / placeUnit)
		q.now += uint64(n / (1 + len(q.heap)))
	}
}

// again puts back a client that could not be served to the end. One of which nothing was sent keeps
// its place.
func (q *creditQueue) again(w creditWaiter, sent, share int) {
	if sent > 0 {
		q.push(w.s, share)
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
func (q *creditQueue) isFirst(s *session) bool { return len(q.heap) > 0 && q.heap[0].s == s }

// remove takes a client out, wherever it stands.
func (q *creditQueue) remove(s *session) bool {
	for i, e := range slices.Backward(q.heap) { // the last one is the most likely
		if e.s == s {
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
