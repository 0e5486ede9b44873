package delivery

import "github.com/seed-7410fe32/sluice/internal/link"

// Host is what the Book acts on: the links and clients of one loop. Its methods must not call the
// Book.
type Host interface {
	// Now returns the time in milliseconds, modulo 2^32.
	Now() uint32
	// Alone reports whether no worker takes clients.
	Alone() bool
	// Pick returns the link of the worker for a client, or nil if none takes clients now.
	Pick(c *Client) *Link
	// Client returns the client that a frame names, or nil.
	Client(slot uint32, token uint64) *Client
	// IsClosed reports whether the link's connection has ended.
	IsClosed(k *Link) bool

	// Attach, Message and Detach write a frame to the client's link. They return the number of the
	// buffer that the frame begins in; Attach also returns the frame's size.
	Attach(c *Client, a Attachment) (serial uint32, size int)
	Message(c *Client, number uint32, payload []byte, flags uint8) (serial uint32)
	Detach(c *Client, moved bool) (serial uint32)
	// Recycle takes back a buffer that was passed to Flushed.
	Recycle(buf []byte)

	// Rejected tells a client that count of its messages were rejected.
	Rejected(c *Client, code string, count int)
	// Refuse closes a client that no worker admits.
	Refuse(c *Client)
	// DeadLetter reports that the client's oldest event is given up. size is that of a message.
	DeadLetter(c *Client, event string, size, deliveries int)
	// Forget releases the slot of a client.
	Forget(c *Client)
	// Resume reads the stalled clients of a link again, with nil those of all links.
	Resume(k *Link)
	// ResumeClient reads a stalled client again.
	ResumeClient(c *Client)
	// TakesClients is called when the worker of a link takes clients again (on), or gets no more of
	// them because it has not acknowledged enough disconnects.
	TakesClients(k *Link, on bool)
	// PauseTrials calls TrialsPaused after a random pause.
	PauseTrials()
	// PaceAdoptions calls Adopt after a while.
	PaceAdoptions()
}

// Attachment is what an ATTACH says about the delivery state of a client.
type Attachment struct {
	New         bool // no worker has acknowledged the client yet
	Handled     uint32
	Redelivered int
	Cause       Cause
}

// Limits are the limits of a Book. Sizes are in bytes.
type Limits struct {
	MaxQueue      int    // of all queues, at which clients stall
	MaxUnrouted   int    // of all queues, at which messages are rejected while there is no worker
	QueueTimeout  uint32 // milliseconds that messages wait while there is no worker; 0: for ever
	MaxDeliveries int    // links that may end before an event is a dead letter; see trial.go
	MaxDeparted   int    // clients that are gone and not acknowledged
	MaxLeaving    int    // of them those of one link, before the worker gets no more clients
}

// Counters count what has happened.
type Counters struct {
	Queued, MessagesRejected, Redelivered, DeadLettered uint64
	DetachesUndelivered, WorkersBehind, QueueFull       uint64
	ClientsMoved                                        uint64
}

// Book is the delivery state of the clients and links of one loop. The loop owns it. Each exported
// method is an event. It changes the state of clients, and calls the Host for what follows from it.
type Book struct {
	Limits
	Counters
	host      Host
	waiting   []*Client // clients that wait for a worker, oldest first; bound: lists of clients
	trials    trials
	adoptions adoptions
	queues    queues
	queued    int  // bytes of the messages in the clients' queues
	full      bool // the queues are over their limit
	pending   int  // clients that no worker has admitted yet
	departed  int  // clients that have gone, which no worker has acknowledged
}

// Init prepares an empty Book.
func (b *Book) Init(h Host, l Limits) { b.host, b.Limits = h, l }

// QueuedBytes returns the size of the queues, in bytes.
func (b *Book) QueuedBytes() int { return b.queued }

// IsFull reports whether the queues are over their limit, until half of it is free.
func (b *Book) IsFull() bool { return b.full || b.queued > b.MaxQueue }

// Unattached returns how many clients no worker has admitted yet, and how many of the others are
// parked: no worker has them, and they wait for their turn to be adopted.
func (b *Book) Unattached() (pending, parked int) { return b.pending, b.adoptions.due }

// Departed returns the number of clients that have gone, which no worker has acknowledged.
func (b *Book) Departed() int { return b.departed }

