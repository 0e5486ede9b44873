// Package spare returns unused memory to the system when the process has become idle.
package spare

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

// Go's collector runs when the heap has doubled or after two minutes, and returns freed memory to
// the system slowly. So an idle process keeps the memory of a burst of large messages for minutes.
// One collection at the right time avoids that: when the process is idle and has much memory to
// return.

const (
	period       = time.Second // time between two checks; longer on a busy machine
	idleShare    = 10          // an idle process uses less than this part of the time, as a divisor
	idleChecks   = 2           // consecutive idle checks after which the process counts as idle
	minGrowth    = 32 << 20    // least growth of the heap, in bytes, since memory was last returned
	secondReturn = 15          // checks after which memory is returned again: pools have released more
)

// tracker decides when memory is returned. It contains only data.
type tracker struct {
	used  time.Duration // processor time at the last check
	at    time.Duration // when that was
	quiet int           // consecutive idle checks
	floor int           // least heap size in bytes since memory was last returned
	due   int           // the value of quiet at which memory is returned again; 0: not scheduled
}

// idle records the processor time used so far, at a time, and reports whether the process is idle.
func (w *tracker) idle(used, at time.Duration) bool {
	busy := used-w.used > (at-w.at)/idleShare
	w.used, w.at = used, at
	if busy {
		w.quiet, w.due = 0, min(w.due, secondReturn)
		return false
	}
	w.quiet++
	return w.quiet >= idleChecks
}

// shouldReturn reports whether memory should be returned now. heap is the size of the heap in
// bytes.
func (w *tracker) shouldReturn(heap int) bool {
	w.floor = min(w.floor, heap)
	switch {
	case w.due > 0 && w.quiet >= w.due:
		w.due = 0
		return true
	case w.due <= secondReturn && heap-w.floor >= minGrowth: // else the second return is near
		w.due = w.quiet + secondReturn
		return true
	}
	return false
}

// returned records the heap size after memory was returned, and the processor time, which includes
// that work.
func (w *tracker) returned(heap int, used time.Duration) { w.floor, w.used = heap, used }

// ReturnMemory returns memory each time that the process has been idle for two seconds after it
// needed much, until ctx ends. For a process that is never idle it costs one system call per
// second.
func ReturnMemory(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	h := heap{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	var w tracker
	start := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.idle(processorTime(), time.Since(start)) && w.shouldReturn(h.size()) {
			debug.FreeOSMemory()
			w.returned(h.size(), processorTime())
		}
	}
}

// heap is the set of metrics whose sum is the system memory of Go's heap.
type heap []metrics.Sample

func (h heap) size() (n int) {
	metrics.Read(h)
	for _, s := range h {
		n += int(s.Value.Uint64())
	}
	return n
}

// processorTime returns the user and system time that the process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
