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

// routes are the ways to the gateways that are known. Readers see an immutable table and take no lock.
type routes struct {
	mu    sync.Mutex                       // held while the table is replaced, and told to the gateways
	table atomic.Pointer[map[uint32]route] // by id; bound: none, one for each gateway
}

// route is the way to one gateway.
type route struct {
	addr  string    // where other gateways reach it
	loops []*gwLink // nil: down
}

func (r *routes) init() { r.table.Store(&map[uint32]route{}) }

// link returns the link to a gateway's loop, nil when it is down.
func (r *routes) link(gateway uint32, loop uint8) *gwLink {
	loops := (*r.table.Load())[gateway].loops
	if int(loop) >= len(loops) {
		return nil
	}
	return loops[loop]
}

// loops is how many loops a gateway has, as far as it is known; 0: it is not.
func (r *routes) loops(gateway uint32) int { return len((*r.table.Load())[gateway].loops) }

// any returns one link to the gateway, nil when all are down.
func (r *routes) any(gateway uint32) *gwLink { return (*r.table.Load())[gateway].any() }

func (r route) any() *gwLink {
	for _, l := range r.loops {
		if l != nil {
			return l
		}
	}
	return nil
}

// gateways are the ids of the gateways with a link, and how many more are known that have none.
func (r *routes) gateways() (up []uint32, down int) {
	for id, to := range *r.table.Load() {
		if to.any() != nil {
			up = append(up, id)
		} else {
			down++
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

// set puts a link into the table.
func (r *routes) set(l *gwLink) {
	r.change(func(t map[uint32]route) {
		to := t[l.gateway]
		loops := make([]*gwLink, l.loops)
		copy(loops, to.loops)
		loops[l.loop] = l
		t[l.gateway] = route{l.addr, loops}
	}, l)
}

// remove takes a link out of the table, if it is still there.
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

// move notes that a gateway takes links on another port of its host.
func (r *routes) move(gateway uint32, port uint16) {
	r.change(func(t map[uint32]route) {
		if to, known := t[gateway]; known {
			to.addr = withPort(to.addr, port)
			t[gateway] = to
		}
	}, nil)
}

// withPort is an address with another port.
func withPort(addr string, port uint16) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// forget takes a gateway out of the table that came back under another id.
func (r *routes) forget(gateway uint32) {
	r.change(func(t map[uint32]route) { delete(t, gateway) }, nil)
}

// change replaces the table, and tells the gateways of each other when they are others then, or are elsewhere; a link that is new, where there is one, in any case.
func (r *routes) change(f func(map[uint32]route), fresh *gwLink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := *r.table.Load()
	t := maps.Clone(before)
	f(t)
	defer r.table.Store(&t) // behind what they are told: a handler that sends to a gateway must not be ahead of it
	changed := !maps.EqualFunc(before, t, func(a, b route) bool { return a.addr == b.addr })
	if !changed && fresh == nil || len(t) < 2 && len(before) < 2 {
		return // a gateway that is the only one need not hear so
	}
	told := link.Frame{Type: link.Peers, Payload: peers(t)}
	for _, to := range t {
		for _, l := range to.loops {
			if l != nil && (changed || l == fresh) {
				l.urgent(told)
			}
		}
	}
}

// peers is what gateways are told of each other.
func peers(t map[uint32]route) []byte {
	list := make([]link.Peer, 0, len(t))
	for id, to := range t {
		list = append(list, link.Peer{ID: id, Addr: to.addr})
	}
	return link.AppendPeers(nil, list)
}
