package worker

import (
	"context"
	"fmt"
	"runtime/debug"
)

// start calls Handler.Start. It returns a panic as an error.
func (w *Worker) start(ctx context.Context) (err error) {
	if w.handler.Start == nil {
		return nil
	}
	defer func() {
		if reason := recover(); reason != nil {
			w.stats.panics.Add(1)
			err = fmt.Errorf("worker: Handler.Start: %w: %v\n%s", ErrPanic, reason, debug.Stack())
		}
	}()
	if err := w.handler.Start(ctx, w); err != nil {
		return fmt.Errorf("worker: Handler.Start: %w", err)
	}
	return nil
}

// stop calls Handler.Stop.
func (w *Worker) stop(ctx context.Context) {
	if w.handler.Stop == nil {
		return
	}
	defer func() {
		if reason := recover(); reason != nil {
			w.stats.panics.Add(1)
			w.log.Error("handler panicked", "panic", reason, "event", "stop", "stack", string(debug.Stack()))
		}
	}()
	w.handler.Stop(ctx, w)
}
