package worker

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/executor"
)

// newExecutor returns the executor that runs the handler's calls.
func newExecutor(w *Worker) *executor.Executor[item] {
	return executor.New(executor.Config[item]{
		Name:   fmt.Sprintf("%x", w.id[:4]), // unique among all workers of the process
		MaxOwn: w.cfg.MaxBlockedCalls,
		Full: func() {
			if more, ok := w.fullness.allow(); ok {
				w.log.Error("as many calls block as may: all events wait for one to return",
					"max", w.cfg.MaxBlockedCalls, "not-logged", more)
			}
		},
		SlowAfter: w.cfg.SlowHandlerThreshold,
		Slow: func(c executor.Running[item], stack string) {
			s := c.Actor.(*session) //nolint:forcetypeassert // all actors are sessions
			w.log.Warn("handler is slow", "client", s.id().String(), "listener", s.listener,
				"for", c.For.Round(time.Millisecond), "stack", stack)
		},
		MoreSlow: func(calls, running int) {
			w.log.Warn("more handlers are slow", "calls", calls, "running", running)
		},
	})
}

// runningError returns the error about calls that do not return: their number, and the functions of
// the oldest.
func runningError(x *executor.Executor[item]) error {
	oldest, stack, n := x.Oldest()
	if n == 0 {
		return fmt.Errorf("%w: no call is running, so Config.Dial may not have returned", ErrHandlersRunning)
	}
	return fmt.Errorf("%w: %d running; the oldest, of client %v, has run for %v: %s",
		ErrHandlersRunning, n, oldest.Actor.(*session).id(), //nolint:forcetypeassert // all actors are sessions
		oldest.For.Round(time.Millisecond), handlerFrames(stack))
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
