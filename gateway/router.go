package gateway

import (
	"math/rand/v2"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// RouteRequest describes the client for which a Router picks a worker.
type RouteRequest struct {
	Remote   string // host:port
	Listener string // the listener's URL
	Target   string // WebSocket: the request target, path and query
	UID      string // from OnUpgrade or a worker; empty: not bound
}

// Candidate describes a worker that a Router may pick.
type Candidate struct {
	ID      [16]byte
	Name    string
	Build   string // worker.Config.Build, the version of its business code
	Weight  int    // worker.Config.Weight
	Clients int    // clients of this loop that the worker has
}

// Router picks the worker of a client. The client keeps it until the worker goes. Each loop has a
// Router of its own, which runs on the loop's goroutine.
type Router interface {
	// Pick returns an index of workers, which is never empty and sorted by ID. It must not block,
	// and must not keep workers.
	Pick(c RouteRequest, workers []Candidate) int
}

// LeastClients picks the worker with the fewest clients relative to its weight.
func LeastClients() Router { return leastClients{} }

// RoundRobin picks the workers in turn, whatever their weight.
func RoundRobin() Router { return new(roundRobin) }

// Random picks at random, in proportion to the weights. A canary build gets a small weight.
func Random() Router { return random{} }

// Hash picks by a key of the client (rendezvous hashing): clients with equal keys share a worker.
// When a worker comes or goes, only its own share moves. Weights have no effect. A client with an
// empty key gets a worker as by LeastClients.
func Hash(key func(RouteRequest) string) func() Router {
	return func() Router { return hash{key} }
}

// KeyUID returns the client's uid, for Hash. A new client has one only by OnUpgrade.
func KeyUID(c RouteRequest) string { return c.UID }

// KeyPath returns the first segment of the request's path, for Hash: "room7" for /room7/a and
// /room7?x=1.
func KeyPath(c RouteRequest) string {
	path := strings.TrimPrefix(c.Target, "/")
	if i := strings.IndexAny(path, "/?"); i >= 0 {
		path = path[:i]
	}
	return path
}

type leastClients struct{}

func (leastClients) Pick(_ RouteRequest, workers []Candidate) int {
	best := 0
	for i := range workers {
		// This compares clients/weight without a division. It counts the new client, so that a
		// worker with weight 0 gets none while there are others.
		if (workers[i].Clients+1)*workers[best].Weight < (workers[best].Clients+1)*workers[i].Weight {
			best = i
		}
	}
	return best
}

type roundRobin struct{ next int }

func (r *roundRobin) Pick(_ RouteRequest, workers []Candidate) int {
	r.next++
	return r.next % len(workers)
}

type random struct{}

func (random) Pick(_ RouteRequest, workers []Candidate) int {
	total := 0
	for i := range workers {
		total += workers[i].Weight
	}
	if total <= 0 {
		return rand.IntN(len(workers))
	}
	n := rand.IntN(total)
	for i := range workers {
		if n -= workers[i].Weight; n < 0 {
			return i
		}
	}
	return 0
}

type hash struct{ key func(RouteRequest) string }

func (h hash) Pick(c RouteRequest, workers []Candidate) int {
	key := h.key(c)
	if key == "" {
		return leastClients{}.Pick(c, workers)
	}
	best, top := 0, uint64(0)
	for i := range workers {
		if score := rendezvous(&workers[i].ID, key); score >= top {
			best, top = i, score
		}
	}
	return best
}

// rendezvous is FNV-1a over worker and key with a final mix. It is equal on every gateway.
func rendezvous(id *[16]byte, key string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range id {
		h = (h ^ uint64(b)) * prime
	}
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// pool is the links of a loop that take new clients, and the Candidates that its Router is given.
type pool struct {
	// Owned by the loop.
	router Router
	links  []*workerLink // in order of worker id; bound: links that have proved
	shown  []Candidate   // the same workers, as the router sees them; bound: links that have proved
}

// pick returns the link for a client, or nil if there is no worker.
func (p *pool) pick(c RouteRequest) *workerLink {
	if len(p.links) == 0 {
		return nil
	}
	p.count()
	i := p.router.Pick(c, p.shown)
	if i < 0 || i >= len(p.links) {
		i = 0
	}
	return p.links[i]
}

// count shows the router how many clients the workers have.
func (p *pool) count() {
	for i, k := range p.links {
		p.shown[i].Clients = k.delivery.Clients()
	}
}

func (p *pool) add(k *workerLink) {
	i := 0
	for i < len(p.links) && string(p.links[i].hello.ID[:]) < string(k.hello.ID[:]) {
		i++
	}
	p.links = append(p.links[:i], append([]*workerLink{k}, p.links[i:]...)...)
	p.show()
}

func (p *pool) remove(k *workerLink) bool {
	for i, have := range p.links {
		if have == k {
			p.links = append(p.links[:i], p.links[i+1:]...)
			p.show()
			return true
		}
	}
	return false
}

func (p *pool) show() {
	p.shown = p.shown[:0]
	for _, k := range p.links {
		p.shown = append(p.shown, candidate(&k.hello))
	}
}

func candidate(h *link.WorkerHello) Candidate {
	return Candidate{ID: h.ID, Name: h.Name, Build: h.Build, Weight: int(h.Weight)}
}
