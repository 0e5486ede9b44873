package worker

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// routes are the links to the known gateways. Readers load an immutable table and take no lock.
type routes struct {
	lists bool                             // static: the gateways are told of each other
	mu    sync.Mutex                       // held while the table is replaced and sent to the gateways
	table atomic.Pointer[map[uint32]route] // by id; bound: none, one for each gateway
	// added and removed are called before a gateway is in the table, and after it was removed. Static.
	added, removed func(gateway uint32)
}

// route is the address and the links of one gateway.
type route struct {
	addr  string    // at which other gateways reach it
	loops []*gwLink // by loop; nil if the link is down
}

// init makes an empty table. A worker lists the gateways to each of them. A publisher does not: it
// may reach them at addresses that are good for itself only.
func (r *routes) init(lists bool, added, removed func(gateway uint32)) {
	r.lists, r.added, r.removed = lists, added, removed
	r.table.Store(&map[uint32]route{})
}

// link returns the link to a gateway's loop, or nil if it is down.
func (r *routes) link(gateway uint32, loop uint8) *gwLink {
	loops := (*r.table.Load())[gateway].loops
	if int(loop) >= len(loops) {
		return nil
	}
	return loops[loop]
}

// loops returns the number of loops of a gateway, or 0 if the gateway is not known.
func (r *routes) loops(gateway uint32) int { return len((*r.table.Load())[gateway].loops) }

// any returns one link to the gateway, or nil if all are down.
func (r *routes) any(gateway uint32) *gwLink { return (*r.table.Load())[gateway].any() }

func (r route) any() *gwLink {
	for _, l := range r.loops {
		if l != nil {
			return l
		}
	}
	return nil
}

// gateways returns the ids of the gateways that have a link, and of known gateways without one.
func (r *routes) gateways() (up, down []uint32) {
	for id, to := range *r.table.Load() {
		if to.any() != nil {
			up = append(up, id)
		} else {
			down = append(down, id)
		}
	}
	slices.Sort(up)
	return up, down
}

func (r *routes) all() (links []*gwLink) {
	for _, to := range *r.table.Load() {
		for _, l := range to.loops {
			if l != nil {
				links = append(links, l)
			}
		}
	}
	return links
}

// set adds a link to the table.
func (r *routes) set(l *gwLink) {
	r.added(l.gateway)
	r.change(func(t map[uint32]route) {
		to := t[l.gateway]
		loops := make([]*gwLink, l.loops)
		copy(loops, to.loops)
		loops[l.loop] = l
		t[l.gateway] = route{l.addr, loops}
	}, l)
}

// remove removes a link from the table, if it is still there.
func (r *routes) remove(l *gwLink) {
	r.change(func(t map[uint32]route) {
		to, known := t[l.gateway]
		if !known || int(l.loop) >= len(to.loops) || to.loops[l.loop] != l {
			return
		}
		to.loops = slices.Clone(to.loops)
		to.loops[l.loop] = nil
		t[l.gateway] = to
	}, nil)
}

// move records that a gateway accepts links on another port of its host.
func (r *routes) move(gateway uint32, port uint16) {
	r.change(func(t map[uint32]route) {
		if to, known := t[gateway]; known {
			to.addr = withPort(to.addr, port)
			t[gateway] = to
		}
	}, nil)
}

// withPort returns addr with another port.
func withPort(addr string, port uint16) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// forget removes a gateway that has restarted with another id, or has ended.
func (r *routes) forget(gateway uint32) {
	r.change(func(t map[uint32]route) { delete(t, gateway) }, nil)
	r.removed(gateway)
}

// change replaces the table. If the gateways or their addresses have changed, it sends the list of
// gateways to all of them. fresh is a new link, or nil; it gets the list in any case.
func (r *routes) change(f func(map[uint32]route), fresh *gwLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := *r.table.Load()
	t := maps.Clone(before)
	f(t)
	defer r.table.Store(&t) // last, so that no handler sends to a gateway before the others know of it
	changed := !maps.EqualFunc(before, t, func(a, b route) bool { return a.addr == b.addr })
	if !r.lists || !changed && fresh == nil || len(t) < 2 && len(before) < 2 {
		return // a single gateway needs no list
	}
	list := link.Frame{Type: link.Peers, Payload: peers(t)}
	for _, to := range t {
		for _, l := range to.loops {
			if l != nil && (changed || l == fresh) {
				l.sendUrgent(list)
			}
		}
	}
}

// peers encodes the list of gateways.
func peers(t map[uint32]route) []byte {
	list := make([]link.Peer, 0, len(t))
	for id, to := range t {
		list = append(list, link.Peer{ID: id, Addr: to.addr})
	}
	return link.AppendPeers(nil, list)
}
