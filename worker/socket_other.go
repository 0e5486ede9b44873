//go:build !unix

package worker

import (
	"net"
	"sync/atomic"
)

// poll returns conn itself on systems without poll(2).
func poll(conn net.Conn, _ *atomic.Int32) net.Conn { return conn }
