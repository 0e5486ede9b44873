package worker

import "sync"

// gatewayState is how far a worker that starts has come with an address of Config.Gateways.
type gatewayState uint8

const (
	unreachable gatewayState = iota // nobody answers there
	answering                       // a gateway has answered, and not all links to it have been up
	settled                         // all have been, or they are kept by way of another address
)

// readiness says when a worker that starts is ready: when it is linked to all of its gateways; or, answerWithin after its start, to those that answer, and there is one.
// A worker is to replace another: it must not do so while a gateway that the other serves has no link yet, and a gateway that is down must not keep it from doing so.
type readiness struct {
	ready chan struct{} // closed when it is

	mu        sync.Mutex                // nothing else is locked under it
	states    map[*gateway]gatewayState // bound: none, one for each gateway
	late      bool                      // answerWithin has passed
	isReady   bool                      // ready is closed
	onMissing func(missing []string)
}

func (r *readiness) init(gateways []*gateway, tell func(missing []string)) {
	r.ready, r.states, r.onMissing = make(chan struct{}), make(map[*gateway]gatewayState), tell
	for _, g := range gateways {
		r.states[g] = unreachable
	}
}

// set notes how far it is with an address. What has settled stays so.
func (r *readiness) set(g *gateway, s gatewayState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was, ok := r.states[g]; ok && was != settled {
		r.states[g] = s
		r.check()
	}
}

// expire notes that answerWithin has passed.
func (r *readiness) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = true
	r.check()
}

// check is called with mu when something has changed.
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
	if r.isReady || there == 0 || len(missing) > 0 && !r.late {
		return
	}
	r.isReady = true
	if len(missing) > 0 {
		r.onMissing(missing)
	}
	close(r.ready)
}
