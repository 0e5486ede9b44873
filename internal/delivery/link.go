package delivery

import (
	"fmt"
	"math"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Link is the delivery state of one link to a worker: what is in flight there, and the clients that
// wait for its credit. Owned by the loop.
type Link struct {
	Owner  any      // the Host's link
	Worker [16]byte // id of the worker process

	window int // bytes
	Share  int // the part of the window, in bytes, that one client may use

	small, large [ways]int // bytes in flight, by how they count
	events       int       // in flight

	log       segments
	lanes     lanes
	clients   int
	attaching int // clients whose ATTACH is in flight
	leaving   int // clients that are gone and whose DETACH is not acknowledged

	creditFull bool // a full window waits for credit: large messages are not inflated
	Stalls     bool // clients of the link may have stalled since it last had credit
	behind     bool // leaving is over its bound: the worker gets no more clients
	draining   bool // the worker wants no clients
	ended      bool
}

// lateWindows is of how many windows late events do not count against the window.
const lateWindows = 4

// minShare is the least share of a client, in bytes.
const minShare = 16 << 10

// Init sets the window, in bytes, and what belongs to it.
func (k *Link) Init(owner any, worker [16]byte, window uint32) {
	// With a 32-bit int a window is at most 256 MiB.
	w := int(min(uint64(window), math.MaxInt/(2*lateWindows)))
	*k = Link{Owner: owner, Worker: worker, window: w, Share: max(w/64, minShare)}
}

// Window returns the window in bytes.
func (k *Link) Window() int { return k.window }

// Clients returns how many clients the worker has.
func (k *Link) Clients() int { return k.clients }

// InFlight returns the number and the bytes of the events in flight.
func (k *Link) InFlight() (events, bytes int) {
	for i := range k.small {
		bytes += k.small[i] + k.large[i]
	}
	return k.events, bytes
}

// CreditFull reports whether a full window waits for credit.
func (k *Link) CreditFull() bool { return k.creditFull }

// Behind reports whether the worker gets no more clients because it has not acknowledged enough
// disconnects.
func (k *Link) Behind() bool { return k.behind }

// isLarge reports whether a MESSAGE of n bytes is larger than half of the window. Large messages
// are sent outside of the window, one at a time. They must neither wait until nothing is in flight
// nor use up the credit of the others.
func (k *Link) isLarge(n int) bool { return n > k.window/2 }

// hasCredit reports whether a MESSAGE of n bytes may be sent now. It must fit in the window, or be
// large while no other large one is in flight. Late events count only as far as they exceed
// lateWindows windows, and for large messages only the large late ones count. Those of handlers
// that hang, or that block as the worker says, do not count.
func (k *Link) hasCredit(n int) bool {
	if k.isLarge(n) {
		return k.large[fully] == 0 && (k.large[late] == 0 || k.large[late]+n <= lateWindows*k.window)
	}
	return k.small[fully]+max(k.small[late]-lateWindows*k.window, 0)+n <= k.window
}

// fits reports whether the link has credit for a message with n bytes of payload.
func (k *Link) fits(n int) bool {
	lane := k.lanes.of(k, n)
	return !k.draining && (k.lanes.serving == lane || len(lane.heap) == 0) && k.hasCredit(link.HeaderSize+n)
}

// fitsUpTo reports whether a message of any size up to most bytes fits.
func (k *Link) fitsUpTo(most int) bool {
	small := max(min(most, k.window/2-link.HeaderSize), 0)
	return k.fits(small) && (small == most || k.fits(most))
}

// allows reports whether the client's share of the window has space for a message of n bytes.
func (k *Link) allows(c *Client, n int) bool {
	return c.out == 0 || int(c.bytes())+link.HeaderSize+n <= k.Share
}

// checkAck returns an error if the worker must not acknowledge the messages up to number n, and
// with left the DETACH. c is nil if the client is unknown.
func (k *Link) checkAck(c *Client, n uint32, left bool) error {
	switch {
	case c == nil || c.link != k || !c.state.hasLink():
		return nil // it has another worker, or was forgotten
	case left:
		if c.state == Detached {
			return nil
		}
	case n-c.handled-1 < c.out, n == c.handled && c.flags&attachOut != 0:
		return nil
	}
	return fmt.Errorf("%w: acknowledgement of message %d of a client, unacknowledged are %d to %d",
		link.ErrFrame, n, c.handled+1, c.Last())
}
