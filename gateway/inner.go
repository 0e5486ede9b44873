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

// inner is where workers connect. Its goroutine accepts; each hello has a goroutine of its own. Of those that have not proved themselves there are so many that their
// descriptors are among the reserved ones. When that is reached, the address that has most of them loses its oldest, if that has had its fair time: strangers
// who say nothing keep out nobody but themselves.
type inner struct {
	// Static after listenInner.
	g  *Gateway
	ln net.Listener

	hellos chan struct{} // one token a hello
	wg     sync.WaitGroup
	mu     sync.Mutex
	early  map[net.Conn]early    // guarded by mu: connections in their hello; nil after close; bound: hellos on the inner port
	moved  net.Listener          // guarded by mu: where links are taken once a successor has the port
	peers  map[net.Conn]struct{} // guarded by mu: connections to gateways, a successor or predecessor; bound: links that have proved
}

// early is a peer that has not proved itself.
type early struct {
	from  netip.Addr
	since time.Time
}

func (g *Gateway) listenInner() (*inner, error) {
	n := &inner{
		g: g, hellos: make(chan struct{}, max(g.reserve/2, 4)),
		early: make(map[net.Conn]early), peers: make(map[net.Conn]struct{}),
	}
	if err := n.listenOrSucceed(); err != nil {
		return nil, &ListenError{"Inner", g.cfg.Inner, err}
	}
	n.wg.Add(1)
	go n.accept(n.ln)
	return n, nil
}

// accept runs until the listener is closed. Whatever else accept says (no descriptors, no memory) passes.
func (n *inner) accept(ln net.Listener) {
	defer n.wg.Done()
	for {
		n.room()
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

// room takes a token for a hello.
func (n *inner) room() {
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
func (n *inner) evict() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := make(map[netip.Addr]int)
	for _, e := range n.early {
		count[e.from]++
	}
	var worst net.Conn
	var age time.Duration
	for conn, e := range n.early {
		w := n.early[worst]
		if worst == nil || count[e.from] > count[w.from] || count[e.from] == count[w.from] && e.since.Before(w.since) {
			worst, age = conn, time.Since(e.since)
		}
	}
	if worst == nil || age < fairHello {
		return max(fairHello-age, time.Millisecond)
	}
	delete(n.early, worst)
	_ = worst.Close() // its hello fails
	return fairHello
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
	if err == nil {
		err = n.admit(conn, hello, to)
	}
	if err != nil {
		_ = conn.Close()
		n.g.refusedPeers.Add(1)
		if n.g.complain.Allow() {
			n.g.log.Warn("peer refused on the inner port", "remote", conn.RemoteAddr().String(), "err", err)
		}
	}
}

// admit gives the connection of a peer that has proved itself to whom it is for.
func (n *inner) admit(conn net.Conn, hello link.WorkerHello, to *loop) error {
	switch hello.Role {
	case link.RoleProbe:
		_ = conn.Close()
		return nil
	case link.RoleSuccessor:
		return n.yield(conn)
	case link.RolePeer:
		return n.g.engine.Enroll(to.el, conn, newInLink(to, hello), engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 10, OwnBound: true})
	}
	if err := checkWindow(hello.Window); err != nil {
		refuse(conn, err)
		return err
	}
	return n.g.engine.Enroll(to.el, conn, newWorkerLink(to, hello), engine.ConnOptions{
		MaxInput: maxLinkInput, MaxOutput: maxLinkOutput(hello.Window), Retain: true, OwnBound: true,
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
	n.early[conn] = early{addressOf(conn), time.Now()}
	return true
}

func (n *inner) leave(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.early, conn)
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

// greet answers a worker that has proved itself.
func (g *Gateway) greet(h link.WorkerHello) (link.GatewayHello, *loop, error) {
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
func (n *inner) close() {
	_ = n.ln.Close()
	n.mu.Lock()
	early := n.early
	n.early = nil
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
