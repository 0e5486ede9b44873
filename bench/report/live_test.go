package report

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/bench"
)

// TestLive checks the view of a run in progress.
func TestLive(t *testing.T) {
	t.Parallel()
	l := NewLive(bench.Options{
		Mode: bench.Echo, Codec: bench.Text, Conns: 1000, InFlight: 2, Size: 128, Warmup: 2 * time.Second,
		Window: 10 * time.Second,
	})
	moment := func(at float64, rate, errors uint64, p99 int64) {
		l.Add(bench.Interval{
			At: at, Seconds: 1, Messages: rate, Errors: errors, Open: 1000, P50: p99 / 2, P99: p99, Max: p99,
			CPU: map[string]float64{"gateway": 0.5, "worker": 0.25, "generator": 2},
		})
	}
	look := func(since time.Duration, columns int, want ...string) {
		t.Helper()
		if got := strings.Join(l.Lines(since, columns), "\n"); got != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
	}
	look(1500*time.Millisecond, 80,
		"echo over text, 1k connections, 128 B  closed loop, 2 in flight",
		"opening   1.5 s")
	moment(-1, 1000, 0, 0)
	look(500*time.Millisecond, 80,
		"echo over text, 1k connections, 128 B  closed loop, 2 in flight",
		"warm-up   ██████████████████████████████··········  1.5 of 2.0 s",
		"rate      1k      messages a second  █",
		"latency   not measured yet",
		"clients   1,000 open   0 errors",
		"cores     gateway 0.50   generator 2.00   worker 0.25")
	moment(0, 2000, 0, 0)
	moment(1, 500, 1, 4000)
	moment(2, 4000, 0, 1000)
	look(500*time.Millisecond, 100,
		"echo over text, 1k connections, 128 B  closed loop, 2 in flight",
		"measuring ██████████······························  2.5 of 10.0 s",
		"rate      4k      messages a second  ▃▅▂█",
		"latency   p50 500 µs   p99 1.00 ms  max 1.00 ms     █▃",
		"clients   1,000 open   1 error",
		"cores     gateway 0.50   generator 2.00   worker 0.25")
	moment(10, 4000, 0, 1000)
	if got := l.Lines(time.Minute, 80)[1]; got != "finishing ████████████████████████████████████████  10.0 of 10.0 s" {
		t.Errorf("at the end: %s", got)
	}
	for columns := leastWide; columns < 120; columns++ {
		for _, line := range l.Lines(0, columns) {
			if n := utf8.RuneCountInString(line); n > columns {
				t.Errorf("%d columns for %d: %s", n, columns, line)
			}
		}
	}
	l.Colour = true
	got := strings.Join(l.Lines(0, 100), "\n")
	if !strings.Contains(got, alarm+"1 error"+reset) || strings.Count(got, "\x1b[")%2 != 0 {
		t.Errorf("in colour: %q", got)
	}
}

// TestLiveForeign has text with control characters: it must not reach the terminal.
func TestLiveForeign(t *testing.T) {
	t.Parallel()
	l := NewLive(bench.Options{Mode: bench.Idle, Label: "\x1b[2Jx", Window: time.Second})
	l.Add(bench.Interval{At: 1, Seconds: 1, Open: 7, CPU: map[string]float64{"a\x1b[2Jb": 1}})
	got := strings.Join(l.Lines(0, 200), "\n")
	if strings.Contains(got, "\x1b") || !strings.Contains(got, "held      7 connections") {
		t.Errorf("%q", got)
	}
}
