package executor

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
)

// runner is a goroutine that runs calls: a leader, or the goroutine of one client.
type runner[E any] struct {
	x         *Executor[E]
	goroutine string // its profile label

	// Owned by the goroutine. That of a client changes its actor under Executor.mu.
	actor   Actor[E]
	event   E
	calling bool // a call of event has begun and has not ended
	over    bool // the goroutine ends as it should

	since  atomic.Int64  // of a goroutine of a client: when its call began; 0: none runs
	slowAt int64         // owned by Watch: since of the last call that was slow
	events atomic.Uint64 // of a goroutine of a client: those that it has taken

	next Actor[E] // guarded by Executor.mu: a client of the same ID that waits for this goroutine
	done bool     // guarded by Executor.mu: it has no client any more
}

// work is the goroutine of a client.
func (r *runner[E]) work() {
	defer r.x.tasks.Done()
	defer r.survive(nil)
	r.setLabel()
	r.serve()
	r.over = true
}

// survive continues on a new goroutine when a call has ended this one (runtime.Goexit). A leader of
// s that still leads is replaced.
func (r *runner[E]) survive(s *stream[E]) {
	if r.over {
		return
	}
	r.x.tasks.Add(1)
	if s != nil && s.finish(r) {
		go s.lead()
		return
	}
	go r.work()
}

// serve ends the call of r, if there is one, and runs the queue of its client until that is empty.
// A client of the same ID that has waited for this is the next.
func (r *runner[E]) serve() {
	for {
		if r.calling {
			r.end()
		}
		switch found, live := r.take(); {
		case found && live:
			r.begin()
		case !r.leaveClient(live):
			return
		}
	}
}

// begin begins the call of the event and runs it.
func (r *runner[E]) begin() {
	a := r.actor
	c := a.client()
	c.Mu.Lock()
	a.Begin(&r.event, false)
	c.Mu.Unlock()
	r.since.Store(r.x.clock())
	r.x.ensureTicking()
	r.x.offloaded.Add(1)
	r.calling = true
	a.Run(&r.event)
}

// end ends a call that was not led, or not any more.
func (r *runner[E]) end() {
	a := r.actor
	c := a.client()
	c.Mu.Lock()
	r.calling = false
	again := a.End(&r.event)
	if again {
		a.Keep(&r.event)
		c.requeue(&r.event)
	}
	c.Mu.Unlock()
	r.since.Store(0)
	a.Commit(&r.event)
}

// take takes the first event of the client's queue. found is false if there is none. live is false
// if nothing more is to be run for the client.
func (r *runner[E]) take() (found, live bool) {
	c := r.actor.client()
	c.Mu.Lock()
	if len(c.queue) == 0 {
		c.Mu.Unlock()
		return false, true
	}
	r.event = c.queue[0]
	var none E
	c.queue[0] = none
	c.queue = c.queue[1:]
	c.Mu.Unlock()
	r.events.Add(1)
	r.x.mu.Lock()
	r.x.watch(r, r.actor)
	r.x.mu.Unlock()
	r.x.ensureTicking()
	return true, r.actor.Ready(&r.event)
}

// leaveClient makes the client idle. If nothing more is to be run for it, it discards the queue. It
// returns true if the goroutine continues, with a client that has waited for it or with events that
// have come meanwhile.
//
// The goroutine leaves the set before the client becomes idle, so that a later goroutine of the
// client finds its place free. No call runs in between.
func (r *runner[E]) leaveClient(live bool) (goesOn bool) {
	x, c := r.x, r.actor.client()
	x.mu.Lock()
	if r.next != nil {
		r.actor, r.next = r.next, nil
		x.mu.Unlock()
		return true
	}
	x.leave(r)
	x.mu.Unlock()
	c.Mu.Lock()
	waits := live && len(c.queue) > 0
	if !waits {
		c.queue, c.own = nil, nil
	}
	c.Mu.Unlock()
	if waits {
		x.mu.Lock()
		r.done = false
		x.enter(r)
		x.mu.Unlock()
	}
	return waits
}

// requeue puts an event at the front of the queue. Called with Mu.
func (c *Client[E]) requeue(e *E) { c.queue = append([]E{*e}, c.queue...) }

// setLabel labels the calling goroutine, so that its stack is found.
func (r *runner[E]) setLabel() {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelKey, r.goroutine)))
}
