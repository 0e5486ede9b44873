package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// lanes are the clients that wait for a link's credit. Those whose next message is large, which goes beside the window, one at a time (link.Sent), have a lane of their own: what is
// small passes them. Owned by the loop.
type lanes struct {
	small, large creditQueue
	serving      *creditQueue // one of them is served, which those behind it do not hold up; nil: none is
}

// clear has nobody wait any more.
func (w *lanes) clear() {
	for _, lane := range []*creditQueue{&w.small, &w.large} {
		for _, waiter := range lane.heap {
			waiter.s.waiting = false
		}
	}
	*w = lanes{}
}

// remove takes a client out.
func (w *lanes) remove(s *session) bool { return w.small.remove(s) || w.large.remove(s) }

// isFirst reports whether a client is the next of its lane.
func (w *lanes) isFirst(s *session) bool { return w.small.isFirst(s) || w.large.isFirst(s) }

// Bounds of a worker's window, in bytes. One that is smaller than its messages works, one message at a time.
const (
	minWindow = 1
	maxWindow = 256 << 20
)

// checkWindow refuses a window that the gateway's memory cannot bear, or that no message fits.
func checkWindow(n uint32) error {
	if n < minWindow || n > maxWindow {
		return fmt.Errorf("gateway: a window of %d bytes is not between %d and %d", n, minWindow, maxWindow)
	}
	return nil
}

// maxLinkOutput bounds what waits to be written to a worker, in bytes: a window of messages, one that goes beside it, and clients and answers.
func maxLinkOutput(window uint32) int { return 2*int(window) + link.MaxFrame }

// fits reports whether the worker has credit for a message of n bytes, and is not about to hand its clients over.
func (k *workerLink) fits(n int) bool {
	lane := k.lane(n)
	return !k.draining && !k.conn.Closed() && (k.waiting.serving == lane || len(lane.heap) == 0) && k.sent.Fits(link.HeaderSize+n)
}

// fitsUpTo reports whether a message fits whatever its size is, up to most bytes.
func (k *workerLink) fitsUpTo(most int) bool {
	small := max(min(most, k.window/2-link.HeaderSize), 0)
	return k.fits(small) && (small == most || k.fits(most))
}

// lane is where a message of n bytes has its client wait.
func (k *workerLink) lane(n int) *creditQueue {
	if k.sent.IsLarge(link.HeaderSize + n) {
		return &k.waiting.large
	}
	return &k.waiting.small
}

// laneOf is where a client waits.
func (k *workerLink) laneOf(s *session) *creditQueue {
	if s.queue == nil {
		return &k.waiting.small
	}
	payload, _ := s.queue.oldest()
	return k.lane(len(payload))
}

// enqueue has a client wait for credit.
func (k *workerLink) enqueue(s *session) {
	lane := k.laneOf(s)
	if lane == &k.waiting.large {
		s.place = uint32(lane.now / placeUnit) // it has no past there: large messages take turns
	}
	lane.push(s, k.share)
}

// pumpWaiting lets the clients that wait for credit go on, each lane in its order, and then those that have stalled.
func (k *workerLink) pumpWaiting() {
	for k.pump(&k.waiting.small) || k.pump(&k.waiting.large) {
	}
	k.checkAhead()
	if k.stalls && k.fits(max(k.window/2-link.HeaderSize, 0)) {
		k.stalls = false
		k.loop.resumeStalled(k)
	}
}

// pump lets a lane go on. It reports whether clients have come into the other one by it, who may go on too.
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
		lane.again(w, sent, k.share)
		break
	}
	return moved
}
