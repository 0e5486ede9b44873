package gateway

import (
	"context"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// contest is a claim of a client of this gateway that is to be compared.
type contest struct {
	uid   string
	claim link.Claim
	to    uint32 // the gateway that has to learn of it; 0: those that the directory names
}

// next takes claims to compare out of the queue, and has loops fill it again.
func (a *arbiter) next() []contest {
	a.mu.Lock()
	n := min(len(a.queue), maxEntries)
	batch := slices.Clone(a.queue[:n])
	a.queue = slices.Delete(a.queue, 0, n)
	if len(a.queue) <= maxContests/2 {
		for i, behind := range a.behind {
			a.orders[i].more = behind
		}
	}
	a.deliver()
	return batch
}

// back puts claims into the queue again. If the queue is twice as long as it should be, the loops
// compare all of their claims again instead.
func (a *arbiter) back(batch []contest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.unreachable) == 0:
	case len(a.queue)+len(batch) > 2*maxContests:
		for i := range a.orders {
			a.orders[i].compare = true
		}
	default:
		a.queue = append(a.queue, batch...)
	}
}

// compare compares some claims. It reports whether there were any whose uids are entered, and
// whether the directory has answered.
func (a *arbiter) compare(ctx context.Context) (worked, ok bool) {
	if a.interest.generation() == 0 {
		return false, false
	}
	var open []contest                   // with uids to be looked up
	var sets []directory.Set             // their uids
	var tokens []narrow.Token            // generations that have the entries
	var early []contest                  // not entered yet
	direct := make(map[uint32][]contest) // by the gateway that has to learn of them
	defer func() { a.back(early) }()
	for _, c := range a.next() {
		set := directory.Set{Kind: directory.UID, Name: c.uid}
		token, holds := a.interest.entry(set)
		switch {
		case !holds: // the client has gone
		case c.to != 0:
			direct[c.to] = append(direct[c.to], c)
		case token == 0:
			early = append(early, c)
		default:
			open, sets, tokens = append(open, c), append(sets, set), append(tokens, token)
		}
	}
	if len(open) > 0 {
		var members [][]directory.Member
		token := a.interest.call(ctx, func(ctx context.Context) (err error) {
			members, err = a.interest.dir.Locate(ctx, directory.Reader{}, 0, sets)
			return err
		})
		for i, c := range open {
			if token == 0 || token != tokens[i] {
				early = append(early, c)
				continue
			}
			for _, m := range members[i] {
				c.to = m.Gateway
				if list := direct[m.Gateway]; len(list) == 0 || list[len(list)-1] != c { // it has started twice
					direct[m.Gateway] = append(list, c)
				}
			}
			a.count(func(n *arbiterCounts) { n.compared++ })
		}
		if token == 0 {
			a.post(ctx, direct)
			return true, false
		}
	}
	return len(open)+len(direct) > 0, a.post(ctx, direct)
}

// post leaves claims in the boxes of gateways that are unreachable. What finds no room, or an
// outage, waits. It reports whether that was nothing.
func (a *arbiter) post(ctx context.Context, direct map[uint32][]contest) (ok bool) {
	a.mu.Lock()
	unreachable := a.unreachable
	a.mu.Unlock()
	ok = true
	for to, list := range direct {
		if _, is := slices.BinarySearch(unreachable, to); !is {
			continue
		}
		messages := make([][]byte, len(list))
		for i, c := range list {
			messages[i] = link.AppendEvict(nil, c.uid, c.claim)
		}
		limited, cancel := context.WithTimeout(ctx, directoryTimeout)
		err := a.interest.dir.Post(limited, to, messages)
		cancel()
		if err != nil {
			a.back(list)
			ok = false
			continue
		}
		a.count(func(n *arbiterCounts) { n.posted += uint64(len(list)) })
	}
	return ok
}
