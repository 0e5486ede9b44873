package engine

import (
	"reflect"
	"slices"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/buffer/elastic"
	"golang.org/x/sys/unix"
)

// kernel is what a loop asks of a connection past gnet, which has no calls for it.
type kernel interface {
	// write gives the kernel what it takes of p now, and returns how much that is.
	write(g gnet.Conn, p []byte) (int, error)
	// unread returns what the kernel still has from the peer of a broken connection whose descriptor
	// is still ours, at most some bytes more than bound; nil: nothing.
	unread(g gnet.Conn, bound int) []byte
	// arrived reports whether there is something of the peer's that has not been read, its end for example.
	arrived(g gnet.Conn) bool
	// taken returns how many bytes the peer's system has acknowledged, and how many of those that the
	// kernel has it has not.
	taken(g gnet.Conn) (acked uint64, unacked int)
	// held takes back what gnet has of the output.
	held(g gnet.Conn) []byte
	// detach returns what goes on for c without gnet when gnet closes its connection.
	detach(c *Conn, g gnet.Conn) gnet.Conn
}

// system is the kernel of the system.
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

// held finds nothing where gnet looks different inside than we know: it has no call for this.
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

// detach keeps gnet's descriptor, until we know that we need our own.
func (system) detach(c *Conn, g gnet.Conn) gnet.Conn { return &half{conn: c, fd: g.Fd()} }
