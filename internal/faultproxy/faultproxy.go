// Package faultproxy simulates a bad network between gateways and workers, for tests and for soak
// runs. It is a proxy of the link protocol on loopback that cuts, delays, slows and corrupts.
package faultproxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Faults are the faults that a Proxy applies to all bytes. The zero value forwards all bytes at
// once, in pieces of any size.
type Faults struct {
	Delay time.Duration // latency of each direction
	Rate  int           // bytes per second and direction; 0: no limit
}

// Proxy is a proxy for one address.
type Proxy struct {
	// Static after New.
	ln     net.Listener
	to     string
	closed chan struct{}

	running sync.WaitGroup

	mu       sync.Mutex
	faults   Faults                // guarded by mu
	conns    map[net.Conn]struct{} // guarded by mu; nil when closed
	corrupt  int                   // guarded by mu: frames that are still to be corrupted
	received int                   // guarded by mu: bytes received from workers since the last Cut or Corrupt
}

// New starts a proxy for an address. Close must be called.
func New(to string, f Faults) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Proxy{ln: ln, to: to, faults: f, closed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	w.running.Go(w.accept)
	return w, nil
}

// Addr returns the address of the proxy.
func (w *Proxy) Addr() string { return w.ln.Addr().String() }

// Set changes the faults for bytes that are received later.
func (w *Proxy) Set(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
}

// Corrupt flips a bit in the type of each of the next n frames of any direction. Payloads are not
// corrupted: they have no checksum besides TCP's, so no peer could detect it.
func (w *Proxy) Corrupt(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corrupt, w.received = n, 0
}

// Corrupted reports whether all frames of the last Corrupt were corrupted.
func (w *Proxy) Corrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.corrupt == 0
}

// Received returns the number of bytes received from workers since the last Cut or Corrupt.
func (w *Proxy) Received() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}

// Cut breaks all connections. Bytes on their way are lost.
func (w *Proxy) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = 0
	for conn := range w.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// Close closes the proxy and all its connections.
func (w *Proxy) Close() {
	close(w.closed)
	_ = w.ln.Close()
	w.Cut()
	w.mu.Lock()
	w.conns = nil
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Proxy) accept() {
	for {
		near, err := w.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		if !w.track(near, far) {
			return
		}
		w.forward(near, far, 2, &w.received) // a worker's hello is two messages, as is a gateway's
		w.forward(far, near, 2, new(int))
	}
}

// track records connections. If the proxy is closed, it closes them and returns false.
func (w *Proxy) track(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range conns {
		if w.conns == nil {
			_ = conn.Close()
			continue
		}
		w.conns[conn] = struct{}{}
	}
	return w.conns != nil
}

// piece is a part of the forwarded bytes.
type piece struct {
	b   []byte
	due time.Time
}

// maxPieces is the most pieces queued per direction.
const maxPieces = 1024

// forward forwards the bytes of one side and counts them until either side is closed. Then it
// closes both.
func (w *Proxy) forward(from, to net.Conn, hellos int, sum *int) {
	way := make(chan piece, maxPieces)
	gone := make(chan struct{})
	w.running.Go(func() {
		defer close(way)
		w.read(from, way, gone, hellos, sum)
	})
	w.running.Go(func() {
		defer close(gone)
		w.write(to, way)
		_, _ = to.Close(), from.Close()
		w.mu.Lock()
		delete(w.conns, from)
		w.mu.Unlock()
	})
}

func (w *Proxy) read(from net.Conn, way chan<- piece, gone <-chan struct{}, hellos int, sum *int) {
	at := framing{hellos: hellos}
	for b := make([]byte, 8<<10); ; {
		n, err := from.Read(b[:1+rand.IntN(len(b))])
		if n > 0 {
			w.mu.Lock()
			at.pass(b[:n], &w.corrupt)
			*sum += n
			due := time.Now().Add(w.faults.Delay)
			w.mu.Unlock()
			select {
			case way <- piece{append([]byte(nil), b[:n]...), due}:
			case <-gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (w *Proxy) write(to net.Conn, way <-chan piece) {
	for p := range way {
		if !w.sleep(time.Until(p.due)) {
			return
		}
		for len(p.b) > 0 {
			n := len(p.b)
			w.mu.Lock()
			rate := w.faults.Rate
			w.mu.Unlock()
			if rate > 0 {
				n = min(n, max(rate/10, 1))
				if !w.sleep(time.Duration(n) * time.Second / time.Duration(rate)) {
					return
				}
			}
			if _, err := to.Write(p.b[:n]); err != nil {
				return
			}
			p.b = p.b[n:]
		}
	}
}

// sleep returns false if the proxy is closed meanwhile.
func (w *Proxy) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.closed:
		return false
	}
}
