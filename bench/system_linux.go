package bench

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// latePort lets the kernel choose the local port at connect(2) and not at bind(2). Then one port
// can be used for several server addresses (ip(7), IP_BIND_ADDRESS_NO_PORT).
func latePort(_, _ string, c syscall.RawConn) error {
	return setOption(c, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// nap sleeps for a few milliseconds at most, and wakes within the timer slack of the
// kernel, 50 µs. It blocks a thread.
func nap(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}
