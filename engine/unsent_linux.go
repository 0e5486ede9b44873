package engine

import "golang.org/x/sys/unix"

// unsentBytes is what the kernel holds of a socket's output that the peer has not
// acknowledged.
func unsentBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
