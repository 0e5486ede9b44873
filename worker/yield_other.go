//go:build !linux

package worker

// yield does nothing on systems without sched_yield(2).
func yield() {}
