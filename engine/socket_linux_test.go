package engine

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Accepted sockets inherit the keep-alive of the listening socket: a peer that is silent for a
// while is not probed, and a dead peer is found within 150 s.
func TestAcceptedSocketsAreKeptAlive(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	type option struct{ level, name, value int }
	got := make(chan option, 4)
	options := []option{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15}, {unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 6},
	}
	ln := serve(t, e, funcs{open: func(c *Conn) {
		for _, o := range options {
			o.value, _ = unix.GetsockoptInt(c.g.Fd(), o.level, o.name)
			got <- o
		}
	}}, ListenOptions{})
	dial(t, ln)
	for _, want := range options {
		if o := receive(t, got); o != want {
			t.Errorf("option %d of level %d is %d, not %d", o.name, o.level, o.value, want.value)
		}
	}
}
