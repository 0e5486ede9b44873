package main_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// wire is a bad network between workers and a gateway: it passes bytes on in pieces of any size, with a delay, and cuts connections where they are.
type wire struct {
	ln    net.Listener
	to    string
	delay time.Duration

	running sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]struct{} // guarded by mu; nil when the wire is closed
}

func newWire(t *testing.T, to string, delay time.Duration) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, to: to, delay: delay, conns: make(map[net.Conn]struct{})}
	w.running.Go(w.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		w.mu.Lock()
		for conn := range w.conns {
			_ = conn.Close()
		}
		w.conns = nil
		w.mu.Unlock()
		w.running.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.ln.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		if err != nil || !w.enter(near, far) {
			_ = near.Close()
			continue
		}
		w.running.Go(func() { w.pass(near, far) })
		w.running.Go(func() { w.pass(far, near) })
	}
}

func (w *wire) enter(conns ...net.Conn) bool {
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

// pass passes on until one side is closed, then closes both.
func (w *wire) pass(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		w.mu.Lock()
		delete(w.conns, to)
		w.mu.Unlock()
	}()
	b := make([]byte, 8<<10)
	for {
		n, err := from.Read(b[:1+rand.IntN(len(b))])
		time.Sleep(w.delay)
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.conns {
		_ = conn.(*net.TCPConn).SetLinger(0) // what is on its way is lost
		_ = conn.Close()
	}
}
