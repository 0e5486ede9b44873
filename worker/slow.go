package worker

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// Reports of slow calls. There may be thousands of them at once when a service that handlers use
// does not answer. All are counted, a few are logged with their stacks, and no other goroutine
// waits meanwhile.
const (
	slowCheckEvery = 250 * time.Millisecond // or a quarter of Config.SlowHandlerThreshold if that is less
	slowLogEvery   = time.Second            // minimum time between two reports with stacks
	maxSlowStacks  = 8                      // stacks in a report
)

// slowCall is a call that has run too long.
type slowCall struct {
	s         *session
	goroutine string
	since     time.Time
}

// findSlow counts the calls that have run too long, each once, and logs the stacks of some of them.
func (t *watchdog) findSlow() {
	now := time.Now()
	if t.w.cfg.SlowHandlerThreshold < 0 || now.Sub(t.lastLook) < min(slowCheckEvery, t.w.cfg.SlowHandlerThreshold/4) {
		return
	}
	t.lastLook = now
	slow := t.newlySlow(now)
	t.w.stats.slow.Add(uint64(len(slow)))
	if len(slow)+t.unlogged == 0 {
		return
	}
	if now.Sub(t.lastLog) < slowLogEvery || t.logging.Load() {
		t.unlogged += len(slow)
		return
	}
	t.lastLog = now
	t.logging.Store(true)
	shown := slow[:min(len(slow), maxSlowStacks)]
	more := t.unlogged + len(slow) - len(shown)
	t.unlogged = 0
	t.loggers.Go(func() {
		t.logSlow(shown, more)
		t.logging.Store(false)
	})
}

// logSlow logs slow calls and the number of further ones. It runs on its own goroutine, because it
// takes a while to get the stacks of many goroutines.
func (t *watchdog) logSlow(shown []slowCall, more int) {
	if len(shown) > 0 {
		all := stacksNow()
		for _, c := range shown {
			t.w.log.Warn("handler is slow", "client", c.s.id.String(), "listener", c.s.listener,
				"for", time.Since(c.since).Round(time.Millisecond), "stack", all.of(c.goroutine))
		}
	}
	if more > 0 {
		t.w.log.Warn("more handlers are slow", "calls", more, "running", t.count())
	}
}

// newlySlow returns the calls that have become slow since the last check, the oldest first.
func (t *watchdog) newlySlow(now time.Time) (slow []slowCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, c := range t.running {
		if !c.slow && now.Sub(c.since) > t.w.cfg.SlowHandlerThreshold {
			c.slow = true
			slow = append(slow, slowCall{s, c.goroutine, c.since})
		}
	}
	slices.SortFunc(slow, func(a, b slowCall) int { return a.since.Compare(b.since) })
	return slow
}

// runningError returns the error about calls that do not return: their number, and the functions of
// the oldest.
func (t *watchdog) runningError() error {
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
		return fmt.Errorf("%w: no call is running, so Config.Dial may not have returned", ErrHandlersRunning)
	}
	c := *t.running[oldest]
	t.mu.Unlock()
	return fmt.Errorf("%w: %d running; the oldest, of client %v, has run for %v: %s",
		ErrHandlersRunning, n, oldest.id, time.Since(c.since).Round(time.Millisecond),
		handlerFrames(stacksNow().of(c.goroutine)))
}

// handlerFrames returns the functions of a stack, innermost first, down to the handler.
func handlerFrames(stack string) string {
	var names []string
	for line := range strings.Lines(stack) {
		part := strings.Split(strings.TrimSpace(line), "\t") // #, address, function+offset, file:line
		if len(part) < 4 {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(part[2]), "+0x")
		if strings.HasSuffix(name, "worker.(*session).handle") {
			break
		}
		if !strings.HasPrefix(name, "runtime.") {
			names = append(names, fmt.Sprintf("%s (%s)", name, filepath.Base(part[len(part)-1])))
		}
	}
	return strings.Join(names, " < ")
}

// stacks is the profile of all goroutines as text. Goroutines that run handlers are found by their
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
	mark := fmt.Appendf(nil, "%q:%q", label, goroutine)
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.Contains(stack, mark) {
			return string(stack)
		}
	}
	return "the call has just ended"
}
