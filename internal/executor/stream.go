package executor

import "sync/atomic"

// stream is a source and its leader.
type stream[E any] struct {
	x      *Executor[E]
	source Source[E]

	// client is the one whose call the leader runs, or has run last.
	client atomic.Pointer[Client[E]]

	// Owned by the leader. While a call is led they do not change, so that who holds the Mu of its
	// client may read them.
	leader       *runner[E]
	calls        uint64 // led so far
	offloadUntil uint64 // the tick until which events go to goroutines of their own; 0: they do not

	seen uint64 // owned by Watch: calls at the last tick
}

// offloadTicks is for how many ticks events of a source go to goroutines of their own after a call
// that blocked.
const offloadTicks = 50

// lead is the goroutine of a leader.
func (s *stream[E]) lead() {
	x := s.x
	defer x.tasks.Done()
	r := &runner[E]{x: x, goroutine: x.newLabel()}
	defer r.survive(s)
	r.setLabel()
	s.leader = r
	if s.run(r) {
		r.serve()
	}
	r.over = true
}

// run leads until the source ends. It returns true when another goroutine leads: r then has to end
// the call that it has run and to serve its client.
func (s *stream[E]) run(r *runner[E]) (lost bool) {
	for {
		a, err := s.source.Next(&r.event)
		if err != nil {
			s.x.mu.Lock()
			delete(s.x.streams, s)
			s.x.mu.Unlock()
			s.source.Ended(err)
			return false
		}
		if !s.dispatch(a, r) {
			return true
		}
	}
}

// dispatch runs the event of r, or queues it for the goroutine that the client has or gets. It
// returns false if another goroutine leads now.
func (s *stream[E]) dispatch(a Actor[E], r *runner[E]) (leads bool) {
	c := a.client()
	if !c.begun {
		c.begun = true
		s.x.succeed(a)
	}
	r.actor = a
	s.calls++
	c.Mu.Lock()
	if c.busy() || s.x.full.Load() || s.offloadUntil != 0 && s.offloads() {
		a.Keep(&r.event)
		c.queue = append(c.queue, r.event)
		own := s.x.ownRunner(a)
		c.Mu.Unlock()
		s.offload(own)
		return true
	}
	c.led = s
	a.Begin(&r.event, true)
	if s.client.Load() != c {
		s.client.Store(c)
	}
	c.Mu.Unlock()
	s.x.ensureTicking() // after the client is led, so that Watch does not stop without seeing it
	r.calling = true
	a.Run(&r.event)
	return s.finish(r)
}

// offload starts the goroutine of a client, unless it is nil.
func (s *stream[E]) offload(r *runner[E]) {
	if r != nil {
		s.source.Flush()
		s.x.start(r)
	}
}

// offloads reports whether events still go to goroutines of their own.
func (s *stream[E]) offloads() bool {
	if s.x.now.Load() < s.offloadUntil {
		return true
	}
	s.offloadUntil = 0
	return false
}

// finish ends the call of r. It returns false, and has done nothing, if another goroutine leads.
func (s *stream[E]) finish(r *runner[E]) (leads bool) {
	c := r.actor.client()
	c.Mu.Lock()
	if c.led != s {
		c.Mu.Unlock()
		return false
	}
	r.calling = false
	c.led = nil
	if r.actor.End(&r.event) {
		r.actor.Keep(&r.event)
		c.requeue(&r.event)
	}
	own := s.x.ownRunner(r.actor)
	c.Mu.Unlock()
	s.offload(own)
	return true
}

// leave makes the running call, which is led, one of the client's own. The caller must call
// takeOver afterwards. Called with the client's Mu.
func (s *stream[E]) leave(c *Client[E]) {
	s.x.tasks.Add(1) // of the next leader: r may end before takeOver starts it
	r := s.leader
	c.led, c.own = nil, r
	r.since.Store(s.x.clock())
	r.actor.Leave()
}

// takeOver gives the source another leader, after leave. It is called without locks.
func (s *stream[E]) takeOver() {
	r := s.leader
	s.x.mu.Lock()
	becameFull := s.x.enter(r)
	s.x.watch(r, r.actor)
	s.x.mu.Unlock()
	s.x.handoffs.Add(1)
	s.offloadUntil = s.x.now.Load() + offloadTicks
	s.source.TakenOver()
	go s.lead()
	if becameFull {
		s.x.cfg.Full()
	}
}
