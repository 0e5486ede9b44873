package worker

import "sync"

// gatewayState is the progress of a starting worker at one address.
type gatewayState uint8

const (
	unreachable gatewayState = iota // no gateway answers there
	answering                       // a gateway has answered; some of its links have not been up yet
	settled                         // all its links have been up, or another address holds them
)

// readiness decides when a starting worker is ready: when its links to all gateways have been up
// or, answerWithin after its start, those to all gateways that answer, of which there must be one.
// A ready worker may replace another one. It must not do so while it has no link to a gateway that
// the other serves, and a gateway that is down must not prevent the replacement.
type readiness struct {
	ready chan struct{} // closed when the worker is ready

	mu        sync.Mutex                // nothing else is locked under it
	states    map[*gateway]gatewayState // bound: none, one for each gateway
	noList    bool                      // Config.Discover has not listed gateways yet
	late      bool                      // answerWithin has passed
	isReady   bool                      // ready is closed
	onMissing func(missing []string)
}

func (r *readiness) init(gateways []*gateway, awaitsList bool, onMissing func(missing []string)) {
	r.ready, r.states, r.onMissing = make(chan struct{}), make(map[*gateway]gatewayState), onMissing
	r.noList = awaitsList
	for _, g := range gateways {
		r.states[g] = unreachable
	}
}

// set records the state of an address. A settled address stays settled.
func (r *readiness) set(g *gateway, s gatewayState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.states[g]; ok && was != settled {
		r.states[g] = s
		r.check()
	}
}

// add adds an address that is new in the list of gateways.
func (r *readiness) add(g *gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states[g] = unreachable
}

// remove removes an address that was given up.
func (r *readiness) remove(g *gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.states, g)
	r.check()
}

// noteList records that the gateways in the list have been added.
func (r *readiness) noteList() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noList = false
	r.check()
}

// expire records that answerWithin has passed.
func (r *readiness) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = true
	r.check()
}

// check is called with mu after a change. It closes ready when the worker is ready.
func (r *readiness) check() {
	var missing []string
	there := 0
	for g, s := range r.states {
		switch s {
		case settled:
			there++
		case answering:
			return
		default:
			missing = append(missing, g.addr)
		}
	}
	if r.isReady || there == 0 || (len(missing) > 0 || r.noList) && !r.late {
		return
	}
	r.isReady = true
	if len(missing) > 0 {
		r.onMissing(missing)
	}
	close(r.ready)
}
