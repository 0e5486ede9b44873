package gateway

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/membership"
)

// arbiter compares claims in the directory while another gateway is unreachable: it renews its
// lease there, and a loop of this one has no link to it. The directory has the gateways of each
// uid. So the arbiter looks up the uid of each claim of the loops' clients, after this gateway was
// entered there, and leaves the claim in the boxes of those gateways of the uid that are
// unreachable.
//
// Why one client is left. Let this gateway and another one, J, have clients with claims on one uid,
// and let J be unreachable from here. If J was entered when the arbiter looked the uid up, J gets
// the claim. Otherwise J was entered later. Then J passes its claim on to here: on its link, or, if
// this gateway is unreachable from there, by the directory, where this gateway was entered before.
// If that claim wins, the client here is closed. If it loses, the loop answers J with the claim
// that has won. But J may have passed its claim on before it was entered, and before there was one
// here: while the directory has failed or has lost its data, logins do not wait for it. So J says
// in its row when all of its uids are entered, and then the claims here are compared again.
type arbiter struct {
	// Static after newArbiter.
	g        *Gateway
	interest *interest
	wake     chan struct{} // capacity 1: there is something to compare
	applied  chan struct{} // capacity of one for each loop: it has applied what was fetched

	mu          sync.Mutex
	listed      []uint32   // other gateways in the directory, guarded by mu; bound: none, those of the directory
	missing     [][]uint32 // of each loop: those to which it has no link, guarded by mu; bound: gateways that a loop knows
	unreachable []uint32   // sorted, guarded by mu; bound: gateways that a loop knows
	queue       []contest  // guarded by mu; bound: claims that are compared in the directory
	behind      []bool     // of each loop: it has claims that are not in the queue; guarded by mu
	orders      []order    // of each loop, guarded by mu
	stats       arbiterCounts
	atAddress   atAddress // guarded by mu

	since   map[uint32]time.Time // when a gateway was first missing; owned by keep; bound: gateways that a loop knows
	entered map[uint32][2]uint64 // epochs and numbers of the rows; owned by list; bound: none, gateways of the directory
}

// order is what a loop has to do.
type order struct {
	listed, unreachable []uint32 // nil: as before
	compare             bool     // compare all claims
	resend              bool     // and send them to the other gateways
	more                bool     // the queue has room
	fetched             [][]byte // claims of other gateways; bound: messages in the directory for a gateway
}

func (o *order) isEmpty() bool {
	return o.listed == nil && o.unreachable == nil && !o.compare && !o.more && o.fetched == nil
}

// arbiterCounts are guarded by the arbiter's mutex.
type arbiterCounts struct{ compared, posted, fetched uint64 }

const (
	// maxContests is how many claims wait to be compared.
	maxContests = 8192
	// lookEvery is how often the arbiter looks which gateways are unreachable.
	lookEvery = 500 * time.Millisecond
	// fetchEvery is how often a gateway looks whether there are messages for it.
	fetchEvery = time.Second
	// contestPause is the shortest pause between two comparisons. A longer one is as long as the
	// comparison took.
	contestPause = 5 * time.Millisecond
)

func newArbiter(g *Gateway, n *interest, loops int) *arbiter {
	return &arbiter{
		g: g, interest: n, wake: make(chan struct{}, 1), applied: make(chan struct{}, loops),
		missing: make([][]uint32, loops), behind: make([]bool, loops), orders: make([]order, loops),
		unreachable: []uint32{}, since: make(map[uint32]time.Time),
	}
}

// run compares claims until ctx ends.
func (a *arbiter) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { membership.Watch(ctx, a.interest.dir, a.list, func(error) {}) })
	wg.Go(func() { a.keep(ctx) })
	wg.Go(func() { a.fetch(ctx) })
	wg.Wait()
}

// list learns which gateways there are.
func (a *arbiter) list(all []membership.Gateway) {
	ids, entered := []uint32{}, make(map[uint32][2]uint64)
	for _, other := range all {
		if other.ID != a.g.cfg.ID {
			ids = append(ids, other.ID)
			entered[other.ID] = [2]uint64{other.Epoch, other.Entered}
		}
	}
	a.mu.Lock()
	again := slices.ContainsFunc(a.unreachable, func(id uint32) bool { return entered[id] != a.entered[id] })
	a.listed, a.entered = ids, entered
	a.atAddress.listed = sameAddress(all, a.g.cfg.ID)
	for i := range a.orders {
		a.orders[i].listed = ids
		a.orders[i].compare = a.orders[i].compare || again
	}
	a.deliver()
}

// report notes to which of the listed gateways a loop has no link.
func (a *arbiter) report(loop uint8, missing []uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing[loop] = missing
}

// add adds a claim to those that are compared. It reports false if there is no room.
func (a *arbiter) add(c contest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) >= maxContests {
		return false
	}
	a.queue = append(a.queue, c)
	poke(a.wake)
	return true
}

