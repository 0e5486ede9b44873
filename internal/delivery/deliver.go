package delivery

import (
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// advance sends what may be sent of the client's events, and puts the client where it waits for
// the rest.
func (b *Book) advance(c *Client) {
	if next := b.deliver(c); c.state != Forgotten {
		b.enter(c, next)
	}
}

// enter changes the state of a client, and adds it to the list of the new state.
func (b *Book) enter(c *Client, next State) {
	if next != Parked {
		b.adoptions.leave(c)
	}
	switch next {
	case Parked:
		if c.Entry() == Admitted {
			b.adoptions.add(c)
			b.adoptions.pace(b.host)
		}
	case Credit:
		b.awaitCredit(c)
		return
	case Waiting:
		if c.flags&inWaiting == 0 {
			c.flags |= inWaiting
			b.waiting = append(b.waiting, c)
		}
	case Suspect:
		if c.flags&inTrials == 0 {
			c.flags |= inTrials
			b.trials.next = append(b.trials.next, c)
		}
	}
	c.state = next
}

// deliver sends queued messages in order, while there is a worker with credit, and then the
// disconnect. It returns the state in which the client waits for the rest. It adds the client to no
// list.
func (b *Book) deliver(c *Client) State {
	switch c.state {
	case Forgotten, Detached:
		return c.state
	case Moving:
		if c.flags&gone != 0 && c.queue.held() == 0 && !c.IsSuspect() {
			return b.detach(c)
		}
		return Moving
	}
	suspect := c.IsSuspect()
	if suspect {
		if !b.trials.hasTurn(c) {
			return Suspect
		}
		if c.eventOut() {
			return Assigned
		}
	}
	if !c.state.hasLink() {
		k := b.host.Pick(c)
		if k == nil {
			return Waiting
		}
		b.attach(c, k)
	}
	if suspect && c.flags&attachOut != 0 {
		return Assigned
	}
	for c.queue.held() > 0 {
		payload, flags := c.queue.oldest()
		if !c.link.allows(c, len(payload)) {
			return Assigned
		}
		if !c.link.fits(len(payload)) || b.host.IsClosed(c.link) {
			return Credit
		}
		b.send(c, payload, flags)
		if suspect {
			return Assigned
		}
	}
	if c.flags&gone != 0 {
		return b.detach(c)
	}
	return Assigned
}

// attach assigns the client to the worker of a link.
func (b *Book) attach(c *Client, k *Link) {
	why := c.causeAt(k)
	c.setCause(why)
	c.flags &^= unheard
	b.adoptions.leave(c)
	redelivered := 0
	if c.queue != nil {
		redelivered = c.queue.redelivered
	}
	c.link, c.state, c.place = k, Assigned, uint32(k.lanes.small.now/placeUnit)
	k.clients++
	k.attaching++
	serial, size := b.host.Attach(c, Attachment{c.Entry() == Pending, c.handled, redelivered, why})
	b.add(c, serial, size, false)
	c.flags |= attachOut
	if c.flags&gone != 0 {
		b.hasLeft(k)
	}
}

// send sends the oldest queued message.
func (b *Book) send(c *Client, payload []byte, flags uint8) {
	n := len(payload)
	serial := b.host.Message(c, c.Last()+1, payload, flags)
	b.add(c, serial, link.HeaderSize+n, true)
	b.dequeue(c, n)
}

// dequeue removes the oldest message, of n bytes, from the client's queue.
func (b *Book) dequeue(c *Client, n int) {
	c.queue.pop(n)
	b.dropEmpty(c)
	b.addQueued(-recordHeader - n)
}

// detach tells the worker that the client has gone.
func (b *Book) detach(c *Client) State {
	b.add(c, b.host.Detach(c, false), link.HeaderSize, false)
	c.state = Detached
	if b.departed > b.MaxDeparted {
		b.DetachesUndelivered++ // it may not be delivered
		b.forget(c)
	}
	return c.state
}

// leaveLane removes a client from the lanes of its link. Its state is then Assigned, or unchanged
// if it was in none.
func (b *Book) leaveLane(c *Client) {
	if c.state == Credit {
		c.link.lanes.remove(c)
		c.state = Assigned
	}
}

// WorkerReady is the event that a worker takes clients: those that wait are assigned. opened is its
// link if that is new, else nil.
func (b *Book) WorkerReady(opened *Link) {
	if opened != nil {
		b.trials.cameBack(opened.Worker)
	}
	b.host.Resume(nil)
	list := b.waiting
	b.waiting = nil
	for _, c := range list {
		c.flags &^= inWaiting
		if c.state == Waiting {
			b.advance(c)
		}
	}
	b.nextTrial()
	b.adoptions.pace(b.host)
}

// Adopt is the event that most parked clients may get a worker, as PaceAdoptions has asked. Those
// whose worker has too much to do wait further.
func (b *Book) Adopt(most int) {
	a := &b.adoptions
	a.paced = false
	for most > 0 && a.due > 0 && !b.host.Alone() {
		c := a.take()
		if c.flags&adoptDue == 0 {
			continue
		}
		most--
		if k := b.host.Pick(c); k != nil && k.attaching < maxAttaching && k.hasCredit(k.window/2) {
			b.attach(c, k)
			continue
		}
		a.leave(c)
		a.add(c)
	}
	a.pace(b.host)
}

// Move is the event that the client is to go to another worker, because of why: Drained or Moved.
// It goes as soon as its worker has acknowledged everything. It reports whether the client had a
// worker.
func (b *Book) Move(c *Client, why Cause) bool {
	if c.state != Assigned && c.state != Credit {
		return c.state == Moving
	}
	b.leaveLane(c)
	c.state = Moving
	c.setCause(why)
	b.finishMove(c)
	return true
}

// finishMove takes the client from its worker if all of it is acknowledged, so that the order is
// kept. After Moved it gets another worker at once, else when it has something to deliver or its
// turn to be adopted has come.
func (b *Book) finishMove(c *Client) {
	if c.InFlight() > 0 {
		return
	}
	k := c.link
	b.host.Detach(c, true)
	b.ClientsMoved++
	k.clients--
	if c.flags&gone != 0 {
		k.leaving--
	}
	c.flags &^= blocks
	c.state, c.place = Parked, b.host.Now()
	b.host.ResumeClient(c) // another worker may have credit
	if c.queue.held() > 0 || c.flags&gone != 0 || c.cause() == Moved {
		b.advance(c)
	} else {
		b.enter(c, Parked)
	}
}

// Drain is the event that the worker of a link wants no clients. The caller then calls Move for
// each client of the link.
func (b *Book) Drain(k *Link) { k.draining = true }

// IsDraining reports whether the worker wants no clients.
func (k *Link) IsDraining() bool { return k.draining }

// Lost is the event that a link has ended. unflushed is the output that was not passed to Flushed.
// Messages in flight are queued again. The caller then calls Orphan for each client of the link,
// and WorkerReady.
func (b *Book) Lost(k *Link, unflushed []byte) {
	k.ended = true
	k.lanes = lanes{}
	for _, i := range k.log.order {
		b.requeue(k, k.log.all[i].bytes)
	}
	b.requeue(k, unflushed)
	k.log = segments{}
}

// Orphan takes a client from a link that has ended. Unless the link was replaced, the client's
// oldest event may have ended the worker.
func (b *Book) Orphan(c *Client, how End) {
	tried := how != Replaced && c.eventOut()
	if c.flags&attachOut != 0 {
		c.flags |= unheard
	} else {
		c.setCause(Died)
	}
	c.state, c.out, c.flight = Parked, 0, run{}
	c.flags &^= attachOut | blocks
	c.place = b.host.Now()
	if c.queue != nil {
		c.queue.runs, c.queue.firstRun, c.queue.runBytes = c.queue.runs[:0], 0, 0
		b.joinRequeued(c)
		b.dropEmpty(c)
	}
	b.host.ResumeClient(c) // another worker may have credit
	if tried {
		b.deliveryFailed(c, how)
	}
	due := c.queue.held() > 0 || c.flags&gone != 0 || c.Entry() == Pending || c.Entry() == Admitted && c.IsSuspect()
	switch {
	case c.state == Forgotten || c.Entry() == Abandoned:
	case !due:
		if c.IsSuspect() { // others have their turn until it goes
			b.trials.end(c)
		}
		b.enter(c, Parked)
	case c.IsSuspect() && b.trials.now != c:
		b.enter(c, Suspect)
	default:
		b.enter(c, Waiting)
	}
}

// Tick is called once a second. It rejects the messages queued for longer than QueueTimeout if no
// worker is there, and forgets the clients that have gone for so long.
func (b *Book) Tick() {
	b.waiting = b.expire(b.waiting, Waiting, inWaiting)
	b.trials.next = b.expire(b.trials.next, Suspect, inTrials)
	b.nextTrial()
	b.adoptions.trim()
	b.queues.trim()
}

// expire is Tick for the clients in a list. It returns those that still wait.
func (b *Book) expire(list []*Client, of State, listed clientFlags) []*Client {
	now := b.host.Now()
	alone := b.host.Alone() && b.QueueTimeout > 0
	kept := list[:0]
	for _, c := range list {
		if c.state != of {
			c.flags &^= listed
			continue
		}
		late := alone && now-c.place > b.QueueTimeout
		if late && c.queue.held() > 0 {
			if count := b.Drop(c); c.flags&gone == 0 {
				b.host.Rejected(c, CodeNoWorker, count)
			}
		}
		switch {
		case late && c.flags&gone != 0:
			b.DetachesUndelivered++
			b.forget(c)
			fallthrough
		case c.queue.held() == 0 && c.flags&gone == 0 && c.Entry() != Pending && !c.IsSuspect():
			c.flags &^= listed
			if c.state == of {
				b.enter(c, Parked)
			}
		default:
			kept = append(kept, c)
		}
	}
	clear(list[len(kept):])
	return kept
}

// Codes of sluice.refused: why a client's message was not handled.
const (
	CodeNoWorker   = "no_worker" // no worker within QueueTimeout
	CodeHoldFull   = "hold_full" // no worker, and MaxUnrouted bytes are queued
	CodeDeadLetter = "poison"    // each worker that received it has ended
	CodeDraining   = "draining"  // no worker before the gateway closed
)

// remove removes a client from a list.
func removeFrom(list []*Client, c *Client) []*Client {
	if i := slices.Index(list, c); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
