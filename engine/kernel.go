package engine

import (
	"reflect"
	"slices"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/buffer/elastic"
	"golang.org/x/sys/unix"
)

// kernel does what a loop needs of a connection beyond gnet, which has no calls for it.
type kernel interface {
	// write passes p to the kernel and returns how many bytes it accepted.
	write(g gnet.Conn, p []byte) (int, error)
	// unread reads the bytes of a broken connection that are still in the kernel, up to slightly
	// more than bound, or nil. The descriptor must still be ours.
	unread(g gnet.Conn, bound int) []byte
	// arrived reports whether the kernel has unread input of the peer, or its FIN.
	arrived(g gnet.Conn) bool
	// taken returns how many bytes the peer's system has acknowledged, and how many of the bytes in
	// the kernel it has not.
	taken(g gnet.Conn) (acked uint64, unacked int)
	// held removes and returns the output that gnet holds.
	held(g gnet.Conn) []byte
	// detach returns the connection with which c continues when gnet closes its own.
	detach(c *Conn, g gnet.Conn) gnet.Conn
}

// system is the kernel of the operating system.
type system struct{}

func (system) write(g gnet.Conn, p []byte) (int, error) {
	for {
		n, err := unix.Write(g.Fd(), p)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}

func (system) unread(g gnet.Conn, bound int) (last []byte) {
	for len(last) < bound {
		last = slices.Grow(last, readBuffer)
		n, err := unix.Read(g.Fd(), last[len(last):cap(last)])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			break
		}
		last = last[:len(last)+n]
	}
	if len(last) == 0 {
		return nil
	}
	return last
}

func (system) arrived(g gnet.Conn) bool {
	var b [1]byte
	_, _, err := unix.Recvfrom(g.Fd(), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil
}

// held returns nothing if gnet's internal structure is not the expected one: gnet has no call for
// this.
func (system) held(g gnet.Conn) (held []byte) {
	defer func() {
		if recover() != nil {
			held = nil
		}
	}()
	field := reflect.ValueOf(g).Elem().FieldByName("outboundBuffer")
	if field.Type() != reflect.TypeFor[elastic.Buffer]() {
		return nil
	}
	buffer := (*elastic.Buffer)(field.Addr().UnsafePointer())
	held = make([]byte, buffer.Buffered())
	n, _ := buffer.Read(held)
	return held[:n]
}

// detach uses gnet's descriptor until c needs its own.
func (system) detach(c *Conn, g gnet.Conn) gnet.Conn { return &half{conn: c, fd: g.Fd()} }