// setBehind notes whether a loop has claims that are not in the queue.
func (a *arbiter) setBehind(loop uint8, behind bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.behind[loop] = behind; behind {
		poke(a.wake)
	}
}

// deliver wakes the loops that have orders. It is called with mu, and unlocks it. If a mailbox is
// full, the tick of the loop finds them.
func (a *arbiter) deliver() {
	var due []*loop
	for i := range a.orders {
		if !a.orders[i].isEmpty() {
			due = append(due, a.g.loops[i])
		}
	}
	a.mu.Unlock()
	for _, l := range due {
		_ = l.el.Post(l.contender.take)
	}
}

// taken returns what a loop has to do.
func (a *arbiter) taken(loop uint8) order {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := a.orders[loop]
	a.orders[loop] = order{}
	return o
}

// resendAll has each loop compare all claims, and send all to the other gateways.
func (a *arbiter) resendAll() {
	a.mu.Lock()
	for i := range a.orders {
		a.orders[i].compare, a.orders[i].resend = true, true
	}
	a.deliver()
}

// keep looks which gateways are unreachable, and compares claims.
func (a *arbiter) keep(ctx context.Context) {
	var looked time.Time
	failures := 0
	pause := time.NewTimer(lookEvery)
	for ctx.Err() == nil {
		if time.Since(looked) >= lookEvery {
			looked = time.Now()
			a.look(ctx)
			a.lookAtAddress(ctx)
		}
		began := time.Now()
		worked, ok := a.compare(ctx)
		if !ok {
			failures++
			wait := backoff.Delay(minDirectoryPause, maxDirectoryPause, failures)
			backoff.Sleep(ctx, wait/2+rand.N(wait/2))
			continue
		}
		failures = 0
		if worked {
			backoff.Sleep(ctx, max(contestPause, time.Since(began))) // others have claims too
			continue
		}
		wait := lookEvery
		if a.waiting() {
			wait = minDirectoryPause
		}
		pause.Reset(wait)
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-pause.C:
		}
	}
}

// waiting reports whether there are claims whose uids are not entered yet.
func (a *arbiter) waiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) > 0
}

func (a *arbiter) count(f func(*arbiterCounts)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.stats)
}

// fetch has the loops apply the claims that others have left for this gateway.
func (a *arbiter) fetch(ctx context.Context) {
	var done [][]byte
	last := time.Now()
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, directoryTimeout)
		messages, err := a.interest.dir.Fetch(limited, a.g.cfg.ID, done)
		cancel()
		if err == nil {
			if time.Since(last) > directory.MailTTL/2 { // some may have expired: the others answer those that lose
				a.resendAll()
			}
			done, last = messages, time.Now()
			if len(messages) > 0 {
				a.apply(ctx, messages)
				continue
			}
		}
		backoff.Sleep(ctx, fetchEvery*3/4+rand.N(fetchEvery/2))
	}
}

// apply returns when all loops have applied claims, or ctx has ended.
func (a *arbiter) apply(ctx context.Context, messages [][]byte) {
	valid := slices.DeleteFunc(slices.Clone(messages), func(m []byte) bool {
		return !eviction.fits(&link.Frame{Payload: m})
	})
	if len(valid) < len(messages) && a.g.strangerLogs.Allow() {
		a.g.log.Warn("invalid messages for this gateway in the directory", "messages", len(messages)-len(valid))
	}
	if len(valid) == 0 {
		return
	}
	a.mu.Lock()
	a.stats.fetched += uint64(len(valid))
	for i := range a.orders {
		a.orders[i].fetched = valid
	}
	a.deliver()
	for range a.orders {
		select {
		case <-ctx.Done():
			return
		case <-a.applied:
		}
	}
}

// ArbiterStats are figures of the other gateways in Config.Directory, and of the claims that are
// compared there because a gateway cannot be reached. They are 0 without one.
type ArbiterStats struct {
	GatewaysAtAddress   int    // other gateways in the directory with the address of this one, by mistake
	GatewaysUnreachable int    // gateways that are in the directory, and to which a loop has no link
	ClaimsCompared      uint64 // exclusive bindings that were looked up in the directory
	ClaimsPosted        uint64 // those left there for another gateway that has clients of the uid
	ClaimsFetched       uint64 // those that others have left there for this gateway
	ClaimsWaiting       int    // those that wait to be compared
}

func (a *arbiter) figures() ArbiterStats {
	if a == nil {
		return ArbiterStats{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return ArbiterStats{
		GatewaysAtAddress:   len(a.atAddress.certain),
		GatewaysUnreachable: len(a.unreachable), ClaimsCompared: a.stats.compared, ClaimsPosted: a.stats.posted,
		ClaimsFetched: a.stats.fetched, ClaimsWaiting: len(a.queue),
	}
}