// WaitingClients returns how many clients have events for a worker while there is none or until a
// trial, and how many are suspect.
func (b *Book) WaitingClients() (waiting, suspect int) {
	for _, c := range b.waiting {
		waiting += boolInt(c.state == Waiting)
	}
	for _, c := range b.trials.next {
		suspect += boolInt(c.state == Suspect)
	}
	waiting += suspect
	if b.trials.now != nil {
		suspect++
	}
	return waiting, suspect
}

// Open is the event that a client has connected. It is assigned to a worker if there is one.
func (b *Book) Open(c *Client) {
	c.state, c.place = Parked, b.host.Now()
	b.pending++
	b.advance(c)
}

// Accept reports whether a message with n bytes of payload, which has come from the client, may be
// sent at once. If so, the caller writes it, and then calls Sent. If not, it calls Enqueue.
func (b *Book) Accept(c *Client, n int) bool {
	if c.state <= Waiting {
		b.advance(c)
	}
	return c.state == Assigned && c.queue.held() == 0 && c.tries < SuspectAfter && c.link.fits(n) &&
		c.link.allows(c, n) && !b.host.IsClosed(c.link)
}

// Sent counts a message that Accept has allowed, with n bytes of payload. serial is the number of
// the buffer that it was written to.
func (b *Book) Sent(c *Client, serial uint32, n int) { b.add(c, serial, link.HeaderSize+n, true) }

// Takes reports whether the worker has credit for the next message of the client, whatever its size
// up to most bytes.
func (b *Book) Takes(c *Client, most int) bool {
	return b.Accept(c, most) && c.link.fitsUpTo(most)
}

// Enqueue queues a message of the client. If no worker is there and too many bytes are queued, the
// message is rejected.
func (b *Book) Enqueue(c *Client, payload []byte, flags uint8) {
	n := recordHeader + len(payload)
	if b.queued+n > b.MaxUnrouted && !c.state.hasLink() && b.host.Alone() {
		b.MessagesRejected++
		b.host.Rejected(c, CodeHoldFull, 1)
		return
	}
	if c.queue == nil {
		c.queue = b.queues.take()
	}
	if c.queue.waiting == 0 && !c.state.hasLink() {
		c.place = b.host.Now()
	}
	c.queue.push(payload, flags)
	b.Queued++
	b.addQueued(n)
	switch c.state {
	case Parked, Assigned:
		b.advance(c)
		if c.state == Credit && c.link.lanes.isFirst(c) {
			b.Credit(c.link)
		}
	}
}

// Check returns an error if the worker must not acknowledge the client's messages up to number n,
// and with left also its DETACH. c is nil if the client is unknown.
func (b *Book) Check(k *Link, c *Client, n uint32, left bool) error { return k.checkAck(c, n, left) }

// Acknowledge is the event that the worker has handled the client's messages up to number n, and
// with left also its DETACH. Check has allowed it.
func (b *Book) Acknowledge(k *Link, c *Client, n uint32, left bool) {
	if left && k.leaving > 0 {
		k.leaving--
	}
	if c == nil || c.link != k || !c.state.hasLink() {
		return // the client has another worker, or is forgotten
	}
	if left {
		b.forget(c)
		b.nextTrial()
		return
	}
	messages := n - c.handled
	// The ATTACH to a second worker is the oldest event only of a client of which no other was out.
	untold := c.flags&gone == 0 && c.out == 0 && (c.queue == nil || c.queue.redelivered == 0)
	oldest := messages > 0 || c.Entry() == Pending || untold
	if c.flags&attachOut != 0 {
		b.attached(c)
	}
	if messages > 0 {
		b.remove(c, messages, true)
		c.out -= messages
		c.handled = n
	}
	k.unblock(c)
	tries := c.tries
	if tries > 0 && oldest {
		b.trials.end(c)
	}
	switch {
	case c.state == Moving:
		b.finishMove(c)
	case c.state == Assigned && (c.queue.held() > 0 || c.flags&gone != 0):
		b.advance(c)
	}
	if tries >= SuspectAfter {
		b.nextTrial()
	}
}

