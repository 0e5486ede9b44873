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

	"golang.org/x/time/rate"
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
	ln      *Listener
	options *TLSOptions
	rate    *rate.Limiter // nil: no limit
	slots   chan struct{} // one token for each handshake; bound: handshakes of TLS

	wg     sync.WaitGroup
	enroll sync.Mutex // a registration takes a second descriptor for a moment

	open map[net.Conn]handshake // guarded by ln.mu; nil after end; bound: handshakes of TLS
}

// handshake is one handshake in progress.
type handshake struct {
	from  netip.Addr
	since time.Time
}

// minHandshakeTime is how long a handshake may always take while others wait.
const minHandshakeTime = 250 * time.Millisecond

func newHandshakes(ln *Listener, o *TLSOptions) *handshakes {
	h := &handshakes{
		ln: ln, options: o, slots: make(chan struct{}, o.MaxHandshakes), open: make(map[net.Conn]handshake),
	}
	if o.HandshakeRate > 0 {
		h.rate = rate.NewLimiter(rate.Limit(o.HandshakeRate), o.HandshakeRate)
	}
	return h
}

// allow reports whether a handshake may begin now. It is called by the accept goroutine.
func (h *handshakes) allow() bool {
	if h.rate != nil && !h.rate.Allow() {
		h.ln.update(func(s *ListenerStats) { s.TLS.OverRate++ })
		return false
	}
	return true
}

// begin starts the handshake of nc, and waits for a slot before. It is called by the accept
// goroutine.
func (h *handshakes) begin(nc net.Conn, remote netip.AddrPort, to Handler, conn *ConnOptions) {
	if !h.takeSlot() {
		h.ln.release(remote, conn.counted)
		nc.Close()
		return
	}
	h.ln.mu.Lock()
	h.open[nc] = handshake{origin(remote), time.Now()}
	h.ln.mu.Unlock()
	h.wg.Go(func() {
		defer func() { <-h.slots }()
		h.run(nc, remote, to, conn)
	})
}

// takeSlot takes a slot. It returns false if the listener was closed meanwhile.
func (h *handshakes) takeSlot() bool {
	for {
		select {
		case h.slots <- struct{}{}:
			return true
		default:
		}
		pause := time.NewTimer(h.evict())
		select {
		case h.slots <- struct{}{}:
			pause.Stop()
			return true
		case <-h.ln.stop:
			pause.Stop()
			return false
		case <-pause.C:
		}
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

// run makes the handshake of nc and registers the connection.
func (h *handshakes) run(nc net.Conn, remote netip.AddrPort, to Handler, conn *ConnOptions) {
	ln := h.ln
	_ = nc.SetDeadline(time.Now().Add(h.options.HandshakeTimeout))
	t := TLSServer(nc, h.options.Config)
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
		ln.release(remote, conn.counted)
		return
	}
	c := newConn(ln.engine.idlest(), to, conn, ln, remote)
	s := newSecure(c, t)
	h.enroll.Lock()
	defer h.enroll.Unlock()
	result, err := ln.engine.register(c, nc, s)
	if err == nil {
		err = ln.engine.registered(c, <-result)
	}
	if err != nil {
		ln.registrationFailed(c)
		return
	}
	ln.update(func(s *ListenerStats) { s.Accepted++ })
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
