package gateway

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// fairHello is how long a peer may take over its hello while others wait; link.Accept gives it 5 s.
const fairHello = 250 * time.Millisecond

// workerPort is where workers connect. Its goroutine accepts; each hello has a goroutine of its own. Of those that have not proved themselves there are so many that their
// descriptors are among the reserved ones. When that is reached, the address that has most of them loses its oldest, if that has had its fair time: strangers
// who say nothing keep out nobody but themselves.
type workerPort struct {
	// Static after listenInner.
	g  *Gateway
	ln net.Listener

	hellos      chan struct{} // one token a hello
	wg          sync.WaitGroup
	mu          sync.Mutex
	handshaking map[net.Conn]handshaking // guarded by mu: connections in their hello; nil after close; bound: hellos on the inner port
	moved       net.Listener             // guarded by mu: where links are taken once a successor has the port
	peers       map[net.Conn]struct{}    // guarded by mu: connections to gateways, a successor or predecessor; bound: links that have proved
}

// handshaking is a peer that has not proved itself.
type handshaking struct {
	from  netip.Addr
	since time.Time
}

func (g *Gateway) listenInner() (*workerPort, error) {
	n := &workerPort{
		g: g, hellos: make(chan struct{}, max(g.reserve/2, 4)),
		handshaking: make(map[net.Conn]handshaking), peers: make(map[net.Conn]struct{}),
	}
	if err := n.listenOrTakeOver(); err != nil {
		return nil, &ListenError{"WorkerAddr", g.cfg.WorkerAddr, err}
	}
	n.wg.Add(1)
	go n.accept(n.ln)
	return n, nil
}

// accept runs until the listener is closed. Whatever else accept says (no descriptors, no memory) passes.
func (n *workerPort) accept(ln net.Listener) {
	defer n.wg.Done()
	for {
		n.takeToken()
		conn, err := ln.Accept()
		if err == nil {
			n.wg.Add(1)
			go n.hello(conn)
			continue
		}
		<-n.hellos
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if n.g.complain.Allow() {
			n.g.log.Warn("accept of a worker failed", "err", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// takeToken takes a token for a hello.
func (n *workerPort) takeToken() {
	for {
		select {
		case n.hellos <- struct{}{}:
			return
		default:
		}
		pause := time.NewTimer(n.evict())
		select {
		case n.hellos <- struct{}{}:
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// evict cuts the oldest peer of the address that has most, if it has had its fair time. It returns when to try again.
func (n *workerPort) evict() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := make(map[netip.Addr]int)
	for _, e := range n.handshaking {
		count[e.from]++
	}
	var worst net.Conn
	var age time.Duration
	for conn, e := range n.handshaking {
		w := n.handshaking[worst]
		if worst == nil || count[e.from] > count[w.from] || count[e.from] == count[w.from] && e.since.Before(w.since) {
			worst, age = conn, time.Since(e.since)
		}
	}
	if worst == nil || age < fairHello {
		return max(fairHello-age, time.Millisecond)
	}
	delete(n.handshaking, worst)
	_ = worst.Close() // its hello fails
	return fairHello
}

// hello lets a worker prove itself, and gives its connection to the loop it is for.
func (n *workerPort) hello(conn net.Conn) {
	defer n.wg.Done()
	defer func() { <-n.hellos }()
	if !n.admit(conn) {
		_ = conn.Close()
		return
	}
	var to *loop
	hello, err := link.Accept(conn, n.g.cfg.Key, func(h link.WorkerHello) (link.GatewayHello, error) {
		answer, l, err := n.g.acceptWorker(h)
		to = l
		return answer, err
	})
	n.release(conn)
	if err == nil {
		err = n.serve(conn, hello, to)
	}
	if err != nil {
		_ = conn.Close()
		n.g.authFailures.Add(1)
		if n.g.complain.Allow() {
			n.g.log.Warn("peer refused on the inner port", "remote", conn.RemoteAddr().String(), "err", err)
		}
	}
}

// serve gives the connection of a peer that has proved itself to whom it is for.
func (n *workerPort) serve(conn net.Conn, hello link.WorkerHello, to *loop) error {
	switch hello.Role {
	case link.RoleProbe:
		_ = conn.Close()
		return nil
	case link.RoleSuccessor:
		return n.handOverPort(conn)
	case link.RolePeer:
		return n.g.engine.Register(to.el, conn, newInLink(to, hello), engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10, ExcludeFromBudget: true})
	}
	if err := checkWindow(hello.Window); err != nil {
		refuse(conn, err)
		return err
	}
	return n.g.engine.Register(to.el, conn, newWorkerLink(to, hello), engine.ConnOptions{
		MaxInput: maxLinkInput, MaxOutput: maxLinkOutput(hello.Window), Retain: true, ExcludeFromBudget: true,
	})
}

// refuse tells a peer that has proved itself why it is refused all the same.
func refuse(conn net.Conn, why error) {
	_ = conn.SetWriteDeadline(time.Now().Add(fairHello))
	_, _ = conn.Write(link.Append(nil, &link.Frame{Type: link.GoAway, Code: uint16(link.Refused), Payload: []byte(why.Error())}))
}

// maxLinkInput bounds what of a link has been read and not applied: a unit and the frame after it, in bytes.
const maxLinkInput = 2 * link.MaxFrame

var (
	errNoKey = errors.New("gateway: no key (--key-file), so workers of this machine only")
	errLoop  = errors.New("gateway: no such loop")
)

// admit notes a connection in its hello, unless it must not have one.
func (n *workerPort) admit(conn net.Conn) bool {
	if len(n.g.cfg.Key) == 0 && !loopback(conn.RemoteAddr()) {
		if n.g.complain.Allow() {
			n.g.log.Warn("peer refused on the inner port", "remote", conn.RemoteAddr().String(), "err", errNoKey)
		}
		n.g.authFailures.Add(1)
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handshaking == nil {
		return false
	}
	n.handshaking[conn] = handshaking{addressOf(conn), time.Now()}
	return true
}

func (n *workerPort) release(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.handshaking, conn)
}

func loopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// addressOf is where a peer comes from.
func addressOf(conn net.Conn) netip.Addr {
	ap, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return ap.Addr().Unmap()
}

// acceptWorker answers a worker that has proved itself.
func (g *Gateway) acceptWorker(h link.WorkerHello) (link.GatewayHello, *loop, error) {
	if h.Role == link.RoleSuccessor && !g.yields.Load() {
		return link.GatewayHello{}, nil, errNotDraining
	}
	i := h.Loop
	switch {
	case h.Role == link.RolePeer:
		i = uint16(binary.BigEndian.Uint32(h.ID[4:]) % uint32(len(g.loops))) // the same for each of its loops, always
	case i == link.AnyLoop:
		i = 0
	}
	if int(i) >= len(g.loops) {
		return link.GatewayHello{}, nil, errLoop
	}
	return link.GatewayHello{
		ID: g.cfg.ID, Epoch: g.epoch, Loops: uint16(len(g.loops)), Loop: i,
		MaxFrame: link.MaxFrame, Heartbeat: g.cfg.LinkHeartbeat, Name: g.cfg.Name, Advertise: g.cfg.Advertise,
	}, g.loops[i], nil
}

// close ends the listeners and all hellos, and waits for their goroutines.
func (n *workerPort) close() {
	_ = n.ln.Close()
	n.mu.Lock()
	early := n.handshaking
	n.handshaking = nil
	for conn := range early {
		_ = conn.Close()
	}
	for conn := range n.peers {
		_ = conn.Close()
	}
	if n.moved != nil {
		_ = n.moved.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
}
