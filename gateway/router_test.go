package gateway

import (
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/delivery"
)

func TestRouters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		router  Router
		workers []Candidate
		want    []int
	}{
		{"least: fewest", LeastClients(), []Candidate{{Weight: 100, Clients: 3}, {Weight: 100, Clients: 1},
			{Weight: 100, Clients: 2}}, []int{1, 1}},
		{"least: first of equals", LeastClients(), []Candidate{{Weight: 100}, {Weight: 100}}, []int{0, 0}},
		{"least: for its weight", LeastClients(), []Candidate{{Weight: 100, Clients: 9}, {Weight: 300, Clients: 20}},
			[]int{1}},
		{"least: the heavier begins", LeastClients(), []Candidate{{Weight: 100}, {Weight: 300}}, []int{1}},
		{"least: weight 0 last", LeastClients(), []Candidate{{Weight: 0}, {Weight: 1, Clients: 1000}}, []int{1}},
		{"least: weight 0 alone", LeastClients(), []Candidate{{Weight: 0, Clients: 5}}, []int{0}},
		{"round robin", RoundRobin(), make([]Candidate, 3), []int{1, 2, 0, 1}},
		{"random: the only one with weight", Random(), []Candidate{{Weight: 0}, {Weight: 7}, {Weight: 0}},
			[]int{1, 1, 1, 1, 1}},
		{"random: alone", Random(), []Candidate{{Weight: 0}}, []int{0}},
		{"hash: no key, so the fewest", Hash(KeyUID)(), []Candidate{{Weight: 100, Clients: 3}, {Weight: 100, Clients: 1}},
			[]int{1}},
	} {
		for i, want := range c.want {
			if got := c.router.Pick(RouteRequest{}, c.workers); got != want {
				t.Errorf("%s: pick %d is %d, want %d", c.name, i, got, want)
			}
		}
	}
}

func TestRandomFollowsTheWeights(t *testing.T) {
	t.Parallel()
	workers := []Candidate{{Weight: 100}, {Weight: 300}}
	var picks [2]int
	for range 10_000 {
		picks[Random().Pick(RouteRequest{}, workers)]++
	}
	if picks[1] < 7200 || picks[1] > 7800 { // 7,500, and about seven standard deviations
		t.Errorf("picks %v, want about 1:3", picks)
	}
}

// A worker that goes moves its own clients and no others, and those are spread over all that stay;
// the same holds the other way when it comes.
func TestRendezvousMovesOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	const keys, gone = 10_000, 3
	var workers []Candidate
	for i := range 8 {
		workers = append(workers, Candidate{ID: [16]byte{byte(i)}, Weight: 100})
	}
	fewer := append(append([]Candidate(nil), workers[:gone]...), workers[gone+1:]...)
	router := Hash(KeyUID)()
	share := map[[16]byte]int{}
	moved := map[[16]byte]int{}
	for i := range keys {
		c := RouteRequest{UID: fmt.Sprintf("user%d", i)}
		before, after := workers[router.Pick(c, workers)].ID, fewer[router.Pick(c, fewer)].ID
		share[before]++
		if before == workers[gone].ID {
			moved[after]++
		} else if before != after {
			t.Fatalf("%s moved from %v to %v", c.UID, before, after)
		}
	}
	for _, w := range workers {
		if n := share[w.ID]; n < keys/8*8/10 || n > keys/8*12/10 {
			t.Errorf("worker %d has %d of %d clients", w.ID[0], n, keys)
		}
	}
	if len(moved) != 7 {
		t.Errorf("the clients of the one that went are with %d workers, want 7", len(moved))
	}
}

func TestKeyPath(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{"": "", "/": "", "/room7": "room7", "/room7/x": "room7",
		"/room7?x=1": "room7", "/?x": ""} {
		if got := KeyPath(RouteRequest{Target: target}); got != want {
			t.Errorf("KeyPath of %q is %q, want %q", target, got, want)
		}
	}
}

// A router's answer out of range must not crash the loop, and workers are shown in order of their
// ids.
func TestPool(t *testing.T) {
	t.Parallel()
	p := pool{router: routerFunc(func(_ RouteRequest, w []Candidate) int {
		for i := range w[1:] {
			if string(w[i].ID[:]) >= string(w[i+1].ID[:]) {
				t.Errorf("out of order: %v", w)
			}
		}
		return 99
	})}
	if p.pick(RouteRequest{}) != nil {
		t.Error("a worker out of nowhere")
	}
	var links []*workerLink
	for _, id := range []byte{5, 1, 9, 3} {
		k := &workerLink{delivery: new(delivery.Link)}
		k.hello.ID[0] = id
		links = append(links, k)
		p.add(k)
	}
	if p.pick(RouteRequest{}) != links[1] {
		t.Error("not the first")
	}
	if !p.remove(links[1]) || p.remove(links[1]) || len(p.links) != 3 || len(p.shown) != 3 {
		t.Errorf("%d links, %d shown", len(p.links), len(p.shown))
	}
}

type routerFunc func(RouteRequest, []Candidate) int

func (f routerFunc) Pick(c RouteRequest, w []Candidate) int { return f(c, w) }
