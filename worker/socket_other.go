//go:build !unix

package worker

import "net"

// takeOver leaves a connection to the net package where there is no poll(2).
func takeOver(conn net.Conn) stream { return conn }
