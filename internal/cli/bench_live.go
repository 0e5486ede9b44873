package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
)

// watch shows a run in progress: redrawn in place on a terminal, else as a line for each interval.
// stop restores the terminal.
func watch(ctx context.Context, f *os.File, o bench.Options) (add func(bench.Interval), stop func()) {
	if columns(f) == 0 || os.Getenv("TERM") == "dumb" {
		return func(m bench.Interval) { printInterval(f, m) }, func() {}
	}
	return draw(ctx, f, o)
}

// columns returns the width of a terminal; 0 if f is not one.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return max(int(size.Col), 1)
}

const redrawEvery = 100 * time.Millisecond

// Escape sequences of a terminal.
const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	toLineEnd, toEnd       = "\x1b[K", "\x1b[J"
)

// draw draws a view until stop is called or ctx ends, and then removes it.
func draw(ctx context.Context, f *os.File, o bench.Options) (add func(bench.Interval), stop func()) {
	intervals, over := make(chan bench.Interval), make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		view := report.NewLive(o)
		view.Colour = os.Getenv("NO_COLOR") == ""
		last, height := time.Now(), 0
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		defer func() { _, _ = io.WriteString(f, up(height)+toEnd+showCursor) }()
		for {
			lines := view.Lines(time.Since(last), columns(f)-1)
			text := strings.Join(lines, toLineEnd+"\n") + toLineEnd + "\n"
			_, _ = io.WriteString(f, hideCursor+up(height)+text+toEnd)
			height = len(lines)
			select {
			case m := <-intervals:
				view.Add(m)
				last = time.Now()
			case <-tick.C:
			case <-over:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	add = func(m bench.Interval) {
		select {
		case intervals <- m:
		case <-ctx.Done():
		}
	}
	return add, func() { close(over); drawing.Wait() }
}

// up moves the cursor to the start of the line so many above.
func up(lines int) string {
	if lines == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", lines)
}

func printInterval(w io.Writer, m bench.Interval) {
	phase := "warm-up"
	if m.At > 0 {
		phase = fmt.Sprintf("%6.1fs", m.At)
	}
	p50, p99 := "-", "-" // nothing was timed
	if m.Max > 0 {
		p50, p99 = report.Micros(m.P50), report.Micros(m.P99)
	}
	var cpu strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.CPU)) {
		fmt.Fprintf(&cpu, "  %s %.2f", name, m.CPU[name])
	}
	_, _ = fmt.Fprintf(w, "%s  %8s/s  p50 %-8s p99 %-8s open %d  errors %d  cores%s\n",
		phase, report.Count(m.Rate()), p50, p99, m.Open, m.Errors, &cpu)
}
