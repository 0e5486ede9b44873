package bench

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// latePort lets the kernel choose the local port when the connection is made and not when its address is bound: then a port serves once per server address and
// not once in all (ip(7), IP_BIND_ADDRESS_NO_PORT).
func latePort(_, _ string, c syscall.RawConn) error {
	return setOption(c, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}
