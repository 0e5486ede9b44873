package gateway

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// An exclusive binding is a claim, which goes to all other gateways as an EVICT. A gateway may
// still lack it: its outbox here was dropped, or had no space; the gateway has started again; or it
// was not known yet. Then all claims of the loop's clients are sent to it again as soon as there is
// a link. EVICT may come any number of times and in any order, so nobody has to know which claims
// the other gateway lacks. It does the same, and so of two clients that have taken one uid without
// knowledge of each other the one with the older claim is closed.

const (
	// claimsEvery and claimsPortion are the pace: so many clients of the loop are looked at each time,
	// for all other gateways together. So at most 50,000 claims are sent again in a second.
	claimsEvery   = 100 * time.Millisecond
	claimsPortion = 5000
	// claimsStep is how many clients are looked at before the outbox is.
	claimsStep = 500
	// claimsAhead is how many bytes may wait in an outbox when claims are added to it, so that they
	// leave room for effects.
	claimsAhead = maxOutbox / 4
)

// resending is which claims another gateway may lack.
type resending struct {
	due    bool   // those of the slots from next on, when there is a link
	next   uint32 // slot
	queued bool   // in the loop's list
}

// claimResender is a loop that sends claims again.
type claimResender loop

// resendClaims has all claims sent again to the other gateway, when there is a link to it.
func (p *peer) resendClaims() {
	p.claims.due, p.claims.next = true, 0
	p.continueClaims()
}

// continueClaims goes on with what resendClaims has begun.
func (p *peer) continueClaims() {
	l := p.loop
	if !p.claims.due || p.claims.queued || p.link == nil {
		return
	}
	if len(l.resends) == 0 {
		l.el.Schedule(&l.resendTimer, claimsEvery)
	}
	p.claims.queued = true
	l.resends = append(l.resends, p)
}

// OnTimer implements engine.TimerHandler. It sends a portion of claims to each gateway in turn.
func (r *claimResender) OnTimer(*engine.Timer) {
	l := (*loop)(r)
	budget := claimsPortion
	for n := len(l.resends); n > 0 && budget > 0; n-- {
		p := l.resends[0]
		l.resends = append(l.resends[:0], l.resends[1:]...)
		budget -= p.sendClaims(budget)
		if p.claims.queued = p.claims.due && p.link != nil; p.claims.queued {
			l.resends = append(l.resends, p)
		}
	}
	if len(l.resends) > 0 {
		l.el.Schedule(&l.resendTimer, claimsEvery)
	}
}

// sendClaims sends the claims of as many slots as most, or of fewer if the outbox has no space for
// more. It returns how many slots it has looked at.
func (p *peer) sendClaims(most int) (looked int) {
	l, c := p.loop, &p.claims
	for looked < most && c.due && p.link != nil && p.out.size() <= claimsAhead {
		step := min(claimsStep, most-looked)
		c.next = l.members.WalkClaims(c.next, step, func(uid string, c link.Claim) {
			p.out.push(&link.Frame{Type: link.Evict, Payload: link.AppendEvict(nil, uid, c)})
			l.stats.ClaimsResent++
		})
		c.due = c.next > 0
		looked += step
	}
	p.pump()
	return looked
}
