package engine

import (
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

func (system) taken(g gnet.Conn) (acked uint64, unacked int) {
	info, err := unix.GetsockoptTCPInfo(g.Fd(), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, 0
	}
	return info.Bytes_acked, unsentBytes(g.Fd())
}

// unsentBytes returns how many bytes of a socket's output the peer has not acknowledged.
func unsentBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
