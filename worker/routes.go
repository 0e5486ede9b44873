package worker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// routes are the links that are up, by gateway and loop. Readers see an immutable table and take no lock.
type routes struct {
	mu    sync.Mutex // held while the table is replaced
	table atomic.Pointer[map[uint32][]*gwLink]
}

func (r *routes) init() { r.table.Store(&map[uint32][]*gwLink{}) }

// link returns the link to a gateway's loop, nil when it is down.
func (r *routes) link(gateway uint32, loop uint8) *gwLink {
	links := (*r.table.Load())[gateway]
	if int(loop) >= len(links) {
		return nil
	}
	return links[loop]
}

// any returns one link to the gateway, nil when all are down.
func (r *routes) any(gateway uint32) *gwLink {
	for _, l := range (*r.table.Load())[gateway] {
		if l != nil {
			return l
		}
	}
	return nil
}

// gateways are the ids of the gateways with a link, and how many more are known that have none.
func (r *routes) gateways() (up []uint32, down int) {
	for id, links := range *r.table.Load() {
		if slices.ContainsFunc(links, func(l *gwLink) bool { return l != nil }) {
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
		for _, l := range of {
			if l != nil {
				links = append(links, l)
			}
		}
	}
	return links
}

// set puts a link into the table.
func (r *routes) set(gateway uint32, loop, loops int, l *gwLink) {
	r.change(func(t map[uint32][]*gwLink) {
		links := make([]*gwLink, loops)
		copy(links, t[gateway])
		links[loop] = l
		t[gateway] = links
	})
}

// remove takes a link out of the table, if it is still there.
func (r *routes) remove(gateway uint32, l *gwLink) {
	r.change(func(t map[uint32][]*gwLink) {
		links := slices.Clone(t[gateway])
		for i := range links {
			if links[i] == l {
				links[i] = nil
			}
		}
		t[gateway] = links
	})
}

// forget takes a gateway out of the table that came back under another id.
func (r *routes) forget(gateway uint32) {
	r.change(func(t map[uint32][]*gwLink) { delete(t, gateway) })
}

func (r *routes) change(f func(map[uint32][]*gwLink)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := maps.Clone(*r.table.Load())
	f(t)
	r.table.Store(&t)
}
