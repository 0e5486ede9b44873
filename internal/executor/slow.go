package executor

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Reports of slow calls. There may be thousands of them at once when a service that handlers use
// does not answer. All are counted, a few are reported with their stacks, and no other goroutine
// waits meanwhile.
const (
	slowCheckEvery = 250 * time.Millisecond // or a quarter of Config.SlowAfter if that is less
	slowLogEvery   = time.Second            // minimum time between two reports with stacks
	maxSlowStacks  = 8                      // stacks in a report
)

// reports is what Watch knows of slow calls.
type reports struct {
	lastLook, lastReport time.Time
	unreported           int // slow calls that have not been reported

	writing atomic.Bool    // a goroutine reports
	writers sync.WaitGroup // waits for that goroutine
}

// Running is a call that runs on a goroutine of its own.
type Running[E any] struct {
	Actor     Actor[E]
	For       time.Duration
	goroutine string
}

// reportSlow counts the calls that have run too long, each once, and reports some of them.
func (x *Executor[E]) reportSlow() {
	now, p := time.Now(), &x.reports
	if x.cfg.SlowAfter < 0 || now.Sub(p.lastLook) < min(slowCheckEvery, x.cfg.SlowAfter/4) {
		return
	}
	p.lastLook = now
	slow := x.newlySlow()
	x.slow.Add(uint64(len(slow)))
	p.unreported += len(slow)
	if p.unreported == 0 || now.Sub(p.lastReport) < slowLogEvery || p.writing.Load() {
		return
	}
	p.lastReport = now
	p.writing.Store(true)
	shown := slow[:min(len(slow), maxSlowStacks)]
	more := p.unreported - len(shown)
	p.unreported = 0
	p.writers.Go(func() {
		x.report(shown, more)
		p.writing.Store(false)
	})
}

// report runs on its own goroutine, because it takes a while to get the stacks of many goroutines.
func (x *Executor[E]) report(shown []Running[E], more int) {
	if len(shown) > 0 {
		all := stacksNow()
		for _, c := range shown {
			x.cfg.Slow(c, all.of(c.goroutine))
		}
	}
	if more > 0 {
		x.cfg.MoreSlow(more, x.Stats().Blocked)
	}
}

// newlySlow returns the calls that have become slow since the last check, the oldest first.
func (x *Executor[E]) newlySlow() (slow []Running[E]) {
	now := x.clock()
	x.mu.Lock()
	for _, r := range x.own {
		since := r.since.Load()
		if since != 0 && since != r.slowAt && now-since > int64(x.cfg.SlowAfter) {
			r.slowAt = since
			slow = append(slow, Running[E]{r.actor, time.Duration(now - since), r.goroutine})
		}
	}
	x.mu.Unlock()
	slices.SortFunc(slow, func(a, b Running[E]) int { return int(b.For - a.For) })
	return slow
}

// Oldest returns the call that has run longest on a goroutine of its own, with its stack, and the
// number of such goroutines. If the number is 0 there is none.
func (x *Executor[E]) Oldest() (oldest Running[E], stack string, running int) {
	now := x.clock()
	x.mu.Lock()
	for _, r := range x.own {
		if since := r.since.Load(); since != 0 && time.Duration(now-since) >= oldest.For {
			oldest = Running[E]{r.actor, time.Duration(now - since), r.goroutine}
		}
	}
	running = len(x.own)
	x.mu.Unlock()
	if oldest.Actor == nil {
		return oldest, "", 0
	}
	return oldest, stacksNow().of(oldest.goroutine), running
}

// labelKey is the profile label of goroutines that run calls.
const labelKey = "sluice.worker"

// stacks is the profile of all goroutines as text. Goroutines that run calls are found by their
// labels.
type stacks []byte

func stacksNow() stacks {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return stacks(err.Error())
	}
	return all.Bytes()
}

// of returns the stack of the goroutine with the given label.
func (all stacks) of(goroutine string) string {
	mark := fmt.Appendf(nil, "%q:%q", labelKey, goroutine)
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.Contains(stack, mark) {
			return string(stack)
		}
	}
	return "the call has just ended"
}
