package worker

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime/pprof"
	"strings"
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
	running map[*session]*slowCall // guarded by mu: calls outside of a leader; bound: none, one for each call that runs
	links   map[*gwLink]struct{}   // guarded by mu: those that have a leader; bound: none, one for each link

	leading []*gwLink // owned by run: the links, at a tick; bound: none, one for each link

	named atomic.Uint64 // goroutines that have a label
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
	t.links = make(map[*gwLink]struct{})
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

// leads returns the link to a gateway's loop that has a leader; nil: there is none.
func (t *watch) leads(gateway uint32, loop uint8) *gwLink {
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
func (t *watch) tick() (active bool) {
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
	return t.slow() || active
}

// add has the watch look at a link's leader, from before it leads to its end, which may be after the link's.
func (t *watch) add(l *gwLink) {
	t.mu.Lock()
	t.links[l] = struct{}{}
	t.mu.Unlock()
}

func (t *watch) remove(l *gwLink) {
	t.mu.Lock()
	delete(t.links, l)
	t.mu.Unlock()
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

// stuck is the error about calls that do not return: how many there are, and where the oldest is.
func (t *watch) stuck() error {
	t.mu.Lock()
	var oldest *session
	for s, c := range t.running {
		if oldest == nil || c.since.Before(t.running[oldest].since) {
			oldest = s
		}
	}
	n := len(t.running)
	if oldest == nil {
		t.mu.Unlock()
		return fmt.Errorf("%w: no call is known, so that it must be Config.Dial", ErrStuck)
	}
	c := *t.running[oldest]
	t.mu.Unlock()
	return fmt.Errorf("%w: calls: %d; the oldest, for client %v, has run for %v: %s",
		ErrStuck, n, oldest.id, time.Since(c.since).Round(time.Millisecond), business(stackOf(c.goroutine)))
}

// business names the functions of a stack, innermost first, down to the handler's: what is below it is ours.
func business(stack string) string {
	var names []string
	for line := range strings.Lines(stack) {
		part := strings.Split(strings.TrimSpace(line), "\t") // #, address, function+offset, file:line
		if len(part) < 4 {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(part[2]), "+0x")
		if strings.HasSuffix(name, "worker.(*session).call") {
			break
		}
		if !strings.HasPrefix(name, "runtime.") {
			names = append(names, fmt.Sprintf("%s (%s)", name, filepath.Base(part[len(part)-1])))
		}
	}
	return strings.Join(names, " < ")
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
