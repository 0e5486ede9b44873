package engine

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// pin binds the loop to one of the CPUs that the process may use. The thread stays locked: it ends
// with the loop, and its affinity ends with it.
func (l *Loop) pin() {
	_ = l.Post(func() {
		runtime.LockOSThread()
		var allowed, one unix.CPUSet
		err := unix.SchedGetaffinity(0, &allowed)
		if err == nil {
			skip := l.index % max(allowed.Count(), 1)
			for cpu := 0; ; cpu++ {
				if !allowed.IsSet(cpu) {
					continue
				}
				if skip == 0 {
					one.Set(cpu)
					break
				}
				skip--
			}
			err = unix.SchedSetaffinity(0, &one)
		}
		if err != nil {
			l.engine.cfg.Logger.Warn("cannot pin event loop to a cpu", "loop", l.index, "err", err)
		}
	})
}
