// Package spare returns unused memory of a quiet process to the system.
package spare

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

// Go's collector runs when the heap has doubled, or after two minutes, and returns what it frees to
// the system little by little. A process that is quiet after a burst of large messages therefore
// keeps the memory of the burst for minutes. This package runs one collection at the right time:
// when the process is quiet, and much memory can be returned.

const (
	period   = time.Second // between two looks
	idleTime = period / 10 // the most processor time that a quiet process uses between two looks
	calm     = 2           // the number of such looks in a row that make a process quiet
	worth    = 32 << 20    // the least growth of the heap, in bytes, since memory was returned last
	again    = 15          // looks after which the memory that pools have released meanwhile is returned, too
)

// watch decides when memory is returned. It does no I/O.
type watch struct {
	used  time.Duration // processor time at the last look
	quiet int           // looks in a row
	floor int           // bytes of heap after memory was returned last, or the least since
	due   int           // the value of quiet at which memory is returned once more; 0: never
}

// rests records the processor time used so far, and reports whether the process is quiet.
func (w *watch) rests(used time.Duration) bool {
	busy := used-w.used > idleTime
	w.used = used
	if busy {
		w.quiet, w.due = 0, 0
		return false
	}
	w.quiet++
	return w.quiet >= calm
}

// pays reports whether memory is to be returned now, with a heap of so many bytes.
func (w *watch) pays(heap int) bool {
	w.floor = min(w.floor, heap)
	switch {
	case w.due > 0 && w.quiet >= w.due:
		w.due = 0
		return true
	case w.due == 0 && heap-w.floor >= worth:
		w.due = w.quiet + again
		return true
	}
	return false
}

// gave records the heap after memory was returned, which used processor time, too.
func (w *watch) gave(heap int, used time.Duration) { w.floor, w.used = heap, used }

// GiveBack returns memory to the system each time that the process has been quiet for two seconds
// after it used much more. It ends with ctx. A process that is never quiet pays for one system call
// a second.
func GiveBack(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	h := heap{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}}
	var w watch
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.rests(processorTime()) && w.pays(h.size()) {
			debug.FreeOSMemory()
			w.gave(h.size(), processorTime())
		}
	}
}

// heap holds the metrics of the system memory that Go's heap uses.
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
