package executor

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Executor runs events of type E. The methods of actors and sources are called by its goroutines.
type Executor[E any] struct {
	cfg   Config[E]
	began time.Time      // the zero of its clock
	tasks sync.WaitGroup // goroutines that lead, or run queues

	now   atomic.Uint64 // ticks of Watch so far
	awake atomic.Bool   // Watch ticks
	wake  chan struct{}

	mu      sync.Mutex
	streams map[*stream[E]]struct{} // guarded by mu: sources with a leader; bound: none, one for each link
	own     map[ID]*runner[E]       // guarded by mu: goroutines that lead no source; bound: handlers that block
	waiting []*runner[E]            // guarded by mu: those that wait for a place; bound: none, one for each client
	young   []young[E]              // guarded by mu: clients that may be about to block; bound: none, those of two ticks
	full    atomic.Bool             // own has no place for more

	labels, handoffs, offloaded, slow atomic.Uint64

	// Owned by Watch.
	watched []*stream[E] // scratch: the sources at a tick; bound: none, one for each link
	blocked []Actor[E]   // scratch: clients that block since this tick; bound: none, those of two ticks
	reports reports
}

// Config configures an Executor.
type Config[E any] struct {
	// Name is the beginning of the profile labels of goroutines that run calls. It differs between
	// the executors of a process.
	Name string
	// MaxOwn is how many goroutines of clients may run at once; 0 or less: any number. Leaders that
	// are taken over count, and may be more. When there are as many, Full is called. Then all further
	// events wait in the queues of their clients, and these clients wait for a place, the first one
	// first.
	MaxOwn int
	Full   func()
	// SlowAfter is how long a call that is not led may run before it is counted and reported.
	// Negative: forever.
	SlowAfter time.Duration
	// Slow receives a slow call with the stack of its goroutine. It is called for a few of the slow
	// calls, on a goroutine of its own. MoreSlow gets the number of the others, and the number of
	// calls that run.
	Slow     func(c Running[E], stack string)
	MoreSlow func(calls, running int)
}

// ID identifies a client. Clients with the same ID are the same one, at different times.
type ID [16]byte

// Source is where events come from. Only its leader calls its methods, except for TakenOver.
type Source[E any] interface {
	// Next stores the next event in e and returns its client. It waits for one. What e refers to
	// must stay valid until the next call, or after TakenOver until the call of the event has ended.
	Next(e *E) (Actor[E], error)
	// Flush makes the effects of earlier events take their place before a client gets a goroutine of
	// its own.
	Flush()
	// TakenOver tells the source that the running call is not led any more, and that another
	// goroutine will call Next. It does what Flush does and must not wait.
	TakenOver()
	// Ended is called once, when Next has returned an error. No method is called afterwards.
	Ended(err error)
}

// Actor is a client and what its calls do. It embeds a Client.
type Actor[E any] interface {
	client() *Client[E]
	// Ready waits until the call of e may begin, on a goroutine of its own. It returns false if the
	// client's source has ended, so that nothing more is to be run for the client. Ended has
	// returned then.
	Ready(e *E) bool
	// Begin begins a call. led says that the leader of the source runs it. Called with Mu.
	Begin(e *E, led bool)
	// Run runs the call. It recovers panics. If it ends its goroutine (runtime.Goexit), End is called
	// all the same.
	Run(e *E)
	// Leave says that the running call is not led any more. Called with Mu.
	Leave()
	// End ends a call. If it returns true the event is put at the front of the client's queue, to be
	// run again. Called with Mu.
	End(e *E) (again bool)
	// Commit follows End for a call that was not led, or not any more. It may wait.
	Commit(e *E)
	// Keep copies what e only has a view of, because it will be queued.
	Keep(e *E)
	// Blocked says that the client's goroutine has not finished an event for one or two ticks: it
	// holds up the client's later events, and nothing else. It comes once for each such event, and
	// maybe when the event has just ended. Watch calls it. It must not wait.
	Blocked()
}

// Client is the state of an Actor.
type Client[E any] struct {
	ID ID // static

	// Mu guards this state and whatever the actor guards with it.
	Mu    sync.Mutex
	led   *stream[E] // guarded by Mu: the source whose leader runs a call of the client; nil: none does
	own   *runner[E] // guarded by Mu: the goroutine that runs its queue; nil: none does
	queue []E        // guarded by Mu: later events; bound: what waits for a client at its worker

	// Closed means that no source has events of the client any more. Guarded by Mu.
	Closed bool

	begun bool // owned by the leader: an event has come
}

func (c *Client[E]) client() *Client[E] { return c }

// busy reports whether an event of the client runs or is about to. Called with Mu.
func (c *Client[E]) busy() bool { return c.led != nil || c.own != nil }

