package gateway

import "github.com/seed-7410fe32/sluice/internal/delivery"

// rebalance moves clients to other workers after a worker has connected, or when an operator asks
// for it. It walks the slots of the loop once for each time. Owned by the loop.
type rebalance struct {
	running bool
	rate    int // clients that all loops move in a second
	next    int // the slots below were looked at
	moved   int
}

// maxLooked bounds how many clients are looked at in a second, per loop.
const maxLooked = 1 << 16

// begin starts the walk, or starts it again. It returns false if there is nowhere to move to.
func (r *rebalance) begin(l *loop, rate int) bool {
	if rate <= 0 || len(l.pool.links) < 2 || l.draining {
		return false
	}
	r.running, r.rate, r.next = true, rate, 0
	return true
}

// move is called once a second. It moves the loop's part of the rate.
func (r *rebalance) move(l *loop) {
	if !r.running {
		return
	}
	loops := len(l.g.loops)
	most := portionOf(r.rate, (int(l.index)+int(l.seconds))%loops, loops)
	shift := make([]int, len(l.pool.links)) // clients that are about to move
	for looked := 0; most > 0 && looked < maxLooked && r.next < len(l.sessions); r.next++ {
		looked++
		s := l.sessions[r.next]
		if s == nil || s.phase != phaseOpen {
			continue
		}
		from, to := l.pool.better(s, shift)
		if from == to || !l.book.Move(&s.delivery, delivery.Moved) {
			continue
		}
		if s.delivery.State() == delivery.Moving {
			shift[from]--
			shift[to]++
		}
		most--
		r.moved++
	}
	if r.next >= len(l.sessions) || l.draining {
		l.g.log.Info("clients rebalanced", "loop", l.index, "clients", r.moved)
		*r = rebalance{}
	}
}

// better returns the indexes of the client's worker and of the one that should have it. They are
// equal if the client should stay. shift is added to the numbers of the workers' clients.
func (p *pool) better(s *session, shift []int) (from, to int) {
	k := s.link()
	for from < len(p.links) && p.links[from] != k {
		from++
	}
	if from == len(p.links) { // it has no worker, or one that drains
		return from, from
	}
	p.count()
	for i, n := range shift {
		p.shown[i].Clients += n
	}
	p.shown[from].Clients-- // a client must not count where it is
	switch p.router.(type) {
	case leastClients, *roundRobin, random:
		to = leastClients{}.Pick(RouteRequest{}, p.shown)
		if a, b := &p.shown[from], &p.shown[to]; (b.Clients+1)*a.Weight >= (a.Clients+1)*b.Weight {
			return from, from // it is as well where it is
		}
		return from, to
	}
	if to = p.router.Pick(s.routeRequest(), p.shown); to < 0 || to >= len(p.links) {
		to = 0
	}
	return from, to
}
