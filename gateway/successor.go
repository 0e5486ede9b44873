package gateway

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A gateway that drains keeps its worker port until a successor asks for it. A successor is another
// process started with the same Config.WorkerAddr and key. The old gateway then opens a port of its
// own for links, tells its workers that port, and closes the worker port. The successor tells its
// own workers, and they serve both gateways until the old one has drained. While the gateway that
// has the port does not drain, a successor gets the error that the port is in use.

var (
	errNotDraining = errors.New("gateway: the gateway that listens there is not draining: stop it first")
	errSameID      = errors.New("gateway: the gateway that listens there has the same Config.ID")
)

// takeOverTimeout bounds how long a successor waits for the port.
const takeOverTimeout = 5 * time.Second

// predecessor is a gateway on this host that drains.
type predecessor struct {
	id   uint32
	port uint16 // its port for links
}

// drain returns the frame that tells a worker the port for links of a draining gateway.
func (p predecessor) drain() *link.Frame {
	return &link.Frame{Type: link.Drain, ID: p.id, Code: p.port}
}

// listenOrTakeOver opens the worker port. If a draining gateway has the port, it takes it over.
func (n *workerPort) listenOrTakeOver() error {
	ln, err := net.Listen("tcp", n.g.cfg.WorkerAddr)
	if errors.Is(err, syscall.EADDRINUSE) {
		old, conn, asked := n.takeOverPort()
		if asked != nil {
			return fmt.Errorf("%w (takeover failed: %w)", inUse(err), asked)
		}
		if ln, err = net.Listen("tcp", n.g.cfg.WorkerAddr); err != nil {
			_ = conn.Close()
			return inUse(err)
		}
		n.peers[conn] = struct{}{}
		n.wg.Add(1)
		go n.follow(old, conn)
	}
	n.ln = ln
	return err
}

// takeOverPort asks the gateway that has the worker port for it. The connection stays open as long
// as that gateway drains.
func (n *workerPort) takeOverPort() (predecessor, net.Conn, error) {
	conn, err := net.DialTimeout("tcp", n.g.cfg.WorkerAddr, takeOverTimeout)
	if err != nil {
		return predecessor{}, nil, err
	}
	conn = n.g.cfg.LinkTLS.dialled(conn, n.g.cfg.WorkerAddr)
	old, err := n.ask(conn)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return predecessor{}, nil, err
	}
	return old, conn, nil
}

func (n *workerPort) ask(conn net.Conn) (old predecessor, err error) {
	hello, err := link.Connect(conn, n.g.cfg.Key, link.WorkerHello{
		Role: link.RoleSuccessor, Loop: link.AnyLoop, Name: n.g.cfg.Name,
	})
	if err != nil {
		return old, err
	}
	if hello.ID == n.g.cfg.ID {
		return old, errSameID
	}
	if err := conn.SetDeadline(time.Now().Add(takeOverTimeout)); err != nil {
		return old, err
	}
	b := make([]byte, link.HeaderSize)
	if _, err := io.ReadFull(conn, b); err != nil {
		return old, err
	}
	var f link.Frame
	if _, err := link.Next(b, link.MaxFrame, &f); err != nil {
		return old, err
	}
	if f.Type != link.Drain || f.Code == 0 {
		return old, link.ErrFrame
	}
	return predecessor{hello.ID, f.Code}, nil
}

// follow tells all workers of the predecessor until that has drained.
func (n *workerPort) follow(old predecessor, conn net.Conn) {
	defer n.wg.Done()
	n.g.log.Info("worker port taken over from a draining gateway", "addr", n.g.cfg.WorkerAddr,
		"gateway", old.id, "port", old.port)
	n.postToLoops(func(l *loop) {
		l.predecessor = old
		for _, k := range l.links {
			k.send(old.drain())
		}
	})
	_, _ = io.Copy(io.Discard, conn)
	n.forget(conn)
	n.postToLoops(func(l *loop) { l.predecessor = predecessor{} })
}

func (n *workerPort) postToLoops(f func(*loop)) {
	for _, l := range n.g.loops {
		_ = l.el.Post(func() { f(l) }) // it fails when the gateway stops
	}
}

// handOverPort gives the worker port to a successor, and keeps the connection to it until the drain
// is over.
func (n *workerPort) handOverPort(conn net.Conn) error {
	n.mu.Lock()
	port, err := n.move()
	if err == nil {
		n.peers[conn] = struct{}{}
	}
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("gateway: open a port for the drain: %w", err)
	}
	defer n.forget(conn)
	me := predecessor{n.g.cfg.ID, port}
	ask(n.g, func(l *loop) int {
		l.drainPort = port
		for _, k := range l.links {
			k.send(me.drain())
		}
		return 0
	})
	_ = n.ln.Close()
	n.g.log.Info("worker port given to a successor", "addr", n.g.cfg.WorkerAddr, "port", port)
	if _, err := conn.Write(link.Append(nil, me.drain())); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn) // the successor sends nothing more; its end closes the connection
	return nil
}

// move opens the port for links while the gateway drains. The caller holds mu.
func (n *workerPort) move() (port uint16, err error) {
	if n.handshaking == nil {
		return 0, net.ErrClosed
	}
	host, _, err := net.SplitHostPort(n.ln.Addr().String())
	if err != nil {
		return 0, err
	}
	if n.drainListener == nil {
		if n.drainListener, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			n.drainListener = nil
			return 0, err
		}
		n.wg.Add(1)
		go n.accept(n.drainListener)
	}
	_, text, err := net.SplitHostPort(n.drainListener.Addr().String())
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	return uint16(number), err
}

// forget closes the connection to another gateway.
func (n *workerPort) forget(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.peers, conn)
	_ = conn.Close()
}
