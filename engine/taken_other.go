//go:build !linux

package engine

// Taken is how many bytes the peer's system has acknowledged, which is not known here, and how many
// wait for the kernel.
func (c *Conn) Taken() (acked uint64, waiting int) {
	if s, ok := c.g.(*simSocket); ok {
		return s.peer.took, c.Buffered() + len(s.peer.out)
	}
	return 0, c.Buffered()
}
