package gateway

import (
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// contender is a loop's side of the arbiter. A loop of a gateway without a directory has none. The
// loop owns it.
type contender struct {
	loop    *loop
	arbiter *arbiter
	take    func() // the method takeOrders, bound once

	listed      []uint32 // other gateways in the directory
	unreachable []uint32 // of them, sorted
	due, again  bool     // claims of the slots from next on have to be compared; and then all
	next        uint32   // slot
}

func newContender(l *loop, a *arbiter) *contender {
	c := &contender{loop: l, arbiter: a}
	c.take = c.takeOrders
	return c
}

// tick is called once a second.
func (c *contender) tick() {
	c.takeOrders()
	c.report()
}

// report tells the arbiter to which gateways the loop has no link.
func (c *contender) report() {
	var missing []uint32
	for _, id := range c.listed {
		if p := c.loop.peers[id]; p == nil || p.link == nil {
			missing = append(missing, id)
		}
	}
	c.arbiter.report(c.loop.index, missing)
}

// takeOrders does what the arbiter wants.
func (c *contender) takeOrders() {
	o := c.arbiter.taken(c.loop.index)
	if o.listed != nil {
		c.listed = o.listed
	}
	if o.unreachable != nil {
		o.compare = o.compare || slices.ContainsFunc(o.unreachable, func(id uint32) bool { return !c.isUnreachable(id) })
		c.unreachable = o.unreachable
	}
	if o.resend {
		for _, p := range c.loop.peers {
			p.resendClaims()
		}
	}
	if o.compare {
		c.due, c.next = true, 0
	}
	if o.fetched != nil {
		for _, m := range o.fetched {
			c.loop.evict(link.Read(m))
		}
		c.arbiter.applied <- struct{}{}
	}
	if o.compare || o.more || len(c.unreachable) == 0 {
		c.fill()
	}
}

func (c *contender) isUnreachable(gateway uint32) bool {
	_, is := slices.BinarySearch(c.unreachable, gateway)
	return is
}

// fill passes claims to the arbiter, as many as it has room for, of a portion of the slots.
func (c *contender) fill() {
	if len(c.unreachable) == 0 {
		c.due, c.again = false, false
	}
	for looked := 0; c.due && looked < claimsPortion; looked += claimsStep {
		room := true
		next := c.loop.members.WalkClaims(c.next, claimsStep, func(uid string, claim link.Claim) {
			room = room && c.arbiter.add(contest{uid: uid, claim: claim})
		})
		if !room {
			break // some are compared twice
		}
		c.next, c.due = next, next > 0
		if !c.due {
			c.due, c.again = c.again, false
		}
	}
	c.arbiter.setBehind(c.loop.index, c.due)
}

// compare passes one claim to the arbiter: to be looked up, or for one gateway. If there is no
// room, all claims of the loop are compared when there is.
func (c *contender) compare(k contest) {
	if !c.arbiter.add(k) {
		c.due, c.again = true, c.due
		c.arbiter.setBehind(c.loop.index, true)
	}
}

// claimed notes a new claim of a client of the loop.
func (c *contender) claimed(uid string, claim link.Claim) {
	if len(c.unreachable) > 0 {
		c.compare(contest{uid: uid, claim: claim})
	}
}

// answer tells an unreachable gateway of the claim that wins against one of its own.
func (c *contender) answer(uid []byte, claim link.Claim) {
	to := claim.Client.Gateway()
	if !c.isUnreachable(to) {
		return
	}
	c.loop.members.Walk(link.TargetUIDs, [][]byte{uid}, nil, func(m *registry.Member) {
		if own, ok := m.Claim(); ok && claim.Before(own) {
			c.compare(contest{uid: string(uid), claim: own, to: to})
		}
	})
}
