package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// TLSStats contains the counters of the TLS handshakes of a Listener since Listen.
type TLSStats struct {
	Handshaking int    // in progress now
	Completed   uint64 // handed to a loop, or failed to be
	Resumed     uint64 // of Completed, those that continue an older session
	Failed      uint64 // because of the peer: no TLS, no common version or protocol, a broken connection
	TimedOut    uint64 // took longer than HandshakeTimeout
	Evicted     uint64 // ended, because there were MaxHandshakes
	OverRate    uint64 // refused
}

// handshakes are the TLS handshakes of a listener. Each has a goroutine until it ends. Then the
// connection is registered with a loop.
type handshakes struct {
	// Static after newHandshakes.
	ln    *Listener
	freed chan struct{} // a handshake has ended

	wg sync.WaitGroup
	// A registration takes a second descriptor for a moment. So their number is bounded, and near
	// the limit of descriptors there is one at a time.
	registering chan struct{} // one token for each; bound: connections between
	tight       sync.Mutex

	active int                    // guarded by ln.mu: goroutines
	open   map[net.Conn]handshake // guarded by ln.mu; nil after end; bound: handshakes of TLS
}

// handshake is one handshake in progress.
type handshake struct {
	from  netip.Addr
	since time.Time
}

// handshaking is an accepted connection before its TLS handshake. Owned by the goroutine that makes
// the handshake.
type handshaking struct {
	nc      net.Conn
	remote  netip.AddrPort
	counted bool // it counts for its address in the listener's limit
	to      Handler
	limits  *listenLimits // when it was accepted
}

// minHandshakeTime is how long a handshake may always take while others wait.
const minHandshakeTime = 250 * time.Millisecond

func newHandshakes(ln *Listener) *handshakes {
	return &handshakes{
		ln: ln, freed: make(chan struct{}, 1), open: make(map[net.Conn]handshake),
		registering: make(chan struct{}, maxRegistering),
	}
}

// begin starts the handshake of nc, and waits for a slot before. It is called by the accept
// goroutine.
func (h *handshakes) begin(a handshaking) {
	if !h.takeSlot(a.limits.tls.MaxHandshakes) {
		h.ln.release(a.remote, a.counted)
		a.nc.Close()
		return
	}
	h.ln.mu.Lock()
	h.open[a.nc] = handshake{origin(a.remote), time.Now()}
	h.ln.mu.Unlock()
	h.wg.Go(func() {
		defer h.freeSlot()
		h.run(&a)
	})
}

// takeSlot waits until there are fewer than most handshakes, and counts one more. It returns false
// if the listener was closed meanwhile.
func (h *handshakes) takeSlot(most int) bool {
	for {
		h.ln.mu.Lock()
		free := h.active < most
		if free {
			h.active++
		}
		h.ln.mu.Unlock()
		if free {
			return true
		}
		pause := time.NewTimer(h.evict())
		select {
		case <-h.freed:
		case <-h.ln.stop:
			pause.Stop()
			return false
		case <-pause.C:
		}
		pause.Stop()
	}
}

func (h *handshakes) freeSlot() {
	h.ln.mu.Lock()
	h.active--
	h.ln.mu.Unlock()
	select {
	case h.freed <- struct{}{}: // only the accept goroutine waits for it
	default:
	}
}

// evict ends the oldest handshake of the address that has most, if it has taken minHandshakeTime.
// It returns the time until the next attempt.
func (h *handshakes) evict() time.Duration {
	h.ln.mu.Lock()
	defer h.ln.mu.Unlock()
	count := make(map[netip.Addr]int)
	for _, e := range h.open {
		count[e.from]++
	}
	var worst net.Conn
	for nc, e := range h.open {
		w := h.open[worst]
		if worst == nil || count[e.from] > count[w.from] || count[e.from] == count[w.from] && e.since.Before(w.since) {
			worst = nc
		}
	}
	if worst == nil {
		return time.Millisecond // one is ending
	}
	if age := time.Since(h.open[worst].since); age < minHandshakeTime {
		return minHandshakeTime - age
	}
	delete(h.open, worst)
	h.ln.stats.TLS.Evicted++
	_ = worst.Close() // its handshake fails
	return minHandshakeTime
}

// run reads the header of a proxy, makes the handshake of a connection and registers it.
func (h *handshakes) run(a *handshaking) {
	ln, nc := h.ln, a.nc
	_ = nc.SetDeadline(time.Now().Add(a.limits.tls.HandshakeTimeout))
	if err := h.readProxyHeader(a); err != nil {
		ln.mu.Lock()
		delete(h.open, nc)
		ln.mu.Unlock()
		nc.Close()
		ln.release(a.remote, a.counted)
		return
	}
	t := TLSServer(nc, a.limits.tls.Config)
	t.records.cpu = ln.engine.cpu
	ln.engine.cpu <- struct{}{}
	err := t.Handshake()
	<-ln.engine.cpu
	h.answerHTTP(err)
	ln.mu.Lock()
	_, mine := h.open[nc]
	delete(h.open, nc)
	h.count(err, mine, err == nil && t.ConnectionState().DidResume)
	ln.mu.Unlock()
	if err != nil || !mine {
		nc.Close()
		ln.release(a.remote, a.counted)
		return
	}
	c := newConn(ln.engine.idlest(), a.to, &a.limits.conn, ln, a.remote)
	c.counted = a.counted
	if h.register(c, nc, newSecure(c, t)) != nil {
		ln.registrationFailed(c)
		return
	}
	ln.update(func(s *ListenerStats) { s.Accepted++ })
}

// register registers a connection with its loop.
func (h *handshakes) register(c *Conn, nc net.Conn, s *secure) error {
	h.registering <- struct{}{}
	defer func() { <-h.registering }()
	if h.ln.nearDescriptorLimit(nc) {
		h.tight.Lock()
		defer h.tight.Unlock()
	}
	result, err := h.ln.engine.register(c, nc, s)
	if err != nil {
		return err
	}
	return h.ln.engine.registered(c, <-result)
}

// count counts a handshake that has ended. mine is false if it was evicted or the listener was
// closed. Called with ln.mu.
func (h *handshakes) count(err error, mine, resumed bool) {
	n := &h.ln.stats.TLS
	switch {
	case !mine:
	case errors.Is(err, os.ErrDeadlineExceeded):
		n.TimedOut++
	case err != nil:
		n.Failed++
	default:
		n.Completed++
		if resumed {
			n.Resumed++
		}
	}
}

// answerHTTP answers a client that has sent an HTTP request without TLS, as package net/http does.
func (h *handshakes) answerHTTP(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil || !looksLikeHTTP(header.RecordHeader) {
		return
	}
	nc := header.Conn.(*records).socket
	_, _ = io.WriteString(nc, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
	if t, ok := nc.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
		// The kernel would discard the answer if the connection were closed with unread input.
		_ = nc.SetReadDeadline(time.Now().Add(linger))
		_, _ = io.CopyN(io.Discard, nc, readBuffer)
	}
}

// looksLikeHTTP reports whether a record header is the beginning of an HTTP request.
func looksLikeHTTP(header [recordHeader]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// end ends all handshakes and waits for their goroutines.
func (h *handshakes) end() {
	if h == nil {
		return
	}
	h.ln.mu.Lock()
	early := h.open
	h.open = nil
	for nc := range early {
		_ = nc.Close()
	}
	h.ln.mu.Unlock()
	h.wg.Wait()
}
