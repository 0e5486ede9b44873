package engine

import "golang.org/x/sys/unix"

// yield lets other threads that wait for this processor run first (sched_yield(2)). If there are
// none, it only costs a system call.
func yield() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
