package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	firstBackoff   = 5 * time.Millisecond // when descriptors or memory run out
	lastBackoff    = 100 * time.Millisecond
	maxRegistering = 512 // conns that are being registered with a loop
)

// ListenOptions configures a Listener.
type ListenOptions struct {
	Conn ConnOptions
	// Accept makes the Handler of a connection, or returns nil to refuse it. It
	// runs on the accept goroutine.
	Accept func(remote netip.AddrPort) Handler
	// Proxy is about proxies in front of the listener. Nil means that there are none. OnOpen of a
	// connection of a trusted proxy is called when its header was read or is known to be missing.
	// A Handler whose connection ends earlier, or is refused, receives nothing.
	Proxy    *ProxyOptions
	MaxConns int // Open at once. Zero means no limit.
	MaxPerIP int // Open at once from one IPv4 address or IPv6 /64. Zero means no limit.
	// ConnectRate is how many may come in a second from one IPv4 address or IPv6
	// /64, and twice as many at once. Zero means no limit.
	ConnectRate int
	// TLS makes the connections TLS connections. Their Handlers see plaintext only. MaxOutput and
	// the other limits count plaintext until it is sealed at the end of the turn, and then what the
	// kernel has not accepted of the sealed bytes.
	TLS *TLSOptions
	// Reserve is how many of the process's descriptors are left for other uses, at most half of
	// them. When no more are free, new connections wait in the kernel's queue.
	Reserve int
}

// ListenerStats contains the counters of a Listener since Listen.
type ListenerStats struct {
	Conns        int    // open now
	Accepted     uint64 // handed to a loop
	OverMaxConns uint64 // refused
	OverMaxPerIP uint64 // refused
	OverRate     uint64 // refused
	Refused      uint64 // Accept returned nil
	Failed       uint64 // could not be registered with a loop
	Backoffs     uint64 // waits because descriptors or memory ran out
	// ProxyHeaders are headers of trusted proxies. ProxyHeadersInvalid are trusted proxies that were
	// closed because their header was invalid or did not come. ProxyHeadersIgnored are headers of
	// other peers, which were skipped. ProxiesUntrusted are other peers that were refused because a
	// header is required.
	ProxyHeaders, ProxyHeadersInvalid, ProxyHeadersIgnored, ProxiesUntrusted uint64
	TLS                                                                      TLSStats
}

// Listener accepts connections and distributes them over the loops.
type Listener struct {
	// Static after Listen.
	engine *Engine
	socket net.Listener
	accept func(netip.AddrPort) Handler
	maxFD  uint64        // higher descriptors are left for other uses
	tls    *handshakes   // nil: no TLS
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the accept goroutine has ended

	limits atomic.Pointer[listenLimits] // what it points to is static, except for rate

	// Owned by the accept goroutine.
	registering []registration // oldest first; bound: connections between

	mu     sync.Mutex
	closed bool // Guarded by mu.
	conns  int  // Guarded by mu. Open now.
	// perIP counts the open connections by address, those that came while there was a limit.
	// Guarded by mu.
	perIP map[netip.Addr]int // bound: connections of a listener
	stats ListenerStats      // Guarded by mu.
}

type registration struct {
	conn   *Conn
	result <-chan gnet.RegisteredResult // bound: none, of one
}

// Listen accepts on network tcp, tcp4 or tcp6. Port 0 picks a free one.
func (e *Engine) Listen(network, addr string, o ListenOptions) (*Listener, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("engine: failed to listen: %w", net.UnknownNetworkError(network))
	}
	if o.Accept == nil {
		return nil, errors.New("engine: ListenOptions.Accept is nil")
	}
	limits, err := o.limits()
	if err != nil {
		return nil, err
	}
	s, err := listenConfig().Listen(context.Background(), network, addr)
	if err != nil {
		return nil, fmt.Errorf("engine: failed to listen: %w", err)
	}
	ln := &Listener{
		engine: e,
		socket: s,
		accept: o.Accept,
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
		maxFD:  descriptorLimit(o.Reserve),
		perIP:  make(map[netip.Addr]int),
	}
	ln.limits.Store(limits)
	if limits.tls != nil {
		ln.tls = newHandshakes(ln)
	}
	e.mu.Lock()
	if e.stopping {
		e.mu.Unlock()
		s.Close()
		return nil, ErrStopped
	}
	e.listeners[ln] = struct{}{}
	e.mu.Unlock()
	go ln.run()
	return ln, nil
}

// Addr returns the address of the listener, with the actual port.
func (ln *Listener) Addr() net.Addr { return ln.socket.Addr() }

