//go:build !linux

package engine

// Taken returns how many bytes the peer's system has acknowledged, which is not known on this
// system and 0, and how many bytes wait for the kernel.
func (c *Conn) Taken() (acked uint64, waiting int) {
	if s, ok := c.g.(*simSocket); ok {
		return s.peer.took, c.Buffered() + len(s.peer.out)
	}
	return 0, c.Buffered()
}
