package engine

import (
	"reflect"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

const readEvents = unix.EPOLLIN | unix.EPOLLPRI

// poller changes the events that epoll reports for a conn. gnet has no call for this, so its epoll
// descriptor is looked up once per loop. It works with gnet's default build, which is
// level-triggered.
type poller struct{ epoll int } // -1: gnet's internal structure is not the expected one

func pollerOf(g gnet.Conn) (p poller) {
	defer func() {
		if recover() != nil {
			p.epoll = -1
		}
	}()
	field := reflect.ValueOf(g).Elem().FieldByName("loop").Elem().FieldByName("poller").Elem().FieldByName("fd")
	return poller{int(field.Int())}
}

// pause stops reading. gnet enables reading again when a write newly finds the socket full, and
// when its buffer has been sent. block corrects the first at once. checkBlocked, or the one read
// that comes before it, corrects the second. Both can happen only with output that gnet had before
// the pause: later output does not go through gnet (see Conn.write).
func (p poller) pause(c *Conn) { p.set(c, 0) }

func (p poller) resume(c *Conn) { p.set(c, readEvents) }

func (p poller) set(c *Conn, events uint32) {
	if p.epoll < 0 || c.g == nil || c.peer.ended() {
		return // Pause then only delays OnData, and input is kept up to MaxInput
	}
	if socketOf(c.g).OutboundBuffered() > 0 { // gnet has output
		events |= unix.EPOLLOUT
	}
	fd := c.g.Fd()
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Fd: int32(fd), Events: events})
}
