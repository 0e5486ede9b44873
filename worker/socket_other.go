//go:build !unix

package worker

import (
	"net"
	"sync/atomic"
)

// poll returns the connection as it is where there is no poll(2).
func poll(conn net.Conn, _ *atomic.Int32) net.Conn { return conn }
