package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/membership"
)

// atAddress is which other gateways have the address of this one in the directory. Workers and
// other gateways reach only one of them.
type atAddress struct {
	listed  map[uint32]string    // addresses by id; bound: none, gateways of the directory
	since   map[uint32]time.Time // when one was first listed; bound: none, as listed
	certain []uint32             // those that have renewed their lease since then; bound: none, as listed
}

// sameAddress returns the gateways with the address of the one with the id. The row of a gateway
// that drains may have the address of its successor.
func sameAddress(all []membership.Gateway, id uint32) map[uint32]string {
	own := slices.IndexFunc(all, func(g membership.Gateway) bool { return g.ID == id && !g.Draining })
	if own < 0 {
		return nil
	}
	same := make(map[uint32]string)
	for _, g := range all {
		if g.ID != id && g.Addr == all[own].Addr && !g.Draining {
			same[g.ID] = g.Addr
		}
	}
	return same
}

// lookAtAddress finds out which gateways with the same address live. The row of one that has
// crashed, and has started again with another id, stays for some seconds.
func (a *arbiter) lookAtAddress(ctx context.Context) {
	a.mu.Lock()
	listed, since, before := a.atAddress.listed, maps.Clone(a.atAddress.since), a.atAddress.certain
	a.mu.Unlock()
	if len(listed)+len(before) == 0 {
		return
	}
	now := make(map[uint32]time.Time, len(listed))
	var certain []uint32
	for id, addr := range listed {
		began, known := since[id]
		if !known {
			began = time.Now()
		}
		now[id] = began
		switch {
		case slices.Contains(before, id):
			certain = append(certain, id)
		case known && a.renewedAfter(ctx, id, began):
			certain = append(certain, id)
			a.g.log.Error("another gateway has the same address in the directory: give each its own (--advertise)",
				"gateway", id, "addr", addr)
		}
	}
	slices.Sort(certain)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.atAddress.since, a.atAddress.certain = now, certain
}
