package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// lanes are the clients that wait for a link's credit. Clients whose next message is large have a
// lane of their own: large messages are sent outside the window, one at a time (link.AckWindow),
// and small ones pass them. Owned by the loop.
type lanes struct {
	small, large creditQueue
	serving      *creditQueue // the lane that pump serves, which its waiting clients do not hold up; nil: none
}

// clear removes all clients.
func (w *lanes) clear() {
	for _, lane := range []*creditQueue{&w.small, &w.large} {
		for _, waiter := range lane.heap {
			waiter.s.waiting = false
		}
	}
	*w = lanes{}
}

// remove removes a client. It reports whether the client was there.
func (w *lanes) remove(s *session) bool { return w.small.remove(s) || w.large.remove(s) }

// isFirst reports whether a client is the next of its lane.
func (w *lanes) isFirst(s *session) bool { return w.small.isFirst(s) || w.large.isFirst(s) }

// Bounds of a worker's window, in bytes. A window smaller than its messages lets one message
// through at a time.
const (
	minWindow = 1
	maxWindow = 256 << 20
)

// checkWindow reports an error if the window is too large for the gateway's memory, or is 0.
func checkWindow(n uint32) error {
	if n < minWindow || n > maxWindow {
		return fmt.Errorf("gateway: window of %d bytes: must be between %d and %d", n, minWindow, maxWindow)
	}
	return nil
}

// maxLinkOutput bounds the output that waits for a worker, in bytes: a window of messages, a large
// message outside it, attachments and replies.
func maxLinkOutput(window uint32) int { return 2*int(window) + link.MaxFrame }

// fits reports whether the worker has credit for a message of n bytes, and does not drain.
func (k *workerLink) fits(n int) bool {
	lane := k.lane(n)
	return !k.draining && !k.conn.Closed() && (k.waiting.serving == lane || len(lane.heap) == 0) &&
		k.sent.Fits(link.HeaderSize+n)
}

// fitsUpTo reports whether a message of any size up to most bytes fits.
func (k *workerLink) fitsUpTo(most int) bool {
	small := max(min(most, k.window/2-link.HeaderSize), 0)
	return k.fits(small) && (small == most || k.fits(most))
}

// lane is the lane of a client whose next message has n bytes.
func (k *workerLink) lane(n int) *creditQueue {
	if k.sent.IsLarge(link.HeaderSize + n) {
		return &k.waiting.large
	}
	return &k.waiting.small
}

// laneOf is the lane of a client.
func (k *workerLink) laneOf(s *session) *creditQueue {
	if s.queue == nil {
		return &k.waiting.small
	}
	payload, _ := s.queue.oldest()
	return k.lane(len(payload))
}

// enqueue adds a client to its lane.
func (k *workerLink) enqueue(s *session) {
	lane := k.laneOf(s)
	if lane == &k.waiting.large {
		s.place = uint32(lane.now / placeUnit) // large messages take turns: an earlier place does not count
	}
	lane.push(s, k.share)
}

// pumpWaiting serves the clients that wait for credit, each lane in its order, and then stalled
// clients.
func (k *workerLink) pumpWaiting() {
	for k.pump(&k.waiting.small) || k.pump(&k.waiting.large) {
	}
	k.checkCreditFull()
	if k.stalls && k.fits(max(k.window/2-link.HeaderSize, 0)) {
		k.stalls = false
		k.loop.resumeStalled(k)
	}
}

// pump serves a lane. It reports whether clients have moved to the other lane, which can then be
// served.
func (k *workerLink) pump(lane *creditQueue) (moved bool) {
	for len(lane.heap) > 0 {
		w := lane.pop()
		w.s.waiting = false
		before := w.s.unacked
		k.waiting.serving = lane
		done := w.s.pump()
		k.waiting.serving = nil
		sent := int(w.s.unacked - before)
		lane.served(w, sent)
		if lane == &k.waiting.large {
			w.s.place = uint32(k.waiting.small.now / placeUnit)
		}
		if done {
			continue
		}
		w.s.waiting = true
		if k.laneOf(w.s) != lane {
			k.enqueue(w.s)
			moved = true
			continue
		}
		lane.requeue(w, sent, k.share)
		break
	}
	return moved
}
