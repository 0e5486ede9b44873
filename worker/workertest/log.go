package workertest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testLog is the default logger of a worker. It writes warnings and errors, such as the stack of a
// panic, to the output of the test. Otherwise a panic would only show as a missing message. It also
// writes level Debug, at which a worker logs errors of handlers that follow each other quickly.
type testLog struct {
	shared *testOutput
	attrs  []slog.Attr
}

type testOutput struct {
	mu sync.Mutex
	tb testing.TB // guarded by mu: nil after the test, when a handler that has not returned may still log
}

func newTestLog(tb testing.TB) testLog {
	out := &testOutput{tb: tb}
	tb.Cleanup(func() {
		out.mu.Lock()
		out.tb = nil
		out.mu.Unlock()
	})
	return testLog{shared: out}
}

// Enabled implements slog.Handler.
func (testLog) Enabled(_ context.Context, level slog.Level) bool { return level != slog.LevelInfo }

// Handle implements slog.Handler. An attribute of several lines, such as a stack, begins on a new
// line.
func (l testLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", r.Level, r.Message)
	add := func(a slog.Attr) bool {
		v := a.Value.String()
		if strings.Contains(v, "\n") {
			fmt.Fprintf(&b, "\n%s:\n%s", a.Key, v)
		} else {
			fmt.Fprintf(&b, " %s=%s", a.Key, v)
		}
		return true
	}
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.shared.tb != nil {
		l.shared.tb.Log(b.String())
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l testLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.attrs = append(slices.Clip(l.attrs), attrs...)
	return l
}

// WithGroup implements slog.Handler. Workers log without groups.
func (l testLog) WithGroup(string) slog.Handler { return l }
