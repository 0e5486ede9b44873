package gateway

import "github.com/seed-7410fe32/sluice/internal/link"

// What a link's worker has not acknowledged when the link ends, another worker gets, in each client's order and before anything newer of that client: messages from
// what the link has kept, marked as redelivered, and the client's coming and going as often as it takes until one worker has handled them.

// acknowledged is called for the frames that the worker has handled: of one client they come in its order.
func (k *workerLink) acknowledged(a link.Acked) {
	if a.Type == link.Detach && !k.draining { // else it may have moved
		k.unackedDetaches--
	}
	s := k.loop.session(a.Slot, a.Token)
	if s == nil || s.link != k {
		return // handed over, or not waited for
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

// orphan takes a client from a link that has ended, and has given back what its worker may have seen: that is sent again, for nobody knows how far it came.
// suspicious: the worker may have died of it, which one that has opened another link in place of this one has not.
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
