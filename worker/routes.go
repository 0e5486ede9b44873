package worker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// routes are the ways to the gateways that are known, by gateway and loop. Readers see an immutable table and take no lock.
type routes struct {
	stats *stats
	mu    sync.Mutex // held while the table is replaced
	table atomic.Pointer[map[uint32][]route]
}

// route is the way to one loop of a gateway.
type route struct {
	link *gwLink // nil: down
	box  *outbox // the same as long as the gateway is known with this loop
}

func (r *routes) init(s *stats) {
	r.stats = s
	r.table.Store(&map[uint32][]route{})
}

// link returns the link to a gateway's loop, nil when it is down.
func (r *routes) link(gateway uint32, loop uint8) *gwLink {
	loops := (*r.table.Load())[gateway]
	if int(loop) >= len(loops) {
		return nil
	}
	return loops[loop].link
}

// loops is how many loops a gateway has, as far as it is known; 0: it is not.
func (r *routes) loops(gateway uint32) int { return len((*r.table.Load())[gateway]) }

// any returns one link to the gateway, nil when all are down.
func (r *routes) any(gateway uint32) *gwLink {
	for _, to := range (*r.table.Load())[gateway] {
		if to.link != nil {
			return to.link
		}
	}
	return nil
}

// home returns the outbox of the loop that remembers what was done at the gateway for the client with the token; nil: the gateway is not known.
func (r *routes) home(gateway uint32, token uint64) *outbox {
	loops := (*r.table.Load())[gateway]
	if len(loops) == 0 {
		return nil
	}
	return loops[token%uint64(len(loops))].box
}

// gateways are the ids of the gateways with a link, and how many more are known that have none.
func (r *routes) gateways() (up []uint32, down int) {
	for id, loops := range *r.table.Load() {
		if slices.ContainsFunc(loops, func(to route) bool { return to.link != nil }) {
			up = append(up, id)
		} else {
			down++
		}
	}
	slices.Sort(up)
	return up, down
}

func (r *routes) all() (links []*gwLink) {
	for _, of := range *r.table.Load() {
		for _, to := range of {
			if to.link != nil {
				links = append(links, to.link)
			}
		}
	}
	return links
}

func (r *routes) boxes() (all []*outbox) {
	for _, of := range *r.table.Load() {
		for _, to := range of {
			all = append(all, to.box)
		}
	}
	return all
}

// set puts a link into the table.
func (r *routes) set(l *gwLink) {
	r.change(func(t map[uint32][]route) {
		loops := make([]route, l.loops)
		copy(loops, t[l.gateway])
		for i := range loops {
			if loops[i].box == nil {
				loops[i].box = newOutbox(r.stats)
			}
		}
		to := &loops[l.loop]
		to.link, l.box = l, to.box
		to.box.adopt(l)
		t[l.gateway] = loops
	})
}

// remove takes a link out of the table, if it is still there.
func (r *routes) remove(l *gwLink) {
	r.change(func(t map[uint32][]route) {
		loops, known := t[l.gateway]
		if !known || int(l.loop) >= len(loops) || loops[l.loop].link != l {
			return
		}
		loops = slices.Clone(loops)
		loops[l.loop].link = nil
		loops[l.loop].box.lose(l)
		t[l.gateway] = loops
	})
}

// forget takes a gateway out of the table that came back under another id.
func (r *routes) forget(gateway uint32) {
	r.change(func(t map[uint32][]route) { delete(t, gateway) })
}

func (r *routes) change(f func(map[uint32][]route)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := maps.Clone(*r.table.Load())
	f(t)
	r.table.Store(&t)
}
