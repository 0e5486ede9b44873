package gateway

import "fmt"

// enqueue lets a message wait. When no worker is there, and too much waits for one, it is refused,
// which the client is told.
func (s *session) enqueue(payload []byte, flags uint8) {
	l := s.loop
	n := recordHeader + len(payload)
	if l.queuedBytes+n > l.g.cfg.MaxUnroutedBytes && s.link == nil && l.unassigned() {
		l.stats.MessagesRejected++
		s.refuse(refusedHoldFull, 1)
		return
	}
	if s.queue == nil {
		s.queue = l.queues.take()
		s.queue.since = l.el.Now()
	}
	s.queue.push(payload, flags)
	l.queuedBytes += n
	l.stats.QueuedTotal++
	l.checkQueues()
	if !s.waiting && !s.pump() { // else it waits for what its worker has of it to be handled, and in nobody's way
		s.wait()
		if s.link != nil && s.link.waiting.isFirst(s) {
			s.link.pumpWaiting()
		}
	}
}

// wait puts the session into the list of those that have something for a worker: its worker's list, else the loop's. A client that is gone waits no longer than QueueTimeout.
func (s *session) wait() {
	if s.phase == phaseGone && !s.timer.Scheduled() {
		s.loop.el.Schedule(&s.timer, s.loop.g.cfg.QueueTimeout)
	}
	if s.waiting {
		return
	}
	s.waiting = true
	if s.isSuspect() && s.loop.trials.now != s {
		s.loop.trials.next = append(s.loop.trials.next, s)
		return
	}
	if s.link != nil {
		s.link.enqueue(s)
		s.link.checkCreditFull()
		return
	}
	s.loop.waiting = append(s.loop.waiting, s)
}

// stopWaiting takes the session out of the list of a worker that it leaves.
func (s *session) stopWaiting(k *workerLink) {
	if k.waiting.remove(s) {
		s.waiting = false
	}
}

// dequeue takes the oldest message that waits, of n bytes, out of the client's queue.
func (s *session) dequeue(n int) {
	l := s.loop
	l.queuedBytes -= recordHeader + n
	if s.queue.pop(n); s.queue.waiting == 0 {
		l.queues.put(s.queue)
		s.queue = nil
	}
	l.checkQueues()
}

// dropQueued refuses all that waits, without a word to the client, and returns how many messages that was.
func (s *session) dropQueued() int {
	if s.queue == nil {
		return 0
	}
	l := s.loop
	messages, bytes := s.queue.clear()
	l.queues.put(s.queue)
	s.queue = nil
	l.queuedBytes -= bytes
	l.checkQueues()
	l.stats.MessagesRejected += uint64(messages)
	if s.out == 0 {
		s.handled += uint32(messages) // their numbers may be known elsewhere; behind messages that are out they are the last there are
		if s.entry != entryPending {  // else its coming is on trial still
			s.endTrial()
		}
	}
	return messages
}

// expireQueued refuses what has waited longer than QueueTimeout, when no worker is there. It returns the clients of the list that go on waiting: those that have yet to be given to a
// worker too.
func (l *loop) expireQueued(list []*session) []*session {
	now, alone := l.el.Now(), l.unassigned()
	kept := list[:0]
	for _, s := range list {
		if q := s.queue; alone && q != nil && now.Sub(q.since) > l.g.cfg.QueueTimeout {
			count := s.dropQueued()
			if s.phase == phaseOpen {
				s.refuse(refusedNoWorker, count)
				s.throttle()
			}
		}
		if s.queue != nil || s.phase == phaseOpen && s.entry == entryPending || s.phase == phaseGone {
			kept = append(kept, s)
		} else {
			s.waiting = false
		}
	}
	clear(list[len(kept):])
	return kept
}

// Why a client's message was not taken.
const (
	refusedNoWorker = "no_worker" // none came within QueueTimeout
	refusedHoldFull = "hold_full" // none is there, and MaxUnroutedBytes wait for one already
	refusedPoison   = "poison"    // each worker that got it has died
	refusedDraining = "draining"  // no worker came before the gateway closed down
)

// refuse tells the client that messages of its were not taken.
func (s *session) refuse(code string, count int) {
	s.sendText(fmt.Appendf(nil, `{"type":"sluice.refused","code":%q,"count":%d}`, code, count))
}

// pumpWaiting gives those that wait for any worker to the workers that are there. Who has stalled may
// be one of them.
func (l *loop) pumpWaiting() {
	l.resumeStalled(nil)
	list := l.waiting
	l.waiting = nil
	for _, s := range list {
		s.waiting = false
		if !s.pump() {
			s.wait()
		}
	}
}
