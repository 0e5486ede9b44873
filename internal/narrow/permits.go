package narrow

import (
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Workers is the Reader of all workers together. A set that any of them has in memory is forgotten
// by all.
var Workers = directory.Reader{Loop: 1<<16 - 1}

// Permits are what one loop of a gateway has permitted to senders, each on a link of the loop. It
// has one owner.
type Permits struct {
	links map[uint32]*permit // by serial of the link; bound: links that have proved
	left  map[uint64]int     // unanswered FORGETs of each round; bound: rounds of forgetting
}

// permit is what one link has.
type permit struct {
	reader  directory.Reader
	until   time.Duration // it is over then, also by the sender's clock
	closed  bool          // the link has ended
	unsaid  []forget      // FORGETs that were not answered, oldest first; bound: rounds of forgetting
	forgets uint32        // FORGETs sent
	said    uint32        // of them answered
}

// forget is the number of a FORGET on its link, and its round.
type forget struct {
	number uint32
	round  uint64
}

// NewPermits returns a Permits without any.
func NewPermits() *Permits {
	return &Permits{links: make(map[uint32]*permit), left: make(map[uint64]int)}
}

// Allow is the event that the sender at the other end of a link asks for a permit, while the
// gateway gives them. It reports whether it gets one: not before it has answered each FORGET.
func (p *Permits) Allow(now time.Duration, serial uint32, reader directory.Reader) bool {
	k := p.links[serial]
	if k == nil {
		k = &permit{reader: reader}
		p.links[serial] = k
	}
	if len(k.unsaid) > 0 {
		return false
	}
	k.until = now + lapseTime
	return true
}

// Forget begins a round: the senders that of selects have to forget something before it is over. It
// calls send for each link that FORGET must be sent on, with its number there. A round that has
// nobody to wait for is over at once; Forget then returns true.
func (p *Permits) Forget(
	now time.Duration, round uint64, of func(directory.Reader) bool, send func(serial, number uint32, r directory.Reader),
) (over bool) {
	for serial, k := range p.links {
		if now >= k.until || !of(k.reader) {
			continue
		}
		k.forgets++
		k.unsaid = append(k.unsaid, forget{k.forgets, round})
		p.left[round]++
		if !k.closed {
			send(serial, k.forgets, k.reader)
		}
	}
	_, waits := p.left[round]
	return !waits
}

// Forgotten is the event that the sender has answered FORGET with a number, and so those before it.
// It returns the rounds that are over. It reports false if that number was not sent, or is answered
// again.
func (p *Permits) Forgotten(serial, number uint32) (over []uint64, ok bool) {
	k := p.links[serial]
	if k == nil || number-k.said > k.forgets-k.said || number == k.said {
		return nil, false
	}
	n := 0 // those of a permit that has lapsed are not there any more
	for n < len(k.unsaid) && k.unsaid[n].number-k.said <= number-k.said {
		n++
	}
	k.said = number
	return p.answered(k, n, nil), true
}

// answered removes the oldest n unanswered FORGETs of a link, and appends the rounds that are over.
func (p *Permits) answered(k *permit, n int, over []uint64) []uint64 {
	for _, f := range k.unsaid[:n] {
		if p.left[f.round]--; p.left[f.round] == 0 {
			delete(p.left, f.round)
			over = append(over, f.round)
		}
	}
	k.unsaid = slices.Delete(k.unsaid, 0, n)
	return over
}

// Closed is the event that a link has ended. Its sender may use the permit until it lapses.
func (p *Permits) Closed(serial uint32) {
	if k := p.links[serial]; k != nil {
		k.closed = true
	}
}

// Tick removes permits that have lapsed. Nobody waits for their senders any longer. It returns the
// rounds that are over.
func (p *Permits) Tick(now time.Duration) (over []uint64) {
	for serial, k := range p.links {
		if now < k.until {
			continue
		}
		over = p.answered(k, len(k.unsaid), over)
		if k.closed {
			delete(p.links, serial)
		}
	}
	return over
}