// attached notes that the client's ATTACH is not in flight any more, and so that the client is
// admitted unless it was refused.
func (b *Book) attached(c *Client) {
	c.flags &^= attachOut
	c.link.attaching--
	b.remove(c, 1, false)
	if c.Entry() != Pending {
		return // a second worker, or the client was refused
	}
	if c.flags&gone == 0 {
		b.pending--
	}
	c.setEntry(Admitted)
}

// Reject is the event that the worker refuses the client. The caller closes it.
func (b *Book) Reject(c *Client) {
	if c.Entry() == Abandoned {
		return
	}
	b.Drop(c)
	b.adoptions.leave(c)
	if c.Entry() == Pending && c.flags&gone == 0 {
		b.pending--
	}
	c.setEntry(Rejected)
	if c.state == Assigned && c.flags&gone != 0 {
		b.advance(c) // its close event has nothing to wait for
	}
}

// Close is the event that the client has gone.
func (b *Book) Close(c *Client) {
	if c.Entry() == Pending {
		b.pending--
	}
	c.flags |= gone
	b.departed++
	if c.state.hasLink() {
		b.hasLeft(c.link)
	} else {
		c.place = b.host.Now()
	}
	if c.queue.held() == 0 && c.Entry() == Pending && !c.state.hasLink() && c.tries == 0 {
		b.forget(c) // no worker knows the client
		return
	}
	if c.Entry() == Abandoned {
		b.DetachesUndelivered++
		b.forget(c)
		return
	}
	if c.state != Credit && c.state != Suspect {
		b.advance(c)
	}
	if b.departed > b.MaxDeparted && c.state != Forgotten {
		b.giveUp(c)
	}
}

// giveUp ends a client that has gone when there are too many of them. Its messages are rejected.
// Its worker, if it has one, is sent the DETACH.
func (b *Book) giveUp(c *Client) {
	b.Drop(c)
	if c.state.hasLink() && c.state != Detached {
		b.leaveLane(c)
		b.detach(c) // it forgets the client
		return
	}
	b.DetachesUndelivered++
	b.forget(c)
}

// Drop rejects all queued messages, without telling the client. It returns their number.
func (b *Book) Drop(c *Client) int {
	if c.queue.held() == 0 {
		return 0
	}
	if c.state == Credit {
		b.leaveLane(c)
	}
	messages, bytes := c.queue.clear()
	b.dropEmpty(c)
	b.addQueued(-bytes)
	b.MessagesRejected += uint64(messages)
	if !c.state.hasLink() {
		c.handled += uint32(messages) // former workers may know their numbers
	}
	if c.out == 0 && c.Entry() != Pending { // else the trial of its connect event goes on
		b.trials.end(c)
		if c.state == Suspect {
			b.enter(c, Parked)
		}
	}
	return messages
}

// forget ends a client. Its slot may be used again.
func (b *Book) forget(c *Client) {
	if c.flags&gone != 0 {
		b.departed--
	}
	b.trials.end(c)
	b.adoptions.leave(c)
	if c.state.hasLink() {
		b.leaveLane(c)
		b.removeAll(c)
		c.link.clients--
	}
	c.state, c.link = Forgotten, nil
	b.host.Forget(c)
}

// removeAll removes all events of the client that are in flight.
func (b *Book) removeAll(c *Client) {
	if c.flags&attachOut != 0 {
		b.attached(c)
	}
	b.remove(c, c.out, true)
	c.out = 0
	if c.state == Detached {
		b.remove(c, 1, false)
	}
}

// addQueued adds to the size of the queues, or with a negative n subtracts from it.
func (b *Book) addQueued(n int) {
	b.queued += n
	switch {
	case !b.full && b.queued > b.MaxQueue:
		b.full = true
		b.QueueFull++
	case b.full && b.queued <= b.MaxQueue/2:
		b.full = false
		b.host.Resume(nil)
	}
}

// hasLeft notes that a client of the link has gone.
func (b *Book) hasLeft(k *Link) {
	if k.leaving++; k.leaving <= b.MaxLeaving || k.behind || k.draining {
		return
	}
	k.behind = true
	b.WorkersBehind++
	b.host.TakesClients(k, false)
}

// CatchUp lets a worker that has acknowledged enough disconnects take clients again.
func (b *Book) CatchUp(k *Link) {
	if !k.behind || k.leaving > b.MaxLeaving/2 || k.draining {
		return
	}
	k.behind = false
	b.host.TakesClients(k, true)
	b.WorkerReady(nil)
}
