package worker

import (
	"errors"
	"net"
	"strconv"
	"syscall"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A gateway that drains may leave its address to a successor and accept links on another port of
// its host. From then on the worker links to the successor at the address, and keeps the links to
// the old gateway at that port until it is gone. It learns the port from a DRAIN of the old gateway
// or of the successor.

// hint says on which port a draining gateway accepts links now.
type hint struct {
	gateway uint32
	port    uint16
}

// maxHints is how many hints may wait for a link's keeper: one about the gateway itself and one
// about its predecessor, with room to spare.
const maxHints = 4

// errGone is the error when another gateway answers where a gateway has drained.
var errGone = errors.New("worker: the gateway has drained")

// noteSuccessor passes the hint in a DRAIN on to the keeper, if there is one.
func (l *gwLink) noteSuccessor(f *link.Frame) {
	if f.Code == 0 {
		return
	}
	select {
	case l.hints <- hint{f.ID, f.Code}:
	default: // hints already wait for the keeper
	}
}

// awaitLinkEnd waits until the link has ended and returns true. It returns false if another keeper
// has taken the link over because the address now belongs to a successor.
func (g *gateway) awaitLinkEnd(l *gwLink) bool {
	for {
		select {
		case <-l.done:
			return true
		case h := <-l.hints:
			if g.followSuccessor(l, h) {
				return false
			}
		}
	}
}

// followSuccessor starts keepers for the links to a draining gateway at its new port. It returns
// true if that is the gateway at the other end of l, so that this address no longer belongs to it.
func (g *gateway) followSuccessor(l *gwLink, h hint) bool {
	host, _, err := net.SplitHostPort(g.addr)
	addr := net.JoinHostPort(host, strconv.Itoa(int(h.port)))
	if err != nil || addr == g.addr {
		return false
	}
	g.follow(h.gateway, addr)
	g.w.routes.move(h.gateway, h.port)
	if h.gateway != l.gateway {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.id == h.gateway {
		g.id, g.loops = 0, 0
	}
	return true
}

// follow keeps the links to a draining gateway up, at an address of its own, until the gateway is
// gone or Run ends, also when the successor's address is given up. A second call for the same
// address does nothing. Keepers call it.
func (g *gateway) follow(id uint32, addr string) {
	w := g.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving[addr] {
		return
	}
	w.leaving[addr] = true
	old := &gateway{
		w: w, addr: addr, leaving: id, id: id, answered: true,
		loops: max(w.routes.loops(id), 1), kept: make(map[int]bool),
	}
	for loop := range old.loops {
		old.kept[loop] = true
	}
	w.log.Info("gateway drains: a successor has its address", "gateway", id, "successor", g.addr, "addr", addr)
	w.addresses.alsoKeep(old, func() {
		w.mu.Lock()
		delete(w.leaving, addr)
		w.mu.Unlock()
		w.routes.forget(id)
	})
}

// awaitOldLink waits until the link to a loop that another keeper has dialled has ended, and its
// leader too.
func (g *gateway) awaitOldLink(loop int) {
	var old *gwLink
	g.w.mu.Lock()
	for l := range g.w.led {
		if l.gateway == g.leaving && int(l.loop) == loop {
			old = l
		}
	}
	g.w.mu.Unlock()
	if old != nil {
		<-old.done
	}
}

// isGone reports whether err means that a draining gateway has ended. It listens until all its
// links have ended.
func isGone(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, syscall.ECONNREFUSED)
}
