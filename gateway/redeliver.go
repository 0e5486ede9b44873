package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// If a link ends, its unacknowledged events go to another worker, in each client's order and before
// the client's newer events. Messages come from the link's buffers and are marked as redelivered.
// Connect and close events are repeated until a worker has handled them.

// acknowledged is called for the frames that the worker has handled. Those of one client come in
// order.
func (k *workerLink) acknowledged(a link.Acked) {
	if a.Type == link.Detach && !k.draining { // else it may be a client that has moved
		k.unackedDetaches--
	}
	s := k.loop.session(a.Slot, a.Token)
	if s == nil || s.link != k {
		return // the client has another worker, or is forgotten
	}
	s.unackedFrames -= int32(a.Frames)
	switch a.Type {
	case link.Attach:
		s.admitted()
	case link.Message:
		s.out -= int32(a.Frames)
		s.unacked -= int32(a.Bytes)
		s.handled += uint32(a.Frames)
		if s.pauses != 0 {
			s.throttle()
		}
		s.oldestHandled()
		if s.queue != nil && !s.waiting && !s.pump() {
			s.wait()
		}
	case link.Detach:
		k.loop.forget(s)
		k.loop.trials.OnTimer(nil)
		return
	}
	if k.draining && s.unackedFrames == 0 {
		k.handOver(s)
	}
}

// orphan takes a client from a link that has ended. Its unacknowledged messages are in its queue
// again. suspicious: the client's oldest event may have ended the worker. It is false if the worker
// itself has replaced the link.
func (s *session) orphan(suspicious bool) {
	l := s.loop
	tried := suspicious && s.eventOut()
	due := s.unackedFrames > 0 || s.queue != nil
	s.link, s.unackedFrames, s.out, s.unacked = nil, 0, 0, 0
	s.detachSent = false
	if s.queue != nil {
		s.queue.since = l.el.Now()
	}
	s.resume(pausedByQueues) // another worker may have credit
	if tried {
		s.deliveryFailed()
	}
	if due && s.phase != phaseForgotten {
		s.wait()
	}
	s.throttle()
}
