package engine

import (
	"reflect"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

const readEvents = unix.EPOLLIN | unix.EPOLLPRI

// poller changes what epoll reports of a conn. gnet has no such call, so its
// epoll descriptor is looked up once per loop. Level-triggered, default build.
type poller struct{ epoll int } // -1: gnet looks different inside than we know

func pollerOf(g gnet.Conn) (p poller) {
	defer func() {
		if recover() != nil {
			p.epoll = -1
		}
	}()
	field := reflect.ValueOf(g).Elem().FieldByName("loop").Elem().FieldByName("poller").Elem().FieldByName("fd")
	return poller{int(field.Int())}
}

// pause stops reading. gnet itself turns it on again when a write newly finds
// the socket full and when its buffer has drained. The former is seen at once, by
// block; the latter by checkBlocked or by the one read that comes before it. Either comes of what
// gnet had before the pause: what is written after it goes past gnet (Conn.write).
func (p poller) pause(c *Conn) { p.set(c, 0) }

func (p poller) resume(c *Conn) { p.set(c, readEvents) }

func (p poller) set(c *Conn, events uint32) {
	if p.epoll < 0 || c.g == nil || c.peer != peerSends {
		return // then Pause holds OnData back, and input piles up to MaxInput
	}
	if c.g.OutboundBuffered() > 0 {
		events |= unix.EPOLLOUT
	}
	fd := c.g.Fd()
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_MOD, fd, &unix.EpollEvent{Fd: int32(fd), Events: events})
}
