package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/membership"
)

// maxRenewalChecks is how many rows are read at a time to see who renews them.
const maxRenewalChecks = 64

// look finds out which gateways are unreachable: those that have renewed their lease after a loop
// has lost its link, or did not find them. A gateway that has crashed renews nothing.
func (a *arbiter) look(ctx context.Context) {
	a.mu.Lock()
	missing := make(map[uint32]bool)
	for _, of := range a.missing {
		for _, id := range of {
			missing[id] = slices.Contains(a.listed, id)
		}
	}
	now := slices.DeleteFunc(slices.Clone(a.unreachable), func(id uint32) bool { return !missing[id] })
	a.mu.Unlock()
	maps.DeleteFunc(a.since, func(id uint32, _ time.Time) bool { return !missing[id] })
	checks := 0
	for id, is := range missing {
		since, known := a.since[id]
		switch {
		case !is:
		case !known:
			a.since[id] = time.Now()
		case !slices.Contains(now, id) && checks < maxRenewalChecks:
			checks++
			if a.renewedAfter(ctx, id, since) {
				now = append(now, id)
			}
		}
	}
	slices.Sort(now)
	a.change(now)
}

// renewedAfter reports whether a gateway has certainly renewed its lease after a time.
func (a *arbiter) renewedAfter(ctx context.Context, id uint32, since time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	sent := time.Now()
	ago, err := membership.Renewed(ctx, a.interest.dir, id)
	return err == nil && sent.Add(-ago).After(since)
}

// change tells the loops which gateways are unreachable.
func (a *arbiter) change(now []uint32) {
	a.mu.Lock()
	before := a.unreachable
	if slices.Equal(now, before) {
		a.mu.Unlock()
		return
	}
	a.unreachable = now
	if len(now) == 0 {
		a.queue = nil
	}
	for i := range a.orders {
		a.orders[i].unreachable = now
	}
	a.deliver()
	for _, id := range now {
		if !slices.Contains(before, id) {
			a.g.log.Warn("a gateway in the directory cannot be reached, exclusive bindings are compared in the directory",
				"gateway", id)
		}
	}
	for _, id := range before {
		if !slices.Contains(now, id) {
			a.g.log.Info("exclusive bindings are not compared in the directory any more", "gateway", id)
		}
	}
}
