package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sluice/engine"
	"sluice/internal/link"
)

// maxHellos bounds the peers that have not proved themselves yet; more wait in the kernel's queue.
const maxHellos = 64

// inner is where workers connect. Its goroutine accepts; each hello has a goroutine of its own for at most the 5 s that link.Accept takes.
type inner struct {
	g  *Gateway
	ln net.Listener

	hellos chan struct{} // one token a hello
	wg     sync.WaitGroup
	mu     sync.Mutex
	early  map[net.Conn]struct{} // guarded by mu: connections in their hello; nil after close
}

func (g *Gateway) listenInner() (*inner, error) {
	ln, err := net.Listen("tcp", g.cfg.Inner)
	if err != nil {
		return nil, fmt.Errorf("gateway: listen for workers: %w", err)
	}
	n := &inner{g: g, ln: ln, hellos: make(chan struct{}, maxHellos), early: make(map[net.Conn]struct{})}
	n.wg.Add(1)
	go n.accept()
	return n, nil
}

// accept runs until the listener is closed. Whatever else accept says (no descriptors, no memory) passes.
func (n *inner) accept() {
	defer n.wg.Done()
	for {
		n.hellos <- struct{}{}
		conn, err := n.ln.Accept()
		if err == nil {
			n.wg.Add(1)
			go n.hello(conn)
			continue
		}
		<-n.hellos
		if errors.Is(err, net.ErrClosed) {
			return
		}
		n.g.log.Warn("accept of a worker failed", "err", err)
		time.Sleep(50 * time.Millisecond)
	}
}

// hello lets a worker prove itself, and gives its connection to the loop it is for.
func (n *inner) hello(conn net.Conn) {
	defer n.wg.Done()
	defer func() { <-n.hellos }()
	if !n.enter(conn) {
		_ = conn.Close()
		return
	}
	var to *loop
	hello, err := link.Accept(conn, n.g.cfg.Key, func(h link.WorkerHello) (link.GatewayHello, error) {
		answer, l, err := n.g.greet(h)
		to = l
		return answer, err
	})
	n.leave(conn)
	if err == nil && hello.Role == link.RoleProbe {
		_ = conn.Close()
		return
	}
	if err == nil {
		k := newWorkerLink(to, hello)
		err = n.g.engine.Enroll(to.el, conn, k, engine.ConnOptions{
			MaxInput: maxLinkInput, MaxOutput: int(hello.Window)*2 + link.MaxFrame, Retain: true,
		})
	}
	if err != nil {
		_ = conn.Close()
		n.g.refusedPeers.Add(1)
		if n.g.complain.Allow() {
			n.g.log.Warn("peer refused on the inner port", "remote", conn.RemoteAddr().String(), "err", err)
		}
	}
}

// maxLinkInput bounds what of a link has been read and not applied: a unit and the frame after it, in bytes.
const maxLinkInput = 2 * link.MaxFrame

var (
	errNoKey = errors.New("gateway: no key, so loopback peers only")
	errLoop  = errors.New("gateway: no such loop")
)

// enter notes a connection in its hello, unless it must not have one.
func (n *inner) enter(conn net.Conn) bool {
	if len(n.g.cfg.Key) == 0 && !loopback(conn.RemoteAddr()) {
		if n.g.complain.Allow() {
			n.g.log.Warn("peer refused on the inner port", "remote", conn.RemoteAddr().String(), "err", errNoKey)
		}
		n.g.refusedPeers.Add(1)
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.early == nil {
		return false
	}
	n.early[conn] = struct{}{}
	return true
}

func (n *inner) leave(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.early, conn)
}

func loopback(a net.Addr) bool {
	if _, unix := a.(*net.UnixAddr); unix {
		return true
	}
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// greet answers a worker that has proved itself.
func (g *Gateway) greet(h link.WorkerHello) (link.GatewayHello, *loop, error) {
	i := h.Loop
	if i == link.AnyLoop {
		i = 0
	}
	if int(i) >= len(g.loops) {
		return link.GatewayHello{}, nil, errLoop
	}
	return link.GatewayHello{
		ID: g.cfg.ID, Epoch: g.epoch, Loops: uint16(len(g.loops)), Loop: i,
		MaxFrame: link.MaxFrame, Heartbeat: g.cfg.LinkHeartbeat, Name: g.cfg.Name,
	}, g.loops[i], nil
}

// close ends the listener and all hellos, and waits for their goroutines.
func (n *inner) close() {
	_ = n.ln.Close()
	n.mu.Lock()
	early := n.early
	n.early = nil
	for conn := range early {
		_ = conn.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
}
