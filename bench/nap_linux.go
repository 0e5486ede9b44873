package bench

import (
	"time"

	"golang.org/x/sys/unix"
)

// nap sleeps for a few milliseconds at most and wakes within the kernel's timer slack, 50 µs. It keeps a thread meanwhile.
func nap(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}
