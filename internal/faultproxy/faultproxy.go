// Package faultproxy is a proxy of the link protocol on loopback, for tests and bench soak. It
// stands for a bad network between gateways and workers: it delays, slows down, corrupts and breaks
// connections.
package faultproxy

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Faults are what a Wire does to the bytes that pass. The zero value passes everything on at once,
// in pieces of any size.
type Faults struct {
	Delay time.Duration // on the way
	Rate  int           // bytes a second and direction; 0: no limit
}

// Wire is a proxy with an address of its own for another address.
type Wire struct {
	// Static after New.
	ln   net.Listener
	to   string
	over chan struct{}

	running sync.WaitGroup

	mu      sync.Mutex
	faults  Faults                // guarded by mu
	conns   map[net.Conn]struct{} // guarded by mu; nil when the wire is closed
	corrupt int                   // guarded by mu: frames that are still to be corrupted
	carried int                   // guarded by mu: bytes that workers have sent since the last Cut or Corrupt
}

// New opens a proxy to an address. The caller must call Close.
func New(to string, f Faults) (*Wire, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{ln: ln, to: to, faults: f, over: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	w.running.Go(w.accept)
	return w, nil
}

// Addr is the address to connect to.
func (w *Wire) Addr() string { return w.ln.Addr().String() }

// Set changes the faults for the bytes that come from now on.
func (w *Wire) Set(f Faults) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
}

// Corrupt flips a bit in the type of each of the next n frames, in either direction. A payload has
// no checksum other than TCP's, so a fault there could not be noticed.
func (w *Wire) Corrupt(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corrupt, w.carried = n, 0
}

// Corrupted reports whether all frames that Corrupt asked for have been changed.
func (w *Wire) Corrupted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.corrupt == 0
}

// Carried returns how many bytes have come from the connecting side since the last Cut or Corrupt.
func (w *Wire) Carried() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.carried
}

// Cut breaks all connections. Bytes on their way are lost.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.carried = 0
	for conn := range w.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// Close closes the proxy and its connections.
func (w *Wire) Close() {
	close(w.over)
	_ = w.ln.Close()
	w.Cut()
	w.mu.Lock()
	w.conns = nil
	w.mu.Unlock()
	w.running.Wait()
}

func (w *Wire) accept() {
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
		if !w.enter(near, far) {
			return
		}
		w.carry(near, far, 2, &w.carried) // a worker's hello is two messages, as is a gateway's
		w.carry(far, near, 2, new(int))
	}
}

// enter registers connections, and closes them when the wire is closed.
func (w *Wire) enter(conns ...net.Conn) bool {
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

// piece is a number of bytes on their way.
type piece struct {
	b   []byte
	due time.Time
}

// onTheWay bounds the pieces on their way in one direction.
const onTheWay = 1024

// carry passes on the bytes from one side, and counts them, until one of the sides is closed. Then
// it closes both.
func (w *Wire) carry(from, to net.Conn, hellos int, sum *int) {
	way := make(chan piece, onTheWay)
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

func (w *Wire) read(from net.Conn, way chan<- piece, gone <-chan struct{}, hellos int, sum *int) {
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

func (w *Wire) write(to net.Conn, way <-chan piece) {
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

// sleep waits, and reports false when the wire is closed meanwhile.
func (w *Wire) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.over:
		return false
	}
}
