package delivery

// A message may end each worker that receives it. Which message it was is not known, because
// everything else that the worker was handling is lost with it. An event that was in flight at the
// end of SuspectAfter links is suspect. On each loop the oldest event of one suspect client at a
// time is tried alone, until it is acknowledged or has ended MaxDeliveries links. Then it is a dead
// letter: it is counted and logged, and the client is notified. A client whose connect event is a
// dead letter was not admitted, and is closed. All other clients continue meanwhile.

// SuspectAfter is the number of links after whose end an event in flight is suspect.
const SuspectAfter = 2

// trials are the trials of a loop.
type trials struct {
	now    *Client   // its oldest event is tried alone, at once or when a worker is there
	next   []*Client // clients that wait for a trial; bound: lists of clients
	paused bool      // after a failed trial, so that the trials of several loops do not coincide each time
}

// hasTurn reports whether the client's event is being tried. It starts a trial if there is none.
func (b *Book) hasTurn(c *Client) bool {
	t := &b.trials
	if t.now == nil && !t.paused {
		t.now = c
		if c.flags&inTrials != 0 { // it may come here without waiting, for example when it closes
			c.flags &^= inTrials
			t.next = removeFrom(t.next, c)
		}
	}
	return t.now == c
}

// endTrial ends the trial of the client, whatever its result.
func (b *Book) endTrial(c *Client) {
	c.tries = 0
	if b.trials.now == c {
		b.trials.now = nil
	}
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
func (b *Book) deliveryFailed(c *Client) {
	c.tries++
	if b.trials.now == c {
		b.trials.now, b.trials.paused = nil, true
		b.host.PauseTrials()
	}
	if int(c.tries) >= b.MaxDeliveries {
		b.deadLetter(c)
	}
}

// deadLetter gives up the client's oldest event.
func (b *Book) deadLetter(c *Client) {
	b.DeadLettered++
	tries := int(c.tries)
	switch {
	case c.Entry() == Pending:
		b.host.DeadLetter(c, "connect", 0, tries)
		b.Reject(c)
		b.host.Refuse(c)
		b.endTrial(c)
	case c.queue.held() > 0:
		payload, _ := c.queue.oldest()
		b.host.DeadLetter(c, "message", len(payload), tries)
		b.dequeue(c, len(payload))
		c.handled++
		b.host.Rejected(c, CodeDeadLetter, 1)
		b.endTrial(c)
	default:
		b.host.DeadLetter(c, "close", 0, tries)
		b.forget(c)
	}
}
