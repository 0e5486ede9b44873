package worker

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A gateway that drains may leave its address to a successor, and take links on another port of
// its host. From then on the address is the successor's, and the worker keeps the links to the old
// gateway by that port, until it is gone. It hears of the port from the one or the other.

// hint is where a gateway that drains takes links now.
type hint struct {
	gateway uint32
	port    uint16
}

// maxHints is how many may wait for a link's keeper: one of the gateway itself, one of the one
// before it.
const maxHints = 4

// errGone is returned when another answers where a gateway drained.
var errGone = errors.New("worker: the gateway has drained")

// noteSuccessor passes on what a DRAIN says, if it says where.
func (l *gwLink) noteSuccessor(f *link.Frame) {
	if f.Code == 0 {
		return
	}
	select {
	case l.hints <- hint{f.ID, f.Code}:
	default: // the keeper has enough to do
	}
}

// stay waits until the link has ended, and reports whether it has: it returns false when the link
// has got another keeper, for the address is a successor's.
func (g *gateway) stay(ctx context.Context, l *gwLink) bool {
	for {
		select {
		case <-l.done:
			return true
		case h := <-l.hints:
			if g.followSuccessor(ctx, l, h) {
				return false
			}
		}
	}
}

// followSuccessor has somebody keep the links to a gateway that drains. It reports whether that is the one at
// the link's other end, whose address this is no more.
func (g *gateway) followSuccessor(ctx context.Context, l *gwLink, h hint) bool {
	host, _, err := net.SplitHostPort(g.addr)
	addr := net.JoinHostPort(host, strconv.Itoa(int(h.port)))
	if err != nil || addr == g.addr {
		return false
	}
	g.follow(ctx, h.gateway, addr)
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

// follow keeps the links to a gateway that drains, at an address of its own, until it is gone or
// ctx ends. A second call for the same address does nothing. Keepers call it.
func (g *gateway) follow(ctx context.Context, id uint32, addr string) {
	w := g.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leaving[addr] {
		return
	}
	w.leaving[addr] = true
	old := &gateway{w: w, addr: addr, leaving: id, id: id, seen: true, loops: max(w.routes.loops(id), 1), kept: make(map[int]bool)}
	for loop := range old.loops {
		old.kept[loop] = true
	}
	w.log.Info("a gateway drains: its successor has the address", "gateway", id, "successor", g.addr, "addr", addr)
	g.keepers.Go(func() {
		old.keep(ctx)
		w.mu.Lock()
		delete(w.leaving, addr)
		w.mu.Unlock()
		w.routes.forget(id)
	})
}

// awaitEnd waits until the link to a loop that another keeper has dialled has ended, and its leader
// has.
func (g *gateway) awaitEnd(loop int) {
	if l := g.w.watch.leads(g.leaving, uint8(loop)); l != nil {
		<-l.done
	}
}

// isGone reports whether a gateway that drained is not there any more: it listens until its links
// end.
func isGone(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, syscall.ECONNREFUSED)
}