// New returns an Executor. Watch has to be called beside it.
func New[E any](cfg Config[E]) *Executor[E] {
	if cfg.MaxOwn <= 0 {
		cfg.MaxOwn = math.MaxInt
	}
	return &Executor[E]{
		cfg: cfg, began: time.Now(), wake: make(chan struct{}, 1),
		streams: make(map[*stream[E]]struct{}), own: make(map[ID]*runner[E]),
	}
}

// Lead starts a leader for a source. It runs until the source's Next returns an error.
func (x *Executor[E]) Lead(src Source[E]) {
	s := &stream[E]{x: x, source: src}
	x.mu.Lock()
	x.streams[s] = struct{}{}
	x.mu.Unlock()
	x.tasks.Add(1)
	go s.lead()
}

// Submit runs an event that comes from no source, in the order of the client's events. It does
// nothing if the client is Closed. Any goroutine may call it, without Mu.
func (x *Executor[E]) Submit(a Actor[E], e E) {
	c := a.client()
	c.Mu.Lock()
	if c.Closed {
		c.Mu.Unlock()
		return
	}
	c.queue = append(c.queue, e)
	r := x.ownRunner(a)
	c.Mu.Unlock()
	x.start(r)
}

// Block says that the running call of the client, if there is one, is about to wait for something.
// If it is led, another goroutine becomes the leader. A call, and goroutines that it waits for, may
// call it, without Mu.
func (x *Executor[E]) Block(a Actor[E]) {
	c := a.client()
	c.Mu.Lock()
	s := c.led
	if s != nil {
		s.leave(c)
	}
	c.Mu.Unlock()
	if s != nil {
		s.takeOver()
	}
}

// Wait waits until all sources have ended and no call runs.
func (x *Executor[E]) Wait() { x.tasks.Wait() }

// Stats are counters since New, and a gauge.
type Stats struct {
	Handoffs  uint64 // calls that blocked while they were led
	Offloaded uint64 // calls that began on a goroutine of their own
	Slow      uint64 // calls that have run for longer than SlowAfter
	Blocked   int    // goroutines that lead no source
	Waiting   int    // clients that wait for such a goroutine
}

// Stats returns the figures. Any goroutine may call it.
func (x *Executor[E]) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return Stats{x.handoffs.Load(), x.offloaded.Load(), x.slow.Load(), len(x.own), len(x.waiting)}
}

// ownRunner gives a client with a queue a goroutine of its own if nothing runs for it. The caller
// must start it. Otherwise it returns nil. Called with the client's Mu.
func (x *Executor[E]) ownRunner(a Actor[E]) *runner[E] {
	c := a.client()
	if c.busy() || len(c.queue) == 0 {
		return nil
	}
	x.tasks.Add(1)
	c.own = &runner[E]{x: x, actor: a, goroutine: x.newLabel()}
	return c.own
}

// start starts the goroutine of a client, or lets it wait for a place. For nil it does nothing.
func (x *Executor[E]) start(r *runner[E]) {
	if r == nil {
		return
	}
	x.mu.Lock()
	if len(x.own) >= x.cfg.MaxOwn {
		x.waiting = append(x.waiting, r)
		x.mu.Unlock()
		return
	}
	becameFull := x.enter(r)
	x.mu.Unlock()
	go r.work()
	if becameFull {
		x.cfg.Full()
	}
}

// enter records the goroutine of a client, unless it has left the client already. It reports
// whether that was the last place. Called with mu.
func (x *Executor[E]) enter(r *runner[E]) (becameFull bool) {
	if !r.done {
		x.own[r.actor.client().ID] = r
	}
	return len(x.own) >= x.cfg.MaxOwn && !x.full.Swap(true)
}

// leave removes the goroutine of a client from the set, and starts those that wait for its place.
// Called with mu.
func (x *Executor[E]) leave(r *runner[E]) {
	r.done = true
	if id := r.actor.client().ID; x.own[id] == r {
		delete(x.own, id)
	}
	for len(x.own) < x.cfg.MaxOwn && len(x.waiting) > 0 {
		next := x.waiting[0]
		x.waiting[0] = nil
		x.waiting = x.waiting[1:]
		if id := next.actor.client().ID; x.own[id] == nil { // else its source has ended, and it does nothing
			x.own[id] = next
		}
		go next.work()
	}
	x.full.Store(len(x.own) >= x.cfg.MaxOwn)
}

// succeed makes a client, which no other goroutine has yet, wait for the goroutine that still works
// for an earlier client of the same ID, if there is one.
func (x *Executor[E]) succeed(a Actor[E]) {
	c := a.client()
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.own[c.ID]; r != nil {
		r.next, c.own = a, r
		x.watch(r, a)
	}
}

// newLabel returns the profile label of another goroutine.
func (x *Executor[E]) newLabel() string { return fmt.Sprintf("%s-%d", x.cfg.Name, x.labels.Add(1)) }

// clock returns the nanoseconds since New, which are never 0.
func (x *Executor[E]) clock() int64 { return int64(time.Since(x.began)) + 1 }
