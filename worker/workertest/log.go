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

// testLog is where a worker logs to when the test has given it no logger: warnings and errors stand in the test's own output, as a panic's stack, which otherwise would only
// show as a message that does not come.
type testLog struct {
	shared *testOutput
	attrs  []slog.Attr
}

type testOutput struct {
	mu sync.Mutex
	tb testing.TB // guarded by mu: nil after the test's end, when a handler that has not returned may still log
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
func (testLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler. An attribute of several lines, such as a stack, has lines of its own.
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

// WithGroup implements slog.Handler. A worker logs without groups.
func (l testLog) WithGroup(string) slog.Handler { return l }
