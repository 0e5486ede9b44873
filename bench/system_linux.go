package bench

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// latePort lets the kernel choose the local port when the connection is made and not when its address is bound: then a port serves once per server address and
// not once in all (ip(7), IP_BIND_ADDRESS_NO_PORT).
func latePort(_, _ string, c syscall.RawConn) error {
	return setOption(c, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// nap sleeps for a few milliseconds at most and wakes within the kernel's timer slack, 50 µs. It keeps a thread meanwhile.
func nap(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}
