package delivery

import "slices"

// A message may end each worker that receives it. Which message it was is not known, because
// everything else that the worker was handling is lost with it. An event that was in flight at the
// end of SuspectAfter links is suspect. On each loop the oldest event of one suspect client at a
// time is tried alone, until it is acknowledged or has ended MaxDeliveries links. Then it is a dead
// letter: it is counted and logged, and the client is notified. A client that cannot be given to a
// worker, because each one ends while it connects or adopts the client, is closed. All other
// clients continue meanwhile.
//
// A network that breaks links again and again must not look like such a message. If a trial's link
// broke, and the same worker process opens another link, then the event has not ended the worker,
// and the trial does not count. But something between the two may break each link that carries the
// event. So it is a dead letter at the latest after maxBroken times MaxDeliveries such trials.

// SuspectAfter is the number of links after whose end an event in flight is suspect.
const SuspectAfter = 2

// maxBroken is how many times MaxDeliveries trials may fail because links broke.
const maxBroken = 10

// End is how a link has ended.
type End uint8

const (
	Closed   End = iota // by the gateway or the worker, with a reason, or for want of heartbeats
	Broken              // its connection ended: the worker has died, or the network has failed
	Replaced            // by the worker, with another link
)

// trials are the trials of a loop.
type trials struct {
	now    *Client   // its oldest event is tried alone, at once or when a worker is there
	next   []*Client // clients that wait for a trial; bound: lists of clients
	paused bool      // after a failed trial, so that the trials of several loops do not coincide each time
	broken []broken  // trials of clients that are still suspect; bound: lists of clients
}

// broken is a trial whose link broke.
type broken struct {
	c      *Client
	worker [16]byte
	back   bool // the worker has come back: the trial does not count
}

// of returns how many trials of the client have failed because links broke, and after how many of
// them the worker came back.
func (t *trials) of(c *Client) (all, back int) {
	for i := range t.broken {
		if x := &t.broken[i]; x.c == c {
			all++
			back += boolInt(x.back)
		}
	}
	return all, back
}

// cameBack notes that a worker process lives.
func (t *trials) cameBack(worker [16]byte) {
	for i := range t.broken {
		if x := &t.broken[i]; x.worker == worker && !x.back {
			x.back = true
			x.c.tries--
		}
	}
}

// hasTurn reports whether the client's event is being tried. It starts a trial if there is none.
func (t *trials) hasTurn(c *Client) bool {
	if t.now == nil && !t.paused {
		t.now = c
		if c.flags&inTrials != 0 { // it may come here without waiting, for example when it closes
			c.flags &^= inTrials
			t.next = removeFrom(t.next, c)
		}
	}
	return t.now == c
}

// end ends the trial of the client, whatever its result.
func (t *trials) end(c *Client) {
	if t.now == c {
		t.now = nil
	}
	if c.IsSuspect() {
		t.broken = slices.DeleteFunc(t.broken, func(x broken) bool { return x.c == c })
	}
	c.tries = 0
}

// nextTrial starts the next trial if none runs.
func (b *Book) nextTrial() {
	t := &b.trials
	for t.now == nil && len(t.next) > 0 && !t.paused {
		c := t.next[0]
		t.next = t.next[1:]
		c.flags &^= inTrials
		if c.state == Suspect {
			b.advance(c)
		}
	}
}

// TrialsPaused is the event that the pause after a failed trial is over.
func (b *Book) TrialsPaused() {
	b.trials.paused = false
	b.nextTrial()
}

// deliveryFailed notes that a link has ended while the worker had the client's oldest event.
func (b *Book) deliveryFailed(c *Client, how End) {
	t := &b.trials
	c.tries++
	tooMany := int(c.tries) >= b.MaxDeliveries
	if t.now == c {
		t.now, t.paused = nil, true
		b.host.PauseTrials()
		if how == Broken {
			t.broken = append(t.broken, broken{c: c, worker: c.link.Worker})
			all, _ := t.of(c)
			tooMany = tooMany || all >= maxBroken*b.MaxDeliveries
		}
	}
	if tooMany {
		b.deadLetter(c)
	}
}

// deadLetter gives up the client's oldest event.
func (b *Book) deadLetter(c *Client) {
	b.DeadLettered++
	_, back := b.trials.of(c)
	tries := int(c.tries) + back
	switch {
	case c.Entry() == Pending:
		b.host.DeadLetter(c, "connect", 0, tries)
		b.abandon(c)
	case c.flags&unheard != 0: // its ATTACH was tried alone
		b.host.DeadLetter(c, "adopt", 0, tries)
		b.abandon(c)
	case c.queue.held() > 0:
		payload, _ := c.queue.oldest()
		b.host.DeadLetter(c, "message", len(payload), tries)
		b.dequeue(c, len(payload))
		c.handled++
		b.host.Rejected(c, CodeDeadLetter, 1)
		b.trials.end(c)
	default:
		b.host.DeadLetter(c, "close", 0, tries)
		b.forget(c)
	}
}

// abandon gives up a client that no worker can be given.
func (b *Book) abandon(c *Client) {
	b.Reject(c)
	c.setEntry(Abandoned)
	b.trials.end(c)
	if c.flags&gone == 0 {
		b.host.Refuse(c)
		return
	}
	b.DetachesUndelivered++
	b.forget(c)
}
