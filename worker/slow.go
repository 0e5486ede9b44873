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

// What is said of calls that take long. There may be thousands at once, when what handlers ask does not answer: all are counted, a few are shown with their stacks, and nobody else
// waits meanwhile.
const (
	slowLook  = 250 * time.Millisecond // between two looks at the calls that run, or a quarter of Config.SlowHandlerThreshold
	slowPause = time.Second            // at least, between two times that stacks are shown
	slowLines = 8                      // stacks shown at once
)

// slowCall is a call that has run too long.
type slowCall struct {
	s         *session
	goroutine string
	since     time.Time
}

// findSlow counts the calls that have run too long, each once, and logs the stacks of some.
func (t *watchdog) findSlow() {
	now := time.Now()
	if t.w.cfg.SlowHandlerThreshold < 0 || now.Sub(t.looked) < min(slowLook, t.w.cfg.SlowHandlerThreshold/4) {
		return
	}
	t.looked = now
	slow := t.newlySlow(now)
	t.w.stats.slow.Add(uint64(len(slow)))
	if len(slow)+t.unlogged == 0 {
		return
	}
	if now.Sub(t.logged) < slowPause || t.telling.Load() {
		t.unlogged += len(slow)
		return
	}
	t.logged = now
	t.telling.Store(true)
	shown := slow[:min(len(slow), slowLines)]
	more := t.unlogged + len(slow) - len(shown)
	t.unlogged = 0
	t.tellers.Go(func() {
		t.logSlow(shown, more)
		t.telling.Store(false)
	})
}

// logSlow logs slow calls, and how many more there are. It runs on a goroutine of its own: the stacks of many goroutines take a while to get.
func (t *watchdog) logSlow(shown []slowCall, more int) {
	if len(shown) > 0 {
		all := stacksNow()
		for _, c := range shown {
			t.w.log.Warn("handler is slow", "client", c.s.id.String(), "listener", c.s.listener, "for", time.Since(c.since).Round(time.Millisecond), "stack", all.of(c.goroutine))
		}
	}
	if more > 0 {
		t.w.log.Warn("more handlers are slow", "calls", more, "running", t.count())
	}
}

// newlySlow returns the calls that have become slow since the last look, the oldest first.
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

// stuck is the error about calls that do not return: how many there are, and where the oldest is.
func (t *watchdog) stuck() error {
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
		return fmt.Errorf("%w: no call is known, so that it must be Config.Dial", ErrHandlersRunning)
	}
	c := *t.running[oldest]
	t.mu.Unlock()
	return fmt.Errorf("%w: calls: %d; the oldest, for client %v, has run for %v: %s",
		ErrHandlersRunning, n, oldest.id, time.Since(c.since).Round(time.Millisecond), business(stacksNow().of(c.goroutine)))
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
		if strings.HasSuffix(name, "worker.(*session).handle") {
			break
		}
		if !strings.HasPrefix(name, "runtime.") {
			names = append(names, fmt.Sprintf("%s (%s)", name, filepath.Base(part[len(part)-1])))
		}
	}
	return strings.Join(names, " < ")
}

// stacks is the profile of all goroutines, as text: one that runs handlers is found by its label.
type stacks []byte

func stacksNow() stacks {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		return stacks(err.Error())
	}
	return all.Bytes()
}

// of returns the stack of the goroutine with a label.
func (all stacks) of(goroutine string) string {
	mark := fmt.Appendf(nil, "%q:%q", label, goroutine)
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if bytes.Contains(stack, mark) {
			return string(stack)
		}
	}
	return "it has just ended"
}
