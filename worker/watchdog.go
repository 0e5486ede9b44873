package worker

import (
	"context"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog finds handler calls that block: it takes their leadership away after a tick, and logs their stack after Config.SlowHandlerThreshold (slow.go). It is one goroutine that
// ticks only while handlers run.
type watchdog struct {
	w     *Worker
	awake atomic.Bool
	wake  chan struct{}
	now   atomic.Uint64 // ticks so far

	mu      sync.Mutex
	running map[*session]*running // guarded by mu: calls outside of a leader; bound: none, one for each call that runs
	links   map[*gwLink]struct{}  // guarded by mu: those that have a leader; bound: none, one for each link

	// Owned by run.
	leading  []*gwLink // the links, at a tick; bound: none, one for each link
	looked   time.Time // when it looked for slow calls last
	logged   time.Time // when it said last which those are
	unlogged int       // slow calls that it has said nothing of

	telling atomic.Bool    // a goroutine says which are slow
	tellers sync.WaitGroup // that goroutine

	named atomic.Uint64 // goroutines that have a label
}

// running is a call outside of a leader.
type running struct {
	goroutine string // its label
	since     time.Time
	slow      bool // counted as such
}

const (
	watchTick  = 2 * time.Millisecond
	sleepAfter = 50 // ticks without a call
)

func (t *watchdog) init(w *Worker) {
	t.w = w
	t.wake = make(chan struct{}, 1)
	t.running = make(map[*session]*running)
	t.links = make(map[*gwLink]struct{})
}

// ensureTicking makes sure that the watch ticks.
func (t *watchdog) ensureTicking() {
	if !t.awake.Load() && t.awake.CompareAndSwap(false, true) {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// run is the watch's goroutine.
func (t *watchdog) run(ctx context.Context) {
	defer t.tellers.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
		tick := time.NewTicker(watchTick)
		for idle := 0; idle < sleepAfter && ctx.Err() == nil; {
			<-tick.C
			if t.tick() {
				idle = 0
			} else {
				idle++
			}
		}
		tick.Stop()
		t.awake.Store(false)
		if t.tick() { // a call may have begun just before
			t.ensureTicking()
		}
	}
}

// leads returns the link to a gateway's loop that has a leader; nil: there is none.
func (t *watchdog) leads(gateway uint32, loop uint8) *gwLink {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.links {
		if l.gateway == gateway && l.loop == loop {
			return l
		}
	}
	return nil
}

// tick looks at all calls once. It reports whether there are or were any.
func (t *watchdog) tick() (active bool) {
	t.now.Add(1)
	t.mu.Lock()
	for l := range t.links {
		t.leading = append(t.leading, l)
	}
	t.mu.Unlock()
	for _, l := range t.leading {
		call := l.leader.call.Load()
		if call != l.seen {
			l.seen = call
			active = true
		} else if call&1 == 1 {
			l.takeOver(call)
			active = true
		}
	}
	clear(t.leading)
	t.leading = t.leading[:0]
	t.findSlow()
	return t.count() > 0 || active
}

// add has the watch look at a link's leader, from before it leads to its end, which may be after the link's.
func (t *watchdog) add(l *gwLink) {
	t.mu.Lock()
	t.links[l] = struct{}{}
	t.mu.Unlock()
}

func (t *watchdog) remove(l *gwLink) {
	t.mu.Lock()
	delete(t.links, l)
	t.mu.Unlock()
}

// label is the name, in profiles and for the watch, of goroutines that run handlers.
const label = "sluice.worker"

// name labels the calling goroutine, which runs handlers from now on.
func (t *watchdog) name() string {
	name := fmt.Sprintf("%x-%d", t.w.id[:4], t.named.Add(1)) // of all workers in this process
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	return name
}

// enter notes a call that runs outside of a leader, on the goroutine named.
func (t *watchdog) enter(s *session, goroutine string) {
	t.mu.Lock()
	t.running[s] = &running{goroutine: goroutine, since: time.Now()}
	t.mu.Unlock()
	t.ensureTicking()
}

// count is how many calls run outside of a leader.
func (t *watchdog) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

// leave notes its end.
func (t *watchdog) leave(s *session) {
	t.mu.Lock()
	delete(t.running, s)
	t.mu.Unlock()
}
