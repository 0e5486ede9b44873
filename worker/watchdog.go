package worker

import (
	"context"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// watchdog finds handler calls that block. It passes the leadership to another goroutine after a
// tick, and logs the call's stack after Config.SlowHandlerThreshold (slow.go). It is one goroutine,
// which ticks only while handlers run.
type watchdog struct {
	w     *Worker
	awake atomic.Bool
	wake  chan struct{}
	now   atomic.Uint64 // ticks so far

	mu      sync.Mutex
	running map[*session]*running // guarded by mu: calls that no leader runs; bound: none, one for each call that runs
	links   map[*gwLink]struct{}  // guarded by mu: links with a leader; bound: none, one for each link

	// Owned by run.
	leading  []*gwLink // scratch: the links at a tick; bound: none, one for each link
	lastLook time.Time // when it last looked for slow calls
	lastLog  time.Time // when it last logged slow calls
	unlogged int       // slow calls that it has not logged

	logging atomic.Bool    // a goroutine logs slow calls
	loggers sync.WaitGroup // waits for that goroutine

	named atomic.Uint64 // number of labelled goroutines
}

// running is a call that no leader runs.
type running struct {
	goroutine string // its label
	since     time.Time
	slow      bool // it has been counted as slow
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

// ensureTicking makes the watchdog tick if it does not.
func (t *watchdog) ensureTicking() {
	if !t.awake.Load() && t.awake.CompareAndSwap(false, true) {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// run is the watchdog's goroutine.
func (t *watchdog) run(ctx context.Context) {
	defer t.loggers.Wait()
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

// linkOf returns the link to a gateway's loop that has a leader, or nil.
func (t *watchdog) linkOf(gateway uint32, loop uint8) *gwLink {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.links {
		if l.gateway == gateway && l.loop == loop {
			return l
		}
	}
	return nil
}

// tick checks all calls once. It reports whether a call runs or has run since the last tick.
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

// addLink makes the watchdog watch a link's leader. It is called before the leader starts.
// removeLink is called when the leader ends, which may be after the end of the link.
func (t *watchdog) addLink(l *gwLink) {
	t.mu.Lock()
	t.links[l] = struct{}{}
	t.mu.Unlock()
}

func (t *watchdog) removeLink(l *gwLink) {
	t.mu.Lock()
	delete(t.links, l)
	t.mu.Unlock()
}

// label is the profile label of goroutines that run handlers.
const label = "sluice.worker"

// labelGoroutine labels the calling goroutine, which will run handlers, and returns the label.
func (t *watchdog) labelGoroutine() string {
	name := fmt.Sprintf("%x-%d", t.w.id[:4], t.named.Add(1)) // unique among all workers of the process
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	return name
}

// addCall records a call that runs outside of a leader, on the goroutine with the given label.
func (t *watchdog) addCall(s *session, goroutine string) {
	t.mu.Lock()
	t.running[s] = &running{goroutine: goroutine, since: time.Now()}
	t.mu.Unlock()
	t.ensureTicking()
}

// count returns how many calls run outside of a leader.
func (t *watchdog) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

// removeCall removes a call that has ended.
func (t *watchdog) removeCall(s *session) {
	t.mu.Lock()
	delete(t.running, s)
	t.mu.Unlock()
}
