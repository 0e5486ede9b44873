package worker

import (
	"context"
	"fmt"
	"runtime/debug"
)

// start calls OnStart, if there is one. A panic is an error like another.
func (w *Worker) start(ctx context.Context) (err error) {
	s, ok := w.handler.(Starter)
	if !ok {
		return nil
	}
	defer func() {
		if reason := recover(); reason != nil {
			w.stats.panics.Add(1)
			err = fmt.Errorf("worker: OnStart panicked: %v\n%s", reason, debug.Stack())
		}
	}()
	if err := s.OnStart(ctx, w); err != nil {
		return fmt.Errorf("worker: start: %w", err)
	}
	return nil
}

// stop calls OnStop, if there is one.
func (w *Worker) stop() {
	s, ok := w.handler.(Stopper)
	if !ok {
		return
	}
	defer func() {
		if reason := recover(); reason != nil {
			w.stats.panics.Add(1)
			w.log.Error("OnStop panicked", "panic", reason, "stack", string(debug.Stack()))
		}
	}()
	s.OnStop(w)
}
