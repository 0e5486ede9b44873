package gateway

import "fmt"

// enqueue queues a message. If no worker is there and too many bytes are queued, the message is
// rejected and the client is notified.
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
	if !s.waiting && !s.pump() { // else it waits only for its own messages to be acknowledged
		s.wait()
		if s.link != nil && s.link.waiting.isFirst(s) {
			s.link.pumpWaiting()
		}
	}
}

// wait adds the session to a list of clients with events for a worker: that of its worker, else
// that of the loop. A client that has gone waits for QueueTimeout at most.
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

// stopWaiting removes the session from the list of a worker that it leaves.
func (s *session) stopWaiting(k *workerLink) {
	if k.waiting.remove(s) {
		s.waiting = false
	}
}

// dequeue removes the oldest message, of n bytes, from the client's queue.
func (s *session) dequeue(n int) {
	l := s.loop
	l.queuedBytes -= recordHeader + n
	if s.queue.pop(n); s.queue.waiting == 0 {
		l.queues.put(s.queue)
		s.queue = nil
	}
	l.checkQueues()
}

// dropQueued rejects all queued messages, without telling the client. It returns their number.
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
		// Workers may know their numbers. Behind messages at the worker they are the last ones.
		s.handled += uint32(messages)
		if s.entry != entryPending { // else the trial of its connect event goes on
			s.endTrial()
		}
	}
	return messages
}

// expireQueued rejects the messages queued for longer than QueueTimeout if no worker is there. It
// returns the clients that still wait. Among them are those that no worker has received.
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

// Codes of sluice.refused: why a client's message was not handled.
const (
	refusedNoWorker   = "no_worker" // no worker within QueueTimeout
	refusedHoldFull   = "hold_full" // no worker, and MaxUnroutedBytes are queued
	refusedDeadLetter = "poison"    // each worker that received it has ended
	refusedDraining   = "draining"  // no worker before the gateway closed
)

// refuse tells the client that messages were rejected.
func (s *session) refuse(code string, count int) {
	s.sendText(fmt.Appendf(nil, `{"type":"sluice.refused","code":%q,"count":%d}`, code, count))
}

// pumpWaiting assigns the clients that wait for any worker to the workers that are there. Stalled
// clients may be among them.
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
