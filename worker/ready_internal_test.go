package worker

import (
	"slices"
	"testing"
)

// A worker is ready when all links have been up, or without the gateways that have not answered in
// time. It is never ready while links to a gateway that has answered are missing, or without any
// link.
func TestReadiness(t *testing.T) {
	t.Parallel()
	const late = -1 // the time is over
	type step struct {
		who int
		is  gatewayState
	}
	over := step{who: late}
	for _, c := range []struct {
		name    string
		steps   []step
		ready   bool
		missing []string
	}{
		{"nothing yet", nil, false, nil},
		{"one of two", []step{{0, answering}, {0, settled}}, false, nil},
		{"both", []step{{0, settled}, {1, answering}, {1, settled}}, true, nil},
		{"both, late", []step{over, {0, answering}, {1, answering}, {0, settled}, {1, settled}}, true, nil},
		{"none answers", []step{over}, false, nil},
		{"one is down", []step{{0, settled}, over}, true, []string{"b"}},
		{"one is down, the other is late", []step{over, {0, answering}, {0, settled}}, true, []string{"b"}},
		{"one answers still", []step{{0, settled}, {1, answering}, over}, false, nil},
		{"one answered and fell silent", []step{{0, settled}, {1, answering}, over, {1, unreachable}}, true, []string{"b"}},
		{"links that were up are lost", []step{{0, settled}, {0, unreachable}, {1, settled}}, true, nil},
		{"one comes when it is over", []step{{0, settled}, over, {1, answering}, {1, settled}}, true, []string{"b"}},
	} {
		var r readiness
		var missing []string
		all := []*gateway{{addr: "a"}, {addr: "b"}}
		r.init(all, false, func(m []string) { missing = m })
		for _, s := range c.steps {
			if s.who == late {
				r.expire()
			} else {
				r.set(all[s.who], s.is)
			}
		}
		ready := false
		select {
		case <-r.ready:
			ready = true
		default:
		}
		if ready != c.ready || !slices.Equal(missing, c.missing) {
			t.Errorf("%s: ready %v, without %v; want %v, %v", c.name, ready, missing, c.ready, c.missing)
		}
	}
}
