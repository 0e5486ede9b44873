package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// minHelloTime is how long a peer may always take for its hello while others wait. The timeout of
// link.Accept is 5 s.
const minHelloTime = 250 * time.Millisecond

// workerPort is where workers connect. One goroutine accepts, and each hello has its own. The
// number of unauthenticated peers is bounded, so that their file descriptors are among the reserved
// ones. At the bound, the oldest peer of the address that has most is closed, if minHelloTime has
// passed. So silent strangers keep out only peers of their own address.
type workerPort struct {
	// Static after listenWorkerPort.
	g  *Gateway
	ln net.Listener

	hellos chan struct{} // one token per hello
	wg     sync.WaitGroup
	mu     sync.Mutex
	// handshaking has the connections in their hello. Guarded by mu; nil after close.
	handshaking   map[net.Conn]handshaking // bound: hellos on the worker port
	drainListener net.Listener             // guarded by mu: for links, after a successor has taken the port
	// peers has the connections to a successor or predecessor. Guarded by mu.
	peers map[net.Conn]struct{} // bound: links that have proved
}

// handshaking is a peer that has not authenticated yet.
type handshaking struct {
	from  netip.Addr
	since time.Time
}

func (g *Gateway) listenWorkerPort() (*workerPort, error) {
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

// accept runs until the listener is closed. Other errors of Accept are temporary, such as a lack of
// file descriptors or memory.
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
		if n.g.strangerLogs.Allow() {
			n.g.log.Warn("accept on the worker port failed", "err", err)
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

// evict closes the oldest peer of the address that has most, if minHelloTime has passed for it. It
// returns the time until the next attempt.
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
	if worst == nil || age < minHelloTime {
		return max(minHelloTime-age, time.Millisecond)
	}
	delete(n.handshaking, worst)
	_ = worst.Close() // its hello fails
	return minHelloTime
}

// hello authenticates a peer, and registers its connection with the loop that it is for.
func (n *workerPort) hello(raw net.Conn) {
	defer n.wg.Done()
	defer func() { <-n.hellos }()
	if !n.admit(raw) {
		_ = raw.Close()
		return
	}
	conn := raw
	if c := n.g.cfg.LinkTLS; c != nil {
		conn = engine.TLSServer(raw, c.Server) // its handshake is a part of the hello
	}
	var to *loop
	hello, err := link.Accept(conn, n.g.cfg.Key, func(h link.WorkerHello) (link.GatewayHello, error) {
		answer, l, err := n.g.acceptWorker(h)
		to = l
		return answer, err
	})
	n.release(raw)
	if err == nil {
		err = n.serve(conn, hello, to)
	}
	if err != nil {
		_ = conn.Close()
		n.g.authFailures.Add(1)
		if n.g.strangerLogs.Allow() {
			n.g.log.Warn("peer rejected on the worker port", "remote", conn.RemoteAddr().String(), "err", err)
		}
	}
}

// serve registers the connection of an authenticated peer according to its role.
func (n *workerPort) serve(conn net.Conn, hello link.WorkerHello, to *loop) error {
	switch hello.Role {
	case link.RoleProbe:
		_ = conn.Close()
		return nil
	case link.RoleSuccessor:
		return n.handOverPort(conn)
	case link.RolePeer:
		return n.g.engine.Register(to.el, conn, newInLink(to, hello), engine.ConnOptions{
			MaxInput: maxLinkInput, MaxOutput: maxPeerOutput, ExcludeFromBudget: true,
		})
	}
	if hello.Role == link.RolePublisher {
		hello.Window = minWindow // it gets no events
	}
	if err := checkWindow(hello.Window); err != nil {
		refuse(conn, err)
		return err
	}
	return n.g.engine.Register(to.el, conn, newWorkerLink(to, hello), engine.ConnOptions{
		MaxInput: maxLinkInput, MaxOutput: maxLinkOutput(hello.Window), Retain: true, ExcludeFromBudget: true,
	})
}

// refuse sends an authenticated peer the reason why it is refused.
func refuse(conn net.Conn, why error) {
	_ = conn.SetWriteDeadline(time.Now().Add(minHelloTime))
	f := link.Frame{Type: link.GoAway, Code: uint16(link.Refused), Payload: []byte(why.Error())}
	_, _ = conn.Write(link.Append(nil, &f))
}

// maxLinkInput bounds a link's input that has not been applied, in bytes: a unit and the frame
// after it.
const maxLinkInput = 2 * link.MaxFrame

// maxPeerOutput bounds the output that waits for another gateway, in bytes: confirmations,
// heartbeats, and the names of a few hundred sets.
const maxPeerOutput = 1 << 20

var (
	errNoKey = errors.New("gateway: without a key (--key-file) only peers of this machine are accepted")
	errLoop  = errors.New("gateway: there is no such loop")
)

// admit notes a connection in its hello. It reports false if the peer may not connect.
func (n *workerPort) admit(conn net.Conn) bool {
	if len(n.g.cfg.Key) == 0 && !loopback(conn.RemoteAddr()) {
		if n.g.strangerLogs.Allow() {
			n.g.log.Warn("peer rejected on the worker port", "remote", conn.RemoteAddr().String(), "err", errNoKey)
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

// addressOf is the IP address of a peer.
func addressOf(conn net.Conn) netip.Addr {
	ap, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return ap.Addr().Unmap()
}

// acceptWorker answers the hello of an authenticated peer, and chooses its loop.
func (g *Gateway) acceptWorker(h link.WorkerHello) (link.GatewayHello, *loop, error) {
	if h.Role == link.RoleSuccessor && !g.givesPort.Load() {
		return link.GatewayHello{}, nil, errNotDraining
	}
	i := h.Loop
	switch {
	case h.Role == link.RolePeer:
		// One loop of the other gateway always gets the same loop.
		i = uint16(binary.BigEndian.Uint32(h.ID[4:]) % uint32(len(g.loops)))
	case i == link.AnyLoop:
		i = 0
	}
	if int(i) >= len(g.loops) {
		return link.GatewayHello{}, nil, errLoop
	}
	return link.GatewayHello{
		Invokes: g.cfg.OnInvoke != nil, Reports: g.cfg.OnStats != nil, Narrows: g.interest != nil, Blocks: true,
		Shares: g.cfg.OnInvoke != nil && g.cfg.SharedInvoke,
		ID:     g.cfg.ID, Epoch: g.epoch, Loops: uint16(len(g.loops)), Loop: i,
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
	if n.drainListener != nil {
		_ = n.drainListener.Close()
	}
	n.mu.Unlock()
	n.wg.Wait()
}

// Bounds of a worker's window, in bytes. A window smaller than its messages lets one message
// through at a time.
const (
	minWindow = 1
	maxWindow = 256 << 20
)

// checkWindow reports an error if the window is too large for the gateway's memory, or is 0.
func checkWindow(n uint32) error {
	if n < minWindow || n > maxWindow {
		return fmt.Errorf("gateway: window of %d bytes: must be between %d and %d", n, minWindow, maxWindow)
	}
	return nil
}

// maxLinkOutput bounds the output that waits for a worker, in bytes: a window of messages, a large
// message outside it, attachments and replies.
func maxLinkOutput(window uint32) int { return 2*int(window) + link.MaxFrame }
