package delivery

// State says where the events of a client go. Only advance and the events of the Book change it.
type State uint8

const (
	// Parked: no worker has the client, and there is nothing to deliver. A worker adopts it soon.
	Parked State = iota
	// Waiting: the client has events to deliver, or has just connected, and waits for a worker.
	Waiting
	// Suspect: the client's oldest event was out on several links that ended. It waits until the
	// event can be tried alone. No worker has the client.
	Suspect
	// Assigned: a worker has the client. What is queued waits only for the client's own
	// acknowledgements.
	Assigned
	// Credit: a worker has the client, and its oldest queued message waits for credit of the link.
	Credit
	// Moving: a worker has the client, and it goes to another as soon as all of it is acknowledged.
	Moving
	// Detached: the worker was sent the DETACH of a client that has gone.
	Detached
	// Forgotten: the client is no longer known.
	Forgotten

	states
)

var stateNames = [states]string{
	"parked", "waiting", "suspect", "assigned", "credit", "moving", "detached", "forgotten",
}

// String returns the name of the state in ARCHITECTURE.md.
func (s State) String() string { return stateNames[s] }

// hasLink reports whether a worker has a client in this state.
func (s State) hasLink() bool { return s >= Assigned && s < Forgotten }

// Entry is the state of a client's admission.
type Entry uint8

const (
	Pending   Entry = iota // no worker has acknowledged the client yet
	Admitted               // a worker has acknowledged it
	Rejected               // it was refused: no message of it is delivered any more
	Abandoned              // each worker that received it has ended: none gets anything of it any more
)

// Cause is why a client goes to a worker. The numbers are those of the link protocol.
type Cause uint8

const (
	connected Cause = iota
	Died
	Drained
	Moved
	LinkLost
)

// Client is the delivery state of one client. It is part of the gateway's session, whose first
// cache lines it shares: its size matters. The zero value is a client that has not opened. The
// client's loop owns it.
type Client struct {
	link    *Link  // of its worker; without a worker: of the last one, or nil
	queue   *Queue // nil: nothing is queued, and what is in flight is at most one run
	flight  run    // the oldest events in flight; later ones are in queue.runs
	handled uint32 // messages acknowledged, dead-lettered, or rejected after they were queued
	out     uint32 // messages in flight
	// place is the client's place in the lanes of its link. Without a worker it is the time since
	// when the client waits for one, in milliseconds.
	place uint32
	Slot  uint32 // identifies the client to the Host; set before Open
	Note  uint32 // for the Host's own use: it fills a gap
	state State
	tries uint8 // links that ended before the client's oldest event was acknowledged
	flags clientFlags
	about uint8 // Entry, and Cause << causeShift
}

// clientFlags are facts about a client, as bits.
type clientFlags uint8

const (
	gone        clientFlags = 1 << iota // its connection has ended
	attachOut                           // the ATTACH is in flight
	inWaiting                           // it is in Book.waiting, and maybe in another state by now
	inTrials                            // it is in trials.next, and maybe in another state by now
	inAdoptions                         // it is in adoptions.next, and maybe in another state by now
	adoptDue                            // it is parked and waits to be adopted
	unheard                             // the ATTACH to its last worker was not acknowledged
	blocks                              // a handler of it blocks: what is in flight does not count against the window
)

const causeShift = 2

// State returns the client's state.
func (c *Client) State() State { return c.state }

// Entry returns the state of the client's admission.
func (c *Client) Entry() Entry { return Entry(c.about & (1<<causeShift - 1)) }

func (c *Client) setEntry(e Entry) { c.about = c.about&^(1<<causeShift-1) | uint8(e) }

func (c *Client) cause() Cause { return Cause(c.about >> causeShift) }

func (c *Client) setCause(why Cause) { c.about = c.about&(1<<causeShift-1) | uint8(why)<<causeShift }

// causeAt is why the worker of a link would get the client. LinkLost means that the worker has the
// client in its memory, so it must have acknowledged that it had got it.
func (c *Client) causeAt(k *Link) Cause {
	same := c.link != nil && c.link.Worker == k.Worker
	switch why, heard := c.cause(), c.flags&unheard == 0; {
	case heard && why == Died && same:
		return LinkLost
	case !heard && !same:
		return Died
	default:
		return why // to the same worker: as it was told
	}
}

// Link returns the link of the client's worker, or nil if no worker has the client.
func (c *Client) Link() *Link {
	if c.state.hasLink() {
		return c.link
	}
	return nil
}

// Last returns the number of the newest message that was sent to the client's worker.
func (c *Client) Last() uint32 { return c.handled + c.out }

// InFlight returns how many events the worker has not acknowledged.
func (c *Client) InFlight() int {
	n := int(c.out)
	if c.flags&attachOut != 0 {
		n++
	}
	if c.state == Detached {
		n++
	}
	return n
}

// Handled returns the number of the client's newest message that is handled, dead-lettered or
// rejected.
func (c *Client) Handled() uint32 { return c.handled }

// Queued returns the number and the bytes of the queued messages.
func (c *Client) Queued() (messages, bytes int) { return c.queue.held(), c.queue.Size() }

// UnackedBytes returns the size of the messages in flight, as frames.
func (c *Client) UnackedBytes() int { return int(c.bytes()) }

// HasQueue reports whether messages are queued.
func (c *Client) HasQueue() bool { return c.queue.held() > 0 }

// Unhandled returns the size of the messages that are queued or in flight, in bytes.
func (c *Client) Unhandled() int { return int(c.bytes()) + c.queue.Size() }

// bytes is the size of the messages in flight, as frames.
func (c *Client) bytes() (n uint32) {
	if c.flags&attachOut == 0 {
		n = uint32(c.flight.count) * c.flight.size
	}
	if c.queue != nil {
		n += c.queue.runBytes
	}
	return n
}

// IsHandled reports whether all messages of the client are handled.
func (c *Client) IsHandled() bool { return c.out == 0 && !c.HasQueue() }

// IsSuspect reports whether the client's oldest event has to be tried alone.
func (c *Client) IsSuspect() bool { return c.tries >= SuspectAfter }

// eventOut reports whether the worker has the client's oldest event: connect, a message or close.
// Of a client without those it is the ATTACH to a worker that adopts it.
func (c *Client) eventOut() bool {
	switch {
	case !c.state.hasLink():
		return false
	case c.Entry() == Pending:
		return c.flags&attachOut != 0
	case c.state == Detached:
		return true
	}
	return c.flags&attachOut != 0 || c.out > 0 && c.Entry() == Admitted
}
