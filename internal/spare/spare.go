// Package spare gives memory that a process has no use for any more back to the system when the process has become quiet.
package spare

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

// Go's collector runs when the heap has doubled, or when two minutes have passed, and what it frees goes back to the system little by little. So a process that is quiet after
// a burst of large messages keeps the memory of the burst for minutes. One collection at the right time ends that: when there is nothing to do, and much to give back.

const (
	period   = time.Second // from look to look
	idleTime = period / 10 // the processor time between two looks of a process that is quiet, at most
	calm     = 2           // looks in a row after which it is
	worth    = 32 << 20    // bytes that the heap has grown by since it was given back last, at least
	again    = 15          // looks, after which what pools have let go meanwhile is given back too
)

// watch decides when memory is given back. It is data and nothing else.
type watch struct {
	used  time.Duration // processor time at the last look
	quiet int           // looks in a row
	floor int           // bytes of heap after it was given back last, or since
	due   int           // the value of quiet at which it is given back once more; 0: it is not
}

// rests notes the processor time used so far, and reports whether the process is quiet.
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

// pays reports whether memory is to be given back now, of a heap of so many bytes.
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

// gave notes what is left when memory was given back, which took its time too.
func (w *watch) gave(heap int, used time.Duration) { w.floor, w.used = heap, used }

// GiveBack gives memory back each time that the process has been quiet for two seconds after it needed much, until ctx ends. A process that is never quiet pays for one system
// call a second.
func GiveBack(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	h := heap{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}
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

// heap are the figures of what Go's heap has of the system's memory.
type heap []metrics.Sample

func (h heap) size() (n int) {
	metrics.Read(h)
	for _, s := range h {
		n += int(s.Value.Uint64())
	}
	return n
}

// processorTime is what the process has used, user and system.
func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