// Close stops listening. Accepted connections stay open.
func (ln *Listener) Close() error {
	ln.mu.Lock()
	if ln.closed {
		ln.mu.Unlock()
		<-ln.done
		return nil
	}
	ln.closed = true
	ln.mu.Unlock()
	close(ln.stop)
	err := ln.socket.Close()
	<-ln.done
	ln.engine.mu.Lock()
	delete(ln.engine.listeners, ln)
	ln.engine.mu.Unlock()
	return err
}

// Stats returns the current stats.
func (ln *Listener) Stats() ListenerStats {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	s := ln.stats
	s.Conns = ln.conns
	if ln.tls != nil {
		s.TLS.Handshaking = len(ln.tls.open)
	}
	return s
}

// run is the accept goroutine.
func (ln *Listener) run() {
	defer close(ln.done)
	defer ln.collectRegistrations(0)
	defer ln.tls.end()
	backoff := firstBackoff
	for {
		nc, err := ln.socket.Accept()
		if err == nil {
			backoff = firstBackoff
			tight := ln.nearDescriptorLimit(nc)
			if tight && !ln.awaitDescriptor(nc) {
				nc.Close()
				return
			}
			ln.admit(nc)
			if tight {
				ln.collectRegistrations(0) // before the next accept takes the descriptor that it needs
			}
			continue
		}
		switch {
		case exhausted(err):
			ln.update(func(s *ListenerStats) { s.Backoffs++ })
			if !ln.sleep(backoff) {
				return
			}
			backoff = min(2*backoff, lastBackoff)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			ln.engine.cfg.Logger.Warn("accept failed", "addr", ln.Addr(), "err", err)
			if !ln.sleep(lastBackoff) {
				return
			}
		}
	}
}

// admit registers nc with a loop or closes it.
func (ln *Listener) admit(nc net.Conn) {
	remote, limits := remoteOf(nc), ln.limits.Load()
	trusted := ln.trusts(remote)
	if p := limits.proxy; p != nil && p.Required && !trusted {
		ln.update(func(s *ListenerStats) { s.ProxiesUntrusted++ })
		p.Report(remote, ErrUntrustedProxy)
		nc.Close()
		return
	}
	if limits.handshakeRate != nil && !limits.handshakeRate.Allow() {
		ln.update(func(s *ListenerStats) { s.TLS.OverRate++ })
		nc.Close()
		return
	}
	counted, ok := ln.acquire(remote, limits, trusted)
	if !ok {
		nc.Close()
		return
	}
	h := ln.callAccept(remote)
	if h == nil {
		ln.update(func(s *ListenerStats) { s.Refused++ })
		ln.release(remote, counted)
		nc.Close()
		return
	}
	if ln.tls != nil {
		ln.tls.begin(handshaking{nc, remote, counted, h, limits})
		return
	}
	c := newConn(ln.engine.idlest(), h, &limits.conn, ln, remote)
	c.counted = counted
	if limits.proxy != nil {
		awaitHeader(c, limits.proxy, trusted)
	}
	result, err := ln.engine.register(c, nc, c)
	if err != nil {
		ln.registrationFailed(c)
		return
	}
	ln.registering = append(ln.registering, registration{c, result})
	ln.collectRegistrations(maxRegistering)
}

// callAccept calls Accept. A panic in Accept refuses the connection.
func (ln *Listener) callAccept(remote netip.AddrPort) (h Handler) {
	defer func() {
		if p := recover(); p != nil {
			ln.engine.cfg.Logger.Error("panic recovered", "in", "Accept", "panic", fmt.Sprint(p))
			h = nil
		}
	}()
	return ln.accept(remote)
}

// collectRegistrations processes the registrations that are complete, and waits for some until at
// most bound are in progress. No other goroutine needs their result sooner: a failed registration
// counts against the limits only for the next connection.
func (ln *Listener) collectRegistrations(bound int) {
	n := 0
	for _, e := range ln.registering {
		var r gnet.RegisteredResult
		if len(ln.registering)-n > bound {
			r = <-e.result
		} else {
			select {
			case r = <-e.result:
			default:
				ln.registering = slices.Delete(ln.registering, 0, n)
				return
			}
		}
		n++
		if err := ln.engine.registered(e.conn, r); err != nil {
			ln.registrationFailed(e.conn)
		} else {
			ln.update(func(s *ListenerStats) { s.Accepted++ })
		}
	}
	clear(ln.registering)
	ln.registering = ln.registering[:0]
}

func (ln *Listener) registrationFailed(c *Conn) {
	ln.update(func(s *ListenerStats) { s.Failed++ })
	ln.release(c.remote, c.counted)
}

func (ln *Listener) update(f func(*ListenerStats)) {
	ln.mu.Lock()
	f(&ln.stats)
	ln.mu.Unlock()
}

func (ln *Listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ln.stop:
		return false
	}
}

// exhausted reports whether err goes away when other descriptors or memory are released.
func exhausted(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
