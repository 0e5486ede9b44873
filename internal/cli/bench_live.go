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

// watch shows a run in progress: a view that is drawn in place on a terminal, a line for each interval elsewhere. What stop leaves behind is a terminal as it was.
func watch(ctx context.Context, f *os.File, o bench.Options) (moment func(bench.Interval), stop func()) {
	if columns(f) == 0 || os.Getenv("TERM") == "dumb" {
		return progress(f), func() {}
	}
	return draw(ctx, f, o, func() int { return columns(f) })
}

// columns is the width of the terminal that f is; 0 if it is none.
func columns(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return max(int(size.Col), 1)
}

// redrawEvery is how often a view is drawn.
const redrawEvery = 100 * time.Millisecond

// Escape sequences of a terminal.
const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	toLineEnd, toEnd       = "\x1b[K", "\x1b[J"
)

// draw draws a view on w until stop is called or ctx ends: then it is gone and the cursor is there again.
func draw(ctx context.Context, w io.Writer, o bench.Options, columns func() int) (moment func(bench.Interval), stop func()) {
	moments, over := make(chan bench.Interval), make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		view := report.NewLive(o)
		view.Colour = os.Getenv("NO_COLOR") == ""
		last, height := time.Now(), 0
		tick := time.NewTicker(redrawEvery)
		defer tick.Stop()
		defer func() { _, _ = io.WriteString(w, up(height)+toEnd+showCursor) }()
		for {
			lines := view.Lines(time.Since(last), columns()-1)
			_, _ = io.WriteString(w, hideCursor+up(height)+strings.Join(lines, toLineEnd+"\n")+toLineEnd+"\n"+toEnd)
			height = len(lines)
			select {
			case m := <-moments:
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
	moment = func(m bench.Interval) {
		select {
		case moments <- m:
		case <-ctx.Done():
		}
	}
	return moment, func() { close(over); drawing.Wait() }
}

// up goes to the beginning of the line so many above.
func up(lines int) string {
	if lines == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", lines)
}

// progress prints a line for each interval.
func progress(w io.Writer) func(bench.Interval) {
	return func(m bench.Interval) {
		phase := "warm-up"
		if m.At > 0 {
			phase = fmt.Sprintf("%6.1fs", m.At)
		}
		var cpu strings.Builder
		for _, name := range slices.Sorted(maps.Keys(m.CPU)) {
			fmt.Fprintf(&cpu, "  %s %.2f", name, m.CPU[name])
		}
		_, _ = fmt.Fprintf(w, "%s  %8s/s  p50 %-8s p99 %-8s open %d  errors %d  cores%s\n", phase, report.Count(m.Rate()), micros(m, m.P50), micros(m, m.P99), m.Open, m.Errors, &cpu)
	}
}

// micros is one of the interval's latencies, or a dash where none was taken: in the warm-up, or when nothing came back.
func micros(m bench.Interval, v int64) string {
	if m.Max == 0 {
		return "-"
	}
	return report.Micros(v)
}
