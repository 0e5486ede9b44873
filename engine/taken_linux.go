package engine

import "golang.org/x/sys/unix"

// Taken is how many bytes the peer's system has acknowledged since the connection was made, and how
// many of those written it has not, of which the kernel has some. A peer that reads slowly is one of
// which the first figure grows while the second is not 0. It costs two system calls.
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
