package engine

import "golang.org/x/sys/unix"

// unsentBytes returns how many bytes of a socket's output the peer has not acknowledged.
func unsentBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
