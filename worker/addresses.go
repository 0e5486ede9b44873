package worker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// addresses are those where the worker keeps links: the ones in Config.Gateways, which stay, and
// the ones that Config.Discover lists.
type addresses struct {
	w       *Worker
	offered atomic.Pointer[[]string] // the newest list that has not been applied; nil: none
	changed chan struct{}            // offered has been set; bound: none, one is enough
	keeping sync.WaitGroup

	mu sync.Mutex
	// all is in the order of Config.Gateways, then in that of the list. The slice is replaced and
	// never changed.
	all     []*gateway      // guarded by mu; bound: gateways that a worker knows
	ctx     context.Context // guarded by mu: that of Run; nil before
	last    []string        // guarded by mu: the list that was applied last; bound: gateways that a worker knows
	givenUp uint64          // guarded by mu: addresses that were given up
}

const (
	// maxGateways is how many addresses of a list are used.
	maxGateways = 4096
	// applyEvery is the shortest time between two changes of the addresses. A source that changes
	// its mind all the time must not make the worker dial all the time.
	applyEvery = 100 * time.Millisecond
)

func (a *addresses) init(w *Worker) {
	a.w, a.changed = w, make(chan struct{}, 1)
	for _, addr := range w.cfg.Gateways {
		g := newGateway(w, addr)
		g.fixed = true
		a.all = append(a.all, g)
	}
}

// list returns the addresses, in order.
func (a *addresses) list() []*gateway {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all
}

// stats returns how many addresses there are, and how many were given up.
func (a *addresses) stats() (known int, givenUp uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all), a.givenUp
}

// keep keeps links to all addresses up until ctx ends. It does not end links that are up then.
func (a *addresses) keep(ctx context.Context) {
	a.mu.Lock()
	a.ctx = ctx
	for _, g := range a.all {
		a.start(g)
	}
	a.mu.Unlock()
	if r := a.w.cfg.Discover; r != nil {
		a.keeping.Go(func() { r.Watch(ctx, a.offer) })
		a.keeping.Go(func() { a.follow(ctx) })
	}
	a.keeping.Wait()
}

// start starts the keepers of an address. Called with mu.
func (a *addresses) start(g *gateway) {
	var ctx context.Context
	ctx, g.giveUp = context.WithCancel(a.ctx)
	a.keeping.Go(func() {
		g.keep(ctx)
		g.giveUp()
		a.ended(g)
	})
}

// alsoKeep keeps links to a gateway up that drains and has left its address, until it has gone, and
// then calls after. Keepers call it.
func (a *addresses) alsoKeep(g *gateway, after func()) {
	a.mu.Lock()
	ctx := a.ctx
	a.mu.Unlock()
	a.keeping.Go(func() {
		g.keep(ctx)
		after()
	})
}

// linkLost tells Config.Discover that a link was lost, or could not be made.
func (a *addresses) linkLost() {
	if r := a.w.cfg.Discover; r != nil {
		r.LinkLost()
	}
}

// offer is what Resolver.Watch calls.
func (a *addresses) offer(list []string) {
	a.offered.Store(&list)
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// follow applies the lists of Config.Discover until ctx ends.
func (a *addresses) follow(ctx context.Context) {
	waits := time.AfterFunc(answerWithin, func() {
		a.w.log.Warn("gateways are not known yet, waiting for a list of them", "worker", a.w.cfg.Name)
	})
	defer waits.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
		}
		waits.Stop()
		a.apply(*a.offered.Load())
		a.w.readiness.noteList()
		backoff.Sleep(ctx, applyEvery)
	}
}

// apply makes the addresses those of the list.
func (a *addresses) apply(list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(list) == 0 || slices.Equal(list, a.last) {
		return
	}
	a.last = list
	known := make(map[string]*gateway)
	next := slices.DeleteFunc(slices.Clone(a.all), func(g *gateway) bool { return !g.fixed })
	for _, g := range a.all {
		known[g.addr] = g
	}
	listed := make(map[*gateway]bool)
	for _, addr := range list {
		g := known[addr]
		switch err := valid.HostPort(addr); {
		case g != nil && (g.fixed || listed[g]):
			continue
		case g == nil && err != nil && a.w.cfg.Dial == nil:
			a.w.log.Warn("address of a gateway is not valid, not used", "addr", addr, "err", err)
			continue
		case len(next) == maxGateways:
			a.w.log.Warn("too many gateways are listed, the others are not used", "max", maxGateways, "count", len(list))
			a.keepUnlisted(next, listed)
			return
		case g == nil:
			g = a.join(addr)
			known[addr] = g
		}
		listed[g] = true
		g.unlisted.Store(false)
		next = append(next, g)
	}
	a.keepUnlisted(next, listed)
}

// join starts to keep links to a new address. Called with mu.
func (a *addresses) join(addr string) *gateway {
	g := newGateway(a.w, addr)
	a.w.log.Info("gateway found", "addr", addr)
	a.w.unanswered.Add(1)
	a.w.readiness.add(g)
	a.start(g)
	return g
}

// keepUnlisted makes next the addresses, together with those of before that are not in it. They
// stay behind the address that they were behind, so that a gateway which is missing for a moment
// has the same place again. Called with mu.
func (a *addresses) keepUnlisted(next []*gateway, listed map[*gateway]bool) {
	for i, g := range a.all {
		if g.fixed || listed[g] {
			continue
		}
		if !g.unlisted.Swap(true) {
			a.w.log.Info("gateway is not listed any more, its links stay while it answers", "addr", g.addr)
		}
		at := 0
		if i > 0 {
			at = slices.Index(next, a.all[i-1]) + 1
		}
		next = slices.Insert(next, at, g)
	}
	a.all = next
}

// ended removes an address whose keepers have ended. If it is listed again, it gets new ones.
func (a *addresses) ended(g *gateway) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ctx.Err() != nil {
		return // the worker ends
	}
	g.forget()
	a.w.readiness.remove(g)
	at := slices.Index(a.all, g)
	if !g.unlisted.Load() {
		a.all = slices.Clone(a.all)
		a.all[at] = a.join(g.addr)
		return
	}
	a.all = slices.Delete(slices.Clone(a.all), at, at+1)
	a.givenUp++
	a.w.log.Info("gateway given up: it is not listed and does not answer", "addr", g.addr)
}
