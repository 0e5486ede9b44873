package engine

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A dead peer is found after 150 s, as with the net package. The first probe is sent after 60 s of
// silence instead of 15 s: a client that is pinged every 25 s by a heartbeat needs no probes, and a
// probe costs as much as a ping.
const (
	keepAliveIdle     = 60 // seconds
	keepAliveInterval = 15 // seconds
	keepAliveCount    = 6
)

// listenConfig sets keep-alive once on the listening socket. Accepted sockets inherit it, which
// saves four system calls per connection.
func listenConfig() *net.ListenConfig {
	return &net.ListenConfig{
		KeepAlive: -1,
		Control: func(_, _ string, rc syscall.RawConn) (err error) {
			controlled := rc.Control(func(fd uintptr) { err = keepAlive(int(fd)) })
			if controlled != nil {
				return controlled
			}
			return err
		},
	}
}

func keepAlive(fd int) error {
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return err
		}
	}
	return nil
}
