package worker

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"
)

// watch finds handler calls that block: it takes their leadership away after a tick, and logs their stack after Config.SlowAfter. It is one goroutine that
// ticks only while handlers run.
type watch struct {
	w     *Worker
	awake atomic.Bool
	wake  chan struct{}
	now   atomic.Uint64 // ticks so far

	mu      sync.Mutex
	running map[*session]*slowCall // guarded by mu: calls outside of a leader
	named   atomic.Uint64          // goroutines that have a label

	seen map[*gwLink]uint64 // owned by run: each link's call at the last tick
}

type slowCall struct {
	goroutine string // its label
	since     time.Time
	reported  bool
}

const (
	watchTick  = 2 * time.Millisecond
	sleepAfter = 50 // ticks without a call
)

func (t *watch) init(w *Worker) {
	t.w = w
	t.wake = make(chan struct{}, 1)
	t.running = make(map[*session]*slowCall)
	t.seen = make(map[*gwLink]uint64)
}

// kick makes sure that the watch ticks.
func (t *watch) kick() {
	if !t.awake.Load() && t.awake.CompareAndSwap(false, true) {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// run is the watch's goroutine.
func (t *watch) run(ctx context.Context) {
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
			t.kick()
		}
	}
}

// tick looks at all calls once. It reports whether there are or were any.
func (t *watch) tick() (active bool) {
	now := t.now.Add(1)
	for _, links := range *t.w.routes.table.Load() {
		for _, l := range links {
			if l == nil {
				continue
			}
			call := l.leader.call.Load()
			before := t.seen[l]
			if call != before {
				t.seen[l] = call
				active = true
			} else if call&1 == 1 {
				l.takeOver(call)
				active = true
			}
		}
	}
	if len(t.seen) > 0 && now%1024 == 0 {
		clear(t.seen) // of links that have ended; those that live come again
	}
	return t.slow() || active
}

// label is the name, in profiles and for the watch, of goroutines that run handlers.
const label = "sluice.worker"

// name labels the calling goroutine, which runs handlers from now on.
func (t *watch) name() string {
	name := fmt.Sprintf("%x-%d", t.w.id[:4], t.named.Add(1)) // of all workers in this process
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(label, name)))
	return name
}

// enter notes a call that runs outside of a leader, on the goroutine named.
func (t *watch) enter(s *session, goroutine string) {
	t.mu.Lock()
	t.running[s] = &slowCall{goroutine: goroutine, since: time.Now()}
	t.mu.Unlock()
	t.kick()
}

// leave notes its end.
func (t *watch) leave(s *session) {
	t.mu.Lock()
	delete(t.running, s)
	t.mu.Unlock()
}

// slow logs the calls that have run too long, each once. It reports whether any call runs.
func (t *watch) slow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, c := range t.running {
		if d := time.Since(c.since); d > t.w.cfg.SlowAfter && !c.reported {
			c.reported = true
			t.w.stats.slow.Add(1)
			t.w.log.Warn("handler is slow", "client", s.id.String(), "listener", s.listener, "for", d.Round(time.Millisecond), "stack", stackOf(c.goroutine))
		}
	}
	return len(t.running) > 0
}

// stackOf finds the stack of a goroutine by its label, in the profile of all goroutines.
func stackOf(goroutine string) string {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return err.Error()
	}
	mark := fmt.Appendf(nil, "%q:%q", label, goroutine)
	for stack := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) {
		if bytes.Contains(stack, mark) {
			return string(stack)
		}
	}
	return "it has just ended"
}
