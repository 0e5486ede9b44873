package engine

import "golang.org/x/sys/unix"

// Taken returns how many bytes the peer's system has acknowledged since the connection was made,
// and how many written bytes it has not acknowledged, including those in the kernel. If the first
// number grows and the second is not 0, the peer reads slowly. It costs two system calls.
func (c *Conn) Taken() (acked uint64, waiting int) {
	if c.g == nil {
		return 0, 0
	}
	if s, ok := c.g.(*simSocket); ok {
		return s.peer.took, c.Buffered() + len(s.peer.out)
	}
	info, err := unix.GetsockoptTCPInfo(c.g.Fd(), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, c.Buffered()
	}
	return info.Bytes_acked, c.Buffered() + unsentBytes(c.g.Fd())
}
