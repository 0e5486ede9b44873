package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// TestRunInterruptedAt ends a run in each of its phases. What was measured is reported; without a
// measurement there is only an error.
func TestRunInterruptedAt(t *testing.T) {
	t.Parallel()
	echo := serve(t, func(nc net.Conn) { _, _ = io.Copy(nc, nc) })
	const warmup, window = 200 * time.Millisecond, 400 * time.Millisecond
	for name, c := range map[string]struct {
		at          func(bench.Interval) bool // the interval after which it is; nil: before there is one
		target      string
		warmup      time.Duration
		report      bool
		interrupted bool
	}{
		// The server sends nothing, and the client waits for the answer to its handshake.
		"opening":                    {nil, serve(t, func(net.Conn) {}), warmup, false, false},
		"in the warm-up":             {func(m bench.Interval) bool { return m.At < 0 }, echo, warmup, false, false},
		"between warm-up and window": {func(m bench.Interval) bool { return m.At == 0 }, echo, warmup, false, false},
		"in the window":              {func(m bench.Interval) bool { return m.At > 0 }, echo, warmup, true, true},
		"in the window, no warm-up":  {func(m bench.Interval) bool { return m.At > 0 }, echo, -1, true, true},
		"at the window's end": {
			func(m bench.Interval) bool { return m.At >= window.Seconds() }, echo, warmup, true, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			o := bench.Options{
				Codec: bench.Text, Conns: 3, Size: 64, Warmup: c.warmup, Window: window, Targets: []string{c.target},
			}
			if c.at == nil {
				o.Codec = bench.WebSocket
				time.AfterFunc(window, interrupt) // the moment hardly matters: it would open for ever
			}
			var moments []bench.Interval
			r, err := bench.Run(ctx, o, func(m bench.Interval) {
				if moments = append(moments, m); c.at(m) {
					interrupt()
				}
			})
			if !errors.Is(err, context.Canceled) || (r != nil) != c.report {
				t.Fatal(r, err)
			}
			if r == nil {
				return
			}
			checkReport(t, r)
			last := moments[len(moments)-1]
			if r.Interrupted != c.interrupted || r.Verdict.Failed || r.Seconds != last.At || len(moments) != len(r.Timeline) {
				t.Errorf("%v s, the last moment at %v: %+v", r.Seconds, last.At, r.Verdict)
			}
		})
	}
}

// checkReport checks what is true of every report.
func checkReport(t *testing.T, r *bench.Report) {
	t.Helper()
	if _, err := json.Marshal(r); err != nil { // NaN has no form
		t.Error(err)
	}
	if r.Seconds <= 0 {
		t.Errorf("it measured for %v s", r.Seconds)
	}
	for _, m := range r.Timeline {
		if m.Seconds <= 0 {
			t.Errorf("an interval of %v s", m.Seconds)
		}
	}
	if r.Messages > 0 {
		addsUp(t, r)
	}
}

// TestRunInterruptedWhenever ends runs at various times.
func TestRunInterruptedWhenever(t *testing.T) {
	t.Parallel()
	echo := serve(t, func(nc net.Conn) { _, _ = io.Copy(nc, nc) })
	for _, rate := range []float64{0, 500} {
		for after := time.Duration(0); after < 120*time.Millisecond; after += 7 * time.Millisecond {
			ctx, interrupt := context.WithTimeout(t.Context(), after)
			o := bench.Options{
				Codec: bench.Text, Conns: 3, Size: 64, Rate: rate, Warmup: 40 * time.Millisecond, Window: 40 * time.Millisecond,
				Targets: []string{echo},
			}
			r, err := bench.Run(ctx, o, nil)
			interrupt()
			if r == nil && !errors.Is(err, context.DeadlineExceeded) || r != nil && r.Interrupted != (err != nil) {
				t.Errorf("after %v: %+v, %v", after, r, err)
			}
			if r != nil {
				checkReport(t, r)
			}
		}
	}
}

// TestRunInterruptedInDrain interrupts a run that waits for a missing answer: the window is
// complete, and the report says so.
func TestRunInterruptedInDrain(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	const window = 300 * time.Millisecond
	mute, swallowed := make(chan struct{}), make(chan struct{})
	target := serve(t, func(nc net.Conn) {
		for b := make([]byte, 4<<10); ; {
			n, err := nc.Read(b)
			if err != nil {
				return
			}
			select {
			case <-mute:
				close(swallowed) // there is one message in flight
				return
			default:
				_, _ = nc.Write(b[:n])
			}
		}
	})
	o := bench.Options{
		Codec: bench.Text, Conns: 1, Size: 64, Warmup: -1, Window: window, Drain: 300 * time.Millisecond,
		Targets: []string{target},
	}
	r, err := bench.Run(ctx, o, func(m bench.Interval) {
		if m.At >= window.Seconds() {
			close(mute)
			<-swallowed
			time.AfterFunc(100*time.Millisecond, interrupt) // a moment earlier, before the drain, would be as good
		}
	})
	if r == nil || r.Interrupted != (err != nil) || !r.Verdict.Failed || r.Audit.Lost != 1 ||
		r.Seconds < window.Seconds() {
		t.Fatalf("%+v, %v", r, err)
	}
	checkReport(t, r)
}
