//go:build !linux

package engine

import "github.com/panjf2000/gnet/v2"

// taken returns 0: the numbers are not known on this system.
func (system) taken(gnet.Conn) (acked uint64, unacked int) { return 0, 0 }

// unsentBytes returns 0: the number is not known on this system, so only the bytes that the kernel
// accepts show a peer's progress.
func unsentBytes(int) int { return 0 }
